//! Translation of records from one layout into another, compiled from two descriptors.
//!
//! [`Plan::compile_with`] is pure: it decides what happens to each field, or refuses by name. [`Plan::bind`] adds
//! the code that computed fields need. [`Runner::run`] applies the result to one record, [`Runner::run_many`] and
//! [`Runner::run_slots`] to many at a time, none of them allocating
//! but where migrations run. [`Loss`] counts what did not fit. A [`Copier`] does
//! it to a table that its holder writes to.

mod action;
mod afterwards;
mod aside;
mod chain;
mod compile;
mod compile_facts;
mod computed;
mod converge;
mod copier;
mod fast;
mod gather;
mod index_builder;
mod kernel;
mod loss;
mod memory;
mod migrate;
mod plan;
mod refusal;
mod run;
mod said;
mod step;
mod store;
#[cfg(test)]
mod tests;
mod transfer;
mod valid;
mod words;

pub use action::{Action, FieldAction};
pub use aside::Layer;
pub use converge::{Converge, Remainder, Verdict};
pub use copier::{Copier, CopyError, Follower, Marking, Origin, Pass};
pub use index_builder::{INDEX_BUILDER_SLOT_BYTES, IndexBuilder};
pub use loss::{FieldCount, Loss, LossReport, RowMarks, SlotLosses};
pub use plan::Plan;
pub use refusal::{Refusal, RefusalKind};
pub use run::{RowOutcome, Runner};
pub(crate) use store::{Stored, store};

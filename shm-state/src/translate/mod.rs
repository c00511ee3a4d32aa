//! Translation of records from one layout into another, compiled from two descriptors.
//!
//! [`Plan::compile`] is pure: it decides what happens to each field, or refuses by name. [`Plan::bind`] adds
//! the code that computed fields need. [`Runner::run`] applies the result to millions of records without
//! allocating. [`Loss`] counts what did not fit.

mod action;
mod compile;
mod dirty;
mod loss;
mod plan;
mod refusal;
mod run;
mod step;
mod store;
#[cfg(test)]
mod tests;

pub use action::{Action, FieldAction};
pub use dirty::{Copier, CopyError, Pass};
pub use loss::{FieldCount, Loss, LossReport, RowMarks, SlotLosses};
pub use plan::Plan;
pub use refusal::{Refusal, RefusalKind};
pub use run::{RowOutcome, Runner};
pub(crate) use store::{Stored, store};

//! Whether a binary can take over: first the file alone, then its layouts against the live tables, or against those of
//! another binary.

mod binary;
mod check;
mod elf;
mod notes;
mod plan;
mod rate;
mod versions;

pub use binary::{Binary, BinaryError, Facts};
pub use check::{Assumed, Check, Direction, TableCheck, Verdict, check};
pub use elf::{Elf, ElfError, Linked, read};
pub use plan::{LiveTable, PlanView, TablePlan, TableStep, plan, plan_table};
pub use rate::{Rate, RateSource};
pub use versions::{Range, Versions};

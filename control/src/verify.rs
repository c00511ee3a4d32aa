//! Whether a binary can take over: first the file alone, then its layouts against the live tables.

mod binary;
mod elf;
mod plan;

pub use binary::{Binary, BinaryError};
pub use elf::{ElfError, layouts};
pub use plan::{LiveTable, PlanView, TablePlan, TableStep, plan};

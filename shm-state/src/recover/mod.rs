//! Consistency after a death: what the successor of a killed holder does before it serves, and what is checked
//! afterwards.
//!
//! - [`repair`] finishes or takes back the one operation that the intent block names: a handful of stores, before the
//!   successor takes the owner word. It may itself be killed at any store and begun again.
//! - [`Scan`] looks at everything, in small steps between the turns of the packet loop, and puts right what no intent
//!   told of: what an executable without intents left behind, or what something else wrote over.
//! - [`verify`] only looks, and lists what is wrong.
//!
//! All three see the tables as claims: whatever lies there, they end, and touch nothing outside.

mod facts;
mod ledger;
mod operation;
mod repair;
mod report;
mod scan;
mod verify;

pub use facts::LinkFields;
pub use ledger::Ledger;
pub use operation::{Begin, End, Operation};
pub use repair::{Repair, repair};
pub use report::{Finding, Report};
pub use scan::Scan;
pub use verify::{Problem, verify};

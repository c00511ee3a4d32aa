//! controld: the thin shell round the pure swap machine.
//!
//! One thread, one loop ([`event_loop`]): wait, turn what came into an event, step the machine, carry out its actions.
//! Examining a binary is the only long work, and it is done in the prepare phase; nothing here is in the blackout's
//! path. If controld dies, packets flow on.

mod actions;
pub mod child;
pub mod clients;
pub mod clock;
mod deadlines;
pub mod event_loop;
pub mod holdings;
mod inbox;
pub mod launch;
pub mod raw;
pub mod reports;
mod requests;
pub mod runfile;
pub mod signals;
pub mod startup;
pub mod steal;
pub mod supervisor;
pub mod swap_run;

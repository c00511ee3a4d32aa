//! Decisions without effects: no clock, no descriptor, no randomness.

pub mod addresses;
pub mod balance;
pub mod forward;
pub mod ranges;
pub mod topology;

//! The effect boundary of the measuring program: batched datagrams, socket options, clocks, placement.
//!
//! Unsafe code is fenced into [`mmsg`] and [`raw`]; everything above is safe.

pub mod clock;
pub mod interrupt;
pub mod mmsg;
pub mod place;
pub mod raw;
pub mod socket;

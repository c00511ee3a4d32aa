//! The dataplane's side of a swap: stopping in favour of a successor, and taking over from a predecessor.
//!
//! Both meet on words in shared memory alone. `stand_down` is the old process's half, `take_over` the new one's;
//! `seat` is the life of a worker thread around them.

pub mod background;
pub mod orders;
pub mod seat;
mod stand_down;
pub mod take_over;

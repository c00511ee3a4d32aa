//! What came of a run: JSON for scripts, text for the terminal, a picture.

pub mod by_flows;
pub mod picture;
pub mod progress;
pub mod stats;
pub mod summary;
pub mod text;

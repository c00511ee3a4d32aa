//! The main job: one dataplane replaced by another while it serves.

mod aside;
mod capacity;
mod chaos;
mod deaths;
mod ends;
mod failures;
mod flows;
mod load;
mod overlap;
mod plans;
mod rollback;
mod scene;
mod shapes;

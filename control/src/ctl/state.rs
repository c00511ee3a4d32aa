//! stub
use super::args::{Args, StateVerb};
pub(super) fn run(_verb: &StateVerb, _args: &Args) -> u8 {
    1
}

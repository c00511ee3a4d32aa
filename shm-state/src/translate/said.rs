//! What a migration says when it refuses a record: marks have no room for it.

use std::sync::{Arc, Mutex, PoisonError};

/// Why a migration refused the record that it refused last. Clones share it; it tells nothing apart.
#[derive(Debug, Clone, Default)]
pub(super) struct Said(Arc<Mutex<String>>);

impl Said {
    pub(super) fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    pub(super) fn get(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl PartialEq for Said {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Said {}

//! Logs, metrics, health, and the notices that every page shows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

pub mod disk;
pub mod health;
pub mod logs;
pub mod metrics;

/// What is wrong at the moment, in one sentence each, by part. Set by whoever watches the part, shown on every page.
#[derive(Clone, Default)]
pub struct Notices(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl Notices {
    pub fn set(&self, part: &'static str, sentence: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(part, sentence.into());
    }

    pub fn clear(&self, part: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    pub fn all(&self) -> Vec<(&'static str, String)> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(part, sentence)| (*part, sentence.clone()))
            .collect()
    }
}

//! What was found out about a store, shared by all that ask it. Memory only: a restart asks again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::versions::Versioning;

/// How long a store is taken to lack an operation; a proxy's passing 405 must not count for ever.
const LACKING_FOR: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct Learned {
    md5: AtomicBool,
    singles: Lacking,
    /// Locks cannot be read: the bucket has none, or the store does not know them.
    locks: Lacking,
    /// Open uploads cannot be listed.
    uploads: Lacking,
    warned_of_uploads: AtomicBool,
    /// Never unlearned: versioning can be suspended, but not taken off a bucket.
    shows_markers: AtomicBool,
    versioning: Mutex<Option<(Versioning, Instant)>>,
}

impl Learned {
    pub(super) fn wants_md5(&self) -> bool {
        self.md5.load(Ordering::Relaxed)
    }

    pub(super) fn learn_md5(&self) {
        self.md5.store(true, Ordering::Relaxed);
    }

    /// Whether keys are to be deleted one by one.
    pub(super) fn singles(&self) -> bool {
        self.singles.is_known()
    }

    pub(super) fn learn_singles(&self) {
        self.singles.learn();
    }

    /// Whether asking for an object's lock is in vain.
    pub(super) fn lacks_locks(&self) -> bool {
        self.locks.is_known()
    }

    pub(super) fn learn_no_locks(&self) {
        self.locks.learn();
    }

    /// Whether asking for open uploads is in vain.
    pub(super) fn lacks_uploads(&self) -> bool {
        self.uploads.is_known()
    }

    /// Tells whether this is news.
    pub(super) fn learn_no_uploads(&self) -> bool {
        self.uploads.learn();
        !self.warned_of_uploads.swap(true, Ordering::Relaxed)
    }

    /// What is known of versions, if it is not older than `fresh_for`.
    pub(super) fn versioning(&self, fresh_for: Duration) -> Option<Versioning> {
        if self.shows_markers.load(Ordering::Relaxed) {
            return Some(Versioning::Kept);
        }
        lock(&self.versioning)
            .as_ref()
            .filter(|(_, since)| since.elapsed() < fresh_for)
            .map(|(known, _)| known.clone())
    }

    pub(super) fn learn_versioning(&self, found: Versioning) {
        *lock(&self.versioning) = Some((found, Instant::now()));
    }

    /// An answer showed a delete marker: versions are kept, whatever the bucket says.
    pub(super) fn learn_versioned(&self) {
        self.shows_markers.store(true, Ordering::Relaxed);
    }
}

/// Since when an operation is known to be missing.
#[derive(Default)]
struct Lacking(Mutex<Option<Instant>>);

impl Lacking {
    fn is_known(&self) -> bool {
        lock(&self.0).is_some_and(|since| since.elapsed() < LACKING_FOR)
    }

    fn learn(&self) {
        *lock(&self.0) = Some(Instant::now());
    }
}

/// What is behind such a lock is replaced as a whole, so that a panic elsewhere leaves it sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

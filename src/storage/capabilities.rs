//! Which operations the store supports, as far as its answers showed. All requests share this. It is kept in
//! memory only, so a restarted process finds it out again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::versions::Versioning;

/// How long an operation counts as unsupported. A proxy may answer 405 for a moment only.
const UNSUPPORTED_FOR: Duration = Duration::from_secs(600);

#[derive(Default)]
pub(super) struct Capabilities {
    needs_md5: AtomicBool,
    /// The store has no DeleteObjects: keys are deleted one by one.
    pub(super) batch_delete: Operation,
    /// Locks cannot be read: the bucket has none, or the store does not know them.
    pub(super) locks: Operation,
    /// Open uploads cannot be listed.
    pub(super) uploads: Operation,
    warned_of_uploads: AtomicBool,
    /// Stays true once it is set, because the versioning of a bucket can be suspended but not removed.
    shows_markers: AtomicBool,
    versioning: Mutex<Option<(Versioning, Instant)>>,
}

impl Capabilities {
    pub(super) fn needs_md5(&self) -> bool {
        self.needs_md5.load(Ordering::Relaxed)
    }

    pub(super) fn set_needs_md5(&self) {
        self.needs_md5.store(true, Ordering::Relaxed);
    }

    /// Records that open uploads cannot be listed, and returns whether to log a warning.
    pub(super) fn set_uploads_unsupported(&self) -> bool {
        self.uploads.set_unsupported();
        !self.warned_of_uploads.swap(true, Ordering::Relaxed)
    }

    /// What is known of versions, if it is not older than `fresh_for`.
    pub(super) fn versioning(&self, fresh_for: Duration) -> Option<Versioning> {
        if self.shows_markers.load(Ordering::Relaxed) {
            return Some(Versioning::Kept);
        }
        self.versioning
            .lock()
            .as_ref()
            .filter(|(_, since)| since.elapsed() < fresh_for)
            .map(|(known, _)| known.clone())
    }

    pub(super) fn set_versioning(&self, found: Versioning) {
        *self.versioning.lock() = Some((found, Instant::now()));
    }

    /// An answer showed a delete marker: versions are kept, whatever the bucket says.
    pub(super) fn set_versioned(&self) {
        self.shows_markers.store(true, Ordering::Relaxed);
    }
}

/// An operation that some stores lack.
#[derive(Default)]
pub(super) struct Operation {
    unsupported_since: Mutex<Option<Instant>>,
}

impl Operation {
    pub(super) fn is_unsupported(&self) -> bool {
        let since = *self.unsupported_since.lock();
        since.is_some_and(|since| since.elapsed() < UNSUPPORTED_FOR)
    }

    pub(super) fn set_unsupported(&self) {
        *self.unsupported_since.lock() = Some(Instant::now());
    }
}

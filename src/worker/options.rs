//! The options of a worker.

use super::cleanup::Cleanup;
use crate::db::url::DatabaseUrl;
use crate::queue::backoff::{Backoff, RetryPolicy};

/// The options of a worker.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// Where this worker runs, such as host and process id. The ids under which it registers begin with it.
    pub name: String,
    /// Intervals, limits and time-outs.
    pub cleanup: Cleanup,
    /// How many objects all workers together may delete per second.
    pub delete_rate: Option<u32>,
    /// The URL of a direct connection, for LISTEN.
    pub listen_url: DatabaseUrl,
}

impl WorkerOptions {
    pub(super) fn retry_policy(&self) -> RetryPolicy {
        RetryPolicy {
            backoff: Backoff {
                base: self.cleanup.backoff_base,
                max: self.cleanup.backoff_max,
            },
            max_attempts: i32::try_from(self.cleanup.max_attempts).unwrap_or(i32::MAX),
        }
    }
}

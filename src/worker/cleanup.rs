//! The settings of the cleanup.

use std::time::Duration;

/// Intervals, limits and time-outs of the cleanup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// The time between two fallback polls of the queue.
    pub poll_interval: Duration,
    /// A worker that has not renewed its lease for this time is declared lost, and its tasks are rescued.
    pub lease: Duration,
    /// The longest delay after the first failure; at most `backoff_max`.
    pub backoff_base: Duration,
    /// The longest delay after any failure.
    pub backoff_max: Duration,
    /// One claim takes at most this many small tasks.
    pub claim_batch: u32,
    /// One worker has at most this many batches in flight; each sends one request at a time.
    pub concurrency: u32,
    /// A task that is refused at the attempt with this number is `dead`.
    pub max_attempts: u32,
    /// Finished tasks are pruned after this many days.
    pub retention_days: u32,
    /// Tasks in flight at a shutdown are finished or released within this time.
    pub shutdown_timeout: Duration,
}

//! How the queue is worked off.

use std::time::Duration;

/// How the queue is worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Between two fallback polls of the queue; each also scans the whole of it.
    pub poll_interval: Duration,
    /// Tasks of a worker that has not renewed its lease for this long can be claimed again.
    pub lease: Duration,
    /// First step of the backoff; at most `backoff_max`.
    pub backoff_base: Duration,
    /// Longest step of the backoff.
    pub backoff_max: Duration,
    /// Most tasks claimed at once.
    pub claim_batch: u32,
    /// Most DeleteObjects requests in flight in one worker.
    pub concurrency: u32,
    /// A task whose attempt with this number fails is `dead`.
    pub max_attempts: u32,
    /// Finished tasks are pruned after this many days.
    pub retention_days: u32,
    /// Tasks in flight at a shutdown are finished or released within this time.
    pub shutdown_timeout: Duration,
}

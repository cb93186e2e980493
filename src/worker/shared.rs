//! What the parts of one worker share.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gate::Gate;
use super::pace::Pace;
use super::run::Options;
use super::upkeep::Looks;
use crate::queue::lease::Lease;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;

/// What a worker reports of itself, for `/health/ready`.
#[derive(Debug, Default)]
pub struct Status {
    problem: Mutex<Option<String>>,
}

impl Status {
    /// Why the worker does not work at the moment; none when it does.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn report(&self, problem: Option<String>) {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
    }
}

pub(super) struct Shared {
    pub pool: PgPool,
    pub store: Store,
    pub options: Options,
    pub metrics: Arc<Metrics>,
    pub status: Arc<Status>,
    pub pace: Pace,
    pub gate: Gate,
    /// A notification came: something may be due.
    pub wake: Notify,
    /// A look found something due.
    pub due: Notify,
    /// A look found workers whose tasks are to be taken up.
    pub to_rescue: Notify,
    pub looks: Looks,
    /// Jobs in flight; each is at most one request at a time.
    pub jobs: TaskTracker,
    pub slots: Arc<Semaphore>,
    /// Bulk work leaves one slot to small work.
    pub bulk_slots: Arc<Semaphore>,
    pub quarantine_slots: Arc<Semaphore>,
    /// Stop asking the store: the time for a shutdown in order is over.
    pub abort: CancellationToken,
    lease: Mutex<Arc<Lease>>,
}

impl Shared {
    pub fn new(
        pool: PgPool,
        store: Store,
        options: Options,
        metrics: Arc<Metrics>,
        status: Arc<Status>,
        lease: Lease,
    ) -> Self {
        let slots = options.cleanup.concurrency as usize;
        Self {
            pool,
            store,
            metrics,
            status,
            pace: Pace::new(options.delete_rate),
            gate: Gate::default(),
            wake: Notify::new(),
            due: Notify::new(),
            to_rescue: Notify::new(),
            looks: Looks::new(options.cleanup.poll_interval, options.cleanup.lease),
            jobs: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(slots)),
            bulk_slots: Arc::new(Semaphore::new(slots.saturating_sub(1).max(1))),
            quarantine_slots: Arc::new(Semaphore::new(1)),
            abort: CancellationToken::new(),
            lease: Mutex::new(Arc::new(lease)),
            options,
        }
    }

    pub fn lease(&self) -> Arc<Lease> {
        self.lease
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn set_lease(&self, lease: Lease) {
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(lease);
    }
}

/// The pause before another try at the database, by how often it was tried: 100 ms doubling to 1 s.
pub(super) fn database_pause(tries: u32) -> Duration {
    Duration::from_millis(100 * (1_u64 << tries.min(6))).min(Duration::from_secs(1))
}

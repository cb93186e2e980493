//! What the stages and loops of one worker share.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::PgPool;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::gate::Gate;
use super::heartbeat_clock::HeartbeatClock;
use super::lease::Leases;
use super::options::WorkerOptions;
use super::pace::Pace;
use super::watermarks::Watermarks;
use crate::pauses::Pauses;
use crate::queue::lease::Lease;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;

/// What a worker reports of itself, for `/health/ready`.
#[derive(Debug, Default)]
pub struct WorkerStatus {
    problem: Mutex<Option<String>>,
}

impl WorkerStatus {
    /// Why the worker does not work at the moment; none when it does.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    pub(super) fn report(&self, problem: Option<String>) {
        *self.problem.lock() = problem;
    }
}

pub struct Context {
    pub pool: PgPool,
    pub store: Store,
    pub options: WorkerOptions,
    pub metrics: Arc<Metrics>,
    pub status: Arc<WorkerStatus>,
    pub leases: Leases,
    pub pace: Pace,
    pub gate: Gate,
    pub heartbeats: HeartbeatClock,
    pub watermarks: Watermarks,
    /// A notification came: something may be due.
    pub notified: Notify,
    /// A heartbeat or a full scan found something due.
    pub due: Notify,
    /// A heartbeat found workers whose tasks must be rescued.
    pub to_rescue: Notify,
    /// It is time for a full scan.
    pub to_scan: Notify,
    /// Batches in flight; each sends at most one request at a time.
    pub batches: TaskTracker,
    pub slots: Arc<Semaphore>,
    /// Bulk work leaves one slot to small work.
    pub bulk_slots: Arc<Semaphore>,
    pub quarantine_slots: Arc<Semaphore>,
    /// Stop asking the store: the time for a shutdown in order is over.
    pub abort: CancellationToken,
}

impl Context {
    pub fn new(
        pool: PgPool,
        store: Store,
        options: WorkerOptions,
        metrics: Arc<Metrics>,
        status: Arc<WorkerStatus>,
        lease: Lease,
    ) -> Self {
        let slots = options.cleanup.concurrency as usize;
        Self {
            pool,
            store,
            metrics,
            status,
            leases: Leases::new(lease),
            pace: Pace::new(options.delete_rate),
            gate: Gate::default(),
            heartbeats: HeartbeatClock::new(options.cleanup.poll_interval, options.cleanup.lease),
            watermarks: Watermarks::default(),
            notified: Notify::new(),
            due: Notify::new(),
            to_rescue: Notify::new(),
            to_scan: Notify::new(),
            batches: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(slots)),
            bulk_slots: Arc::new(Semaphore::new(slots.saturating_sub(1).max(1))),
            quarantine_slots: Arc::new(Semaphore::new(1)),
            abort: CancellationToken::new(),
            options,
        }
    }

    /// Registers this process under a new id, for the claims to come.
    pub async fn register_again(&self) -> Result<Arc<Lease>, sqlx::Error> {
        let (name, length) = (&self.options.name, self.options.cleanup.lease);
        let lease = Lease::register(&self.pool, name, length).await?;
        Ok(self.leases.replace(lease))
    }
}

/// The pauses between tries while the database is away.
pub fn database_pauses() -> Pauses {
    Pauses::new(Duration::from_millis(100), Duration::from_secs(1))
}

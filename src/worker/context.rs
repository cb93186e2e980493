//! The state that the stages and loops of one worker share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
use super::status::WorkerStatus;
use super::watermarks::Watermarks;
use crate::db::sqlstate::{self, Meaning, meaning};
use crate::db::timeout::with_timeout;
use crate::pauses::Pauses;
use crate::queue::lease::Lease;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::WorkerProblem;

/// A comparison of the erasure map with the database is given up after this time.
const DRIFT_LIMIT: Duration = Duration::from_secs(10);

pub struct Context {
    pub pool: PgPool,
    pub store: Store,
    /// The other buckets of the erasure map, each from its first request on.
    buckets: Mutex<HashMap<String, Store>>,
    pub options: WorkerOptions,
    pub metrics: Arc<Metrics>,
    pub status: Arc<WorkerStatus>,
    pub leases: Leases,
    pub pace: Pace,
    pub gate: Gate,
    pub heartbeats: HeartbeatClock,
    pub watermarks: Watermarks,
    /// Wakes the claim loop, because a notification came and a task may be due.
    pub notified: Notify,
    /// Wakes the claim loop, because a heartbeat or a full scan found a due task.
    pub due: Notify,
    /// Starts a rescue, because a heartbeat found lost workers.
    pub to_rescue: Notify,
    /// Starts a full scan.
    pub to_scan: Notify,
    /// Batches in flight; each sends at most one request at a time.
    pub batches: TaskTracker,
    pub slots: Arc<Semaphore>,
    /// One fewer than `slots` (but at least one), so that bulk work leaves a slot for small work.
    pub bulk_slots: Arc<Semaphore>,
    pub quarantine_slots: Arc<Semaphore>,
    /// Cancelled when the shutdown time is over. No more requests are sent to the store then.
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
            buckets: Mutex::default(),
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

    /// The store of a bucket; `None` is the one of `S3_BUCKET`.
    pub fn store_of(&self, bucket: Option<&str>) -> Store {
        let Some(bucket) = bucket.filter(|bucket| *bucket != self.store.bucket()) else {
            return self.store.clone();
        };
        let mut buckets = self.buckets.lock();
        let store = buckets.entry(bucket.to_owned());
        store
            .or_insert_with(|| self.store.with_bucket(bucket))
            .clone()
    }

    /// Whether this error comes from a database that no longer fits the erasure map. Then no task is at fault, and no
    /// attempt is used up.
    pub async fn is_drift(&self, error: &sqlx::Error) -> bool {
        if meaning(error) != Meaning::NotMigrated {
            return false;
        }
        let drift = &self.status.drift;
        if let Err(error) = with_timeout(DRIFT_LIMIT, drift.look(&self.pool)).await {
            tracing::warn!(%error, "cannot compare the erasure map with the database");
            drift.ask_for_look();
        }
        drift.is_breaking()
    }

    /// Whether the database hides rows from this worker. Then it pauses, and says so.
    pub fn is_hidden(&self, error: &sqlx::Error) -> bool {
        let is_hidden = sqlstate::hides_rows(error);
        if is_hidden {
            self.gate.close(Instant::now());
            self.status.report(Some(WorkerProblem::HiddenRows));
        }
        is_hidden
    }

    /// Waits before another try while the database is away. False when the shutdown time is over: then other workers take
    /// over what this one holds.
    pub async fn may_try_again(&self, pauses: &mut Pauses) -> bool {
        tokio::select! {
            () = self.abort.cancelled() => {
                self.leases.suspect_lost_claims();
                false
            }
            () = tokio::time::sleep(pauses.next_pause()) => true,
        }
    }

    /// Registers this process under a new id, which later claims use.
    pub async fn register_again(&self) -> Result<Arc<Lease>, sqlx::Error> {
        let (name, length) = (&self.options.name, self.options.cleanup.lease);
        let lease = Lease::register(&self.pool, name, length).await?;
        Ok(self.leases.replace(lease))
    }
}

/// The pauses between tries while the database is unreachable.
pub fn database_pauses() -> Pauses {
    Pauses::new(Duration::from_millis(100), Duration::from_secs(1))
}

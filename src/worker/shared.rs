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
use super::watermarks::Watermarks;
use crate::queue::lease::Lease;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;

/// Why a worker does no work at the moment. The log has the details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerProblem {
    /// The object store or its configuration is at fault.
    StoreOutage,
    /// The worker has no lease yet, because the database cannot be asked.
    NotRegistered,
}

/// What a worker reports of itself, for `/health/ready`.
#[derive(Debug, Default)]
pub struct Status {
    problem: Mutex<Option<WorkerProblem>>,
}

impl Status {
    /// Why the worker does not work at the moment; none when it does.
    #[must_use]
    pub fn problem(&self) -> Option<WorkerProblem> {
        *self.problem.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn report(&self, problem: Option<WorkerProblem>) {
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
    /// What is due is to be looked at from the beginning.
    pub to_walk: Notify,
    pub looks: Looks,
    pub watermarks: Watermarks,
    /// Jobs in flight; each is at most one request at a time.
    pub jobs: TaskTracker,
    pub slots: Arc<Semaphore>,
    /// Bulk work leaves one slot to small work.
    pub bulk_slots: Arc<Semaphore>,
    pub quarantine_slots: Arc<Semaphore>,
    /// Stop asking the store: the time for a shutdown in order is over.
    pub abort: CancellationToken,
    lease: Mutex<Leases>,
}

/// The lease under which this worker claims, and former ones that jobs in flight still work under.
struct Leases {
    current: Arc<Lease>,
    retired: Vec<Arc<Lease>>,
    /// A claim may exist that no job of this process holds: its answer was lost, or a job ended without
    /// settling it. The next claim is made under a new id; when the jobs of the old one are done, it
    /// leaves, and what is still held under it is taken up by others.
    in_doubt: bool,
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
            to_walk: Notify::new(),
            watermarks: Watermarks::default(),
            looks: Looks::new(options.cleanup.poll_interval, options.cleanup.lease),
            jobs: TaskTracker::new(),
            slots: Arc::new(Semaphore::new(slots)),
            bulk_slots: Arc::new(Semaphore::new(slots.saturating_sub(1).max(1))),
            quarantine_slots: Arc::new(Semaphore::new(1)),
            abort: CancellationToken::new(),
            lease: Mutex::new(Leases {
                current: Arc::new(lease),
                retired: Vec::new(),
                in_doubt: false,
            }),
            options,
        }
    }

    /// The lease under which the next claim is made. A job keeps the one it was claimed under.
    pub fn lease(&self) -> Arc<Lease> {
        self.leases().current.clone()
    }

    /// From now on claims are made under this lease.
    pub fn set_lease(&self, lease: Lease) {
        let mut leases = self.leases();
        leases.in_doubt = false;
        let old = std::mem::replace(&mut leases.current, Arc::new(lease));
        leases.retired.push(old);
    }

    /// Says that a claim may exist of which no job knows.
    pub fn doubt_claims(&self) {
        self.leases().in_doubt = true;
    }

    pub fn is_in_doubt(&self) -> bool {
        self.leases().in_doubt
    }

    /// Former leases with whether a job still works under them.
    pub fn retired(&self) -> Vec<(Arc<Lease>, bool)> {
        let leases = self.leases();
        let with_use = |lease: &Arc<Lease>| {
            let in_use = Arc::strong_count(lease) > 1;
            (lease.clone(), in_use)
        };
        leases.retired.iter().map(with_use).collect()
    }

    /// This one has left.
    pub fn forget_retired(&self, lease: &Lease) {
        self.leases()
            .retired
            .retain(|one| one.worker != lease.worker);
    }

    fn leases(&self) -> std::sync::MutexGuard<'_, Leases> {
        self.lease.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause before another try at the database, by how often it was tried: 100 ms doubling to 1 s.
pub(super) fn database_pause(tries: u32) -> Duration {
    Duration::from_millis(100 * (1_u64 << tries.min(6))).min(Duration::from_secs(1))
}

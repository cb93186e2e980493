//! The leases of this process: the one under which it claims, and former ones.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::queue::lease::Lease;

pub struct Leases {
    state: Mutex<LeaseState>,
}

struct LeaseState {
    current: Arc<Lease>,
    /// Former leases. Batches in flight may still work under them.
    retired: Vec<Arc<Lease>>,
    /// Whether a claim may exist that no batch of this process knows, because its answer was lost, or because a batch
    /// ended without settling it. The next claim is made under a new id. When the batches of the old id are finished,
    /// that id is deregistered, and the tasks that it still holds are rescued.
    lost_claims_suspected: bool,
}

impl Leases {
    pub fn new(lease: Lease) -> Self {
        Self {
            state: Mutex::new(LeaseState {
                current: Arc::new(lease),
                retired: Vec::new(),
                lost_claims_suspected: false,
            }),
        }
    }

    /// The lease under which the next claim is made. A batch keeps the one it was claimed under.
    pub fn current(&self) -> Arc<Lease> {
        self.state.lock().current.clone()
    }

    /// Uses this lease for later claims, and retires the current one.
    pub fn replace(&self, lease: Lease) -> Arc<Lease> {
        let new = Arc::new(lease);
        let mut state = self.state.lock();
        state.lost_claims_suspected = false;
        let old = std::mem::replace(&mut state.current, new.clone());
        state.retired.push(old);
        new
    }

    /// Records that a claim may exist that no batch knows.
    pub fn suspect_lost_claims(&self) {
        self.state.lock().lost_claims_suspected = true;
    }

    pub fn are_lost_claims_suspected(&self) -> bool {
        self.state.lock().lost_claims_suspected
    }

    /// Former leases, each with a flag that tells whether a batch still works under it.
    pub fn retired(&self) -> Vec<(Arc<Lease>, bool)> {
        let with_use = |lease: &Arc<Lease>| {
            let in_use = Arc::strong_count(lease) > 1;
            (lease.clone(), in_use)
        };
        self.state.lock().retired.iter().map(with_use).collect()
    }

    /// Forgets a former lease that is deregistered.
    pub fn forget_retired(&self, lease: &Lease) {
        let mut state = self.state.lock();
        state.retired.retain(|one| one.worker != lease.worker);
    }
}

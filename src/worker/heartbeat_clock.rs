//! Decides when this worker sends heartbeats, and whether it may declare other workers lost.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// A lease is renewed this many times before it would end.
const HEARTBEATS_PER_LEASE: u32 = 3;
/// If no heartbeat of this worker succeeded for half a lease, the leases of other workers may look expired too,
/// although only the database was down.
const GAP_DIVISOR: u32 = 2;

#[derive(Debug)]
pub struct HeartbeatClock {
    lease: Duration,
    every: Duration,
    state: Mutex<HeartbeatTimes>,
}

#[derive(Debug)]
struct HeartbeatTimes {
    last: Instant,
    /// For the length of a lease after its start and after each gap, this worker declares none lost, because it cannot
    /// distinguish a dead worker from one whose heartbeats did not reach the database.
    may_declare_lost_from: Instant,
}

impl HeartbeatClock {
    /// Heartbeats are sent once in a poll interval, or more often if the lease requires it.
    pub fn new(poll_interval: Duration, lease: Duration) -> Self {
        let now = Instant::now();
        Self {
            lease,
            every: poll_interval.min(lease / HEARTBEATS_PER_LEASE),
            state: Mutex::new(HeartbeatTimes {
                last: now,
                may_declare_lost_from: now + lease,
            }),
        }
    }

    /// The time between two heartbeats.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Whether no heartbeat was answered for more than 5/4 of the interval.
    pub fn is_overdue(&self) -> bool {
        self.state.lock().last.elapsed() >= self.every * 5 / 4
    }

    /// Whether no heartbeat was answered for half a lease, so that other workers may look lost.
    pub fn has_gap(&self) -> bool {
        self.state.lock().last.elapsed() > self.lease / GAP_DIVISOR
    }

    pub fn may_declare_lost(&self) -> bool {
        Instant::now() >= self.state.lock().may_declare_lost_from
    }

    /// Records that a heartbeat was answered.
    pub fn answered(&self, after_gap: bool) {
        let mut state = self.state.lock();
        state.last = Instant::now();
        if after_gap {
            state.may_declare_lost_from = state.last + self.lease;
        }
    }
}

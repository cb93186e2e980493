//! Tracks whether this worker is awake (it polls) or asleep (a notification or a heartbeat that finds due tasks wakes
//! it). Notifications make every commit of the application slower, so a busy worker requests none.

use std::time::Duration;

use tokio::time::Instant;

use super::context::Context;
use crate::vocabulary::WakeSource;

/// A worker that has found work without a pause for this time requests no notifications.
const BUSY_AFTER: Duration = Duration::from_secs(1);
/// A worker that has found work this many times within `BUSY_AFTER` requests none either.
const BUSY_WAKES: u32 = 50;
/// An awake worker without work polls at this interval, this many times, before it goes to sleep.
const IDLE_POLL: Duration = Duration::from_millis(20);
const MAX_IDLE_POLLS: u32 = 50;
/// The time from a small claim to the next of an awake worker.
const GATHER: Duration = Duration::from_millis(50);

pub struct Wakefulness {
    busy_since: Option<Instant>,
    /// The time since which the wakes are counted.
    window: Instant,
    wakes: u32,
    /// The value in the worker's row. False also if that is unknown.
    is_sleeping: bool,
    idle_polls: u32,
    /// When the next claim is to be made, if not at once.
    next_claim: Option<Instant>,
}

impl Wakefulness {
    pub fn new() -> Self {
        Self {
            busy_since: None,
            window: Instant::now(),
            wakes: 0,
            is_sleeping: true,
            idle_polls: 0,
            next_claim: None,
        }
    }

    /// Call it after a claim that found tasks. `is_large`: it found so many that the next one
    /// probably does too.
    pub async fn found_work(&mut self, context: &Context, is_large: bool) {
        self.idle_polls = 0;
        let now = Instant::now();
        self.next_claim = (!self.is_sleeping && !is_large).then(|| now + GATHER);
        let busy_since = *self.busy_since.get_or_insert(now);
        if now - self.window > BUSY_AFTER {
            self.window = now;
            self.wakes = 0;
        }
        self.wakes += 1;
        if self.is_sleeping && (now - busy_since > BUSY_AFTER || self.wakes >= BUSY_WAKES) {
            self.set_sleeping(context, false).await;
        }
    }

    /// Returns when the next claim is to be made. An awake worker whose last claim was small waits a little,
    /// so that the tasks that come meanwhile are claimed, deleted and settled together.
    pub async fn gather(&mut self) {
        if let Some(next) = self.next_claim.take() {
            tokio::time::sleep_until(next).await;
        }
    }

    /// Call it after a claim that found nothing. It returns when the next claim is to be made, which is soon while the
    /// worker is awake. After `MAX_IDLE_POLLS` it records that the worker sleeps and returns for one more claim,
    /// because a task may have come before that was committed. Then it sleeps until a notification comes or a
    /// heartbeat or full scan finds a due task.
    pub async fn rest(&mut self, context: &Context) {
        self.busy_since = None;
        if !self.is_sleeping {
            self.idle_polls += 1;
            if self.idle_polls < MAX_IDLE_POLLS {
                tokio::time::sleep(IDLE_POLL).await;
            } else {
                self.set_sleeping(context, true).await;
            }
            return;
        }
        let source = tokio::select! {
            () = context.notified.notified() => WakeSource::Notify,
            () = context.due.notified() => WakeSource::Poll,
        };
        context.metrics.wakeups.of(source).inc();
    }

    async fn set_sleeping(&mut self, context: &Context, sleeping: bool) {
        let lease = context.leases.current();
        match lease.set_sleeping(&context.pool, sleeping).await {
            Ok(()) => self.is_sleeping = sleeping,
            Err(error) => {
                // The value may have been stored although the answer was lost. A worker that counts as awake will
                // store it again.
                self.is_sleeping = false;
                tracing::warn!(%error, sleeping, "cannot record whether this worker wants notifications; trying again");
                tokio::time::sleep(IDLE_POLL).await;
            }
        }
    }
}

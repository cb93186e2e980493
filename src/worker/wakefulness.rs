//! Whether this worker is awake (it polls) or asleep (a notification or the poll interval wakes it). Notifications
//! slow every commit of the application down, so a busy worker asks for none.

use std::time::Duration;

use tokio::time::Instant;

use super::context::Context;
use crate::vocabulary::WakeSource;

/// After finding work without a pause for this long, a worker asks for no notifications.
const BUSY_AFTER: Duration = Duration::from_secs(1);
/// It does the same after finding work this many times within `BUSY_AFTER`.
const BUSY_WAKES: u32 = 50;
/// Awake without work, a worker polls this often and this many times before it goes to sleep.
const IDLE_POLL: Duration = Duration::from_millis(20);
const MAX_IDLE_POLLS: u32 = 50;

pub struct Wakefulness {
    busy_since: Option<Instant>,
    /// Since when the wakes are counted.
    window: Instant,
    wakes: u32,
    /// What the worker's row says.
    is_sleeping: bool,
    idle_polls: u32,
}

impl Wakefulness {
    pub fn new() -> Self {
        Self {
            busy_since: None,
            window: Instant::now(),
            wakes: 0,
            is_sleeping: true,
            idle_polls: 0,
        }
    }

    /// A claim found work.
    pub async fn found_work(&mut self, context: &Context) {
        self.idle_polls = 0;
        let now = Instant::now();
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

    /// A claim found nothing. Returns when the next one is to be made: soon while the worker is awake. After a
    /// while it says that it sleeps, and claims once more, because a task may have come before that was
    /// committed. Then it sleeps until a notification comes or a poll finds something.
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
        context
            .metrics
            .wakeups
            .with_label_values(&[source.as_str()])
            .inc();
    }

    async fn set_sleeping(&mut self, context: &Context, sleeping: bool) {
        let lease = context.leases.current();
        match lease.set_sleeping(&context.pool, sleeping).await {
            Ok(()) => self.is_sleeping = sleeping,
            Err(error) => {
                // It may be written all the same. A worker that counts itself awake will write it again.
                self.is_sleeping = false;
                tracing::warn!(%error, sleeping, "cannot record whether this worker wants notifications; trying again");
                tokio::time::sleep(IDLE_POLL).await;
            }
        }
    }
}

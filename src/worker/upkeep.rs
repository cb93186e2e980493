//! The loops beside the claims: the look that renews leases and finds what is lost or due, the rescue, and
//! pruning.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::postgres::PgListener;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::shared::{Shared, database_pause};
use super::watermarks::BEGINNING;
use crate::queue::lease::{Lease, Look};
use crate::queue::{due, prune, rescue};

/// A lease is renewed so many times before it would end.
const LOOKS_PER_LEASE: u32 = 3;
/// Without a look for this part of a lease, the others may have had none for the whole of theirs: each looks at
/// its own times.
const GAP_DIVISOR: u32 = 2;
/// How often finished tasks are pruned.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// The looks of one worker. They go over the LISTEN connection, whose sign of life they are; without it,
/// over the pool.
#[derive(Debug)]
pub struct Looks {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Instant,
    /// Whoever had a gap in its looks, or has only begun to look, cannot tell a dead worker from one that the
    /// database was away for.
    may_declare_lost_from: Instant,
}

impl Looks {
    /// Once in a poll interval, and often enough for the lease.
    pub fn new(poll_interval: Duration, lease: Duration) -> Self {
        let now = Instant::now();
        Self {
            every: poll_interval.min(lease / LOOKS_PER_LEASE),
            state: Mutex::new(State {
                last: now,
                may_declare_lost_from: now + lease,
            }),
        }
    }

    /// The time between two looks.
    pub fn every(&self) -> Duration {
        self.every
    }

    /// Since when nobody has looked.
    fn idle(&self) -> Duration {
        self.lock().last.elapsed()
    }

    fn may_declare_lost(&self) -> bool {
        Instant::now() >= self.lock().may_declare_lost_from
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks once, over whatever connection, and acts on what it finds.
pub async fn look<'c>(
    shared: &Shared,
    executor: impl sqlx::PgExecutor<'c>,
) -> Result<(), sqlx::Error> {
    let lease = shared.lease();
    // The lease alone does not tell: after an outage it may be a new one.
    let had_gap =
        !lease.is_usable() || shared.looks.idle() > shared.options.cleanup.lease / GAP_DIVISOR;
    let may_declare_lost = !had_gap && shared.looks.may_declare_lost();
    if had_gap {
        shared.watermarks.forget();
    }
    let from = shared.watermarks.for_look();
    let found = lease.look(executor, may_declare_lost, from).await?;
    shared.watermarks.looked(from, &found.due);
    {
        let mut state = shared.looks.lock();
        state.last = Instant::now();
        if had_gap {
            state.may_declare_lost_from = state.last + shared.options.cleanup.lease;
        }
    }
    if found.renewed {
        shared.pace.share_among(found.alive);
    } else {
        register_anew(shared, &lease.worker).await;
    }
    act_on(shared, &found);
    tend_retired(shared).await;
    Ok(())
}

/// A retired lease is renewed as long as a job works under it; then it leaves, and others take up what no
/// job of this process knew of.
async fn tend_retired(shared: &Shared) {
    for (lease, in_use) in shared.retired() {
        let tended = if in_use {
            let marks = shared.watermarks.for_look();
            lease.look(&shared.pool, false, marks).await.map(|_| ())
        } else {
            lease.leave(&shared.pool).await.map(|()| {
                shared.forget_retired(&lease);
                shared.to_rescue.notify_one();
            })
        };
        if let Err(error) = tended {
            tracing::warn!(%error, worker = lease.worker, "cannot tend a former lease");
        }
    }
}

impl crate::queue::listen::Look for Shared {
    fn look<'l>(
        &'l self,
        connection: &'l mut PgListener,
    ) -> BoxFuture<'l, Result<(), sqlx::Error>> {
        Box::pin(look(self, connection))
    }
}

fn act_on(shared: &Shared, found: &Look) {
    if found.newly_lost > 0 {
        tracing::warn!(workers = found.newly_lost, "workers vanished");
    }
    if found.to_rescue {
        shared.to_rescue.notify_one();
    }
    if found.due.first.iter().any(Option::is_some) {
        shared.due.notify_one();
    }
    if shared.watermarks.walk_is_due(Instant::now()) {
        shared.to_walk.notify_one();
    }
}

/// Looks at what is due from the beginning, wherever the claims are. Returns where they go on.
pub async fn walk(shared: &Shared) -> Result<[DateTime<Utc>; 3], sqlx::Error> {
    let begun = Instant::now();
    match due::find(&shared.pool, BEGINNING).await {
        Ok(due) => {
            shared.watermarks.looked(BEGINNING, &due);
            if due.first.iter().any(Option::is_some) {
                shared.due.notify_one();
            }
            Ok(shared.watermarks.for_claim().unwrap_or(BEGINNING))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot look at what is due");
            shared.watermarks.walk_failed(begun.elapsed());
            Err(error)
        }
    }
}

/// Looks when the listener does not, and rescues and prunes beside it, until cancelled (after the last job
/// has settled).
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    tokio::join!(
        keep_looking(&shared, &stop),
        keep_walking(&shared, &stop),
        tend(&shared, &stop)
    );
}

/// Beside the looks, which keep the lease, and the claims, which go on from their marks.
async fn keep_walking(shared: &Shared, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.to_walk.notified() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            // An error is reported and noted there.
            _ = walk(shared) => {}
        }
    }
}

async fn keep_looking(shared: &Shared, stop: &CancellationToken) {
    let mut tick = tokio::time::interval(shared.looks.every() / 4);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => look_if_nobody_does(shared).await,
        }
    }
}

/// A long rescue must not hold up a look, nor the lease.
async fn tend(shared: &Shared, stop: &CancellationToken) {
    let mut prune = tokio::time::interval(PRUNE_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.to_rescue.notified() => rescue_lost(shared).await,
            _ = prune.tick() => {
                let pruned = prune::prune(&shared.pool, shared.options.cleanup.retention_days);
                match pruned.await {
                    Ok(0) => {}
                    Ok(tasks) => tracing::info!(tasks, "pruned finished tasks"),
                    Err(error) => tracing::warn!(%error, "cannot prune; tried again later"),
                }
            }
        }
    }
}

async fn look_if_nobody_does(shared: &Shared) {
    if shared.looks.idle() < shared.looks.every() * 5 / 4 {
        return;
    }
    if let Err(error) = look(shared, &shared.pool).await {
        tracing::warn!(%error, "cannot renew the lease");
    }
}

/// Taken for dead by others, who took its tasks: goes on under a new id.
async fn register_anew(shared: &Shared, old: &str) {
    let options = &shared.options;
    match Lease::register(&shared.pool, &options.name, options.cleanup.lease).await {
        Ok(lease) => {
            tracing::warn!(
                worker = old,
                new = lease.worker,
                "taken for dead; goes on under a new id"
            );
            shared.set_lease(lease);
        }
        Err(error) => {
            tracing::warn!(%error, "cannot register anew");
            tokio::time::sleep(database_pause(0)).await;
        }
    }
}

async fn rescue_lost(shared: &Shared) {
    let options = &shared.options;
    let lease = shared.lease();
    let rescued = rescue::rescue(
        &shared.pool,
        &lease.worker,
        options.backoff(),
        options.max_attempts(),
    );
    match rescued.await {
        Ok(0) => {}
        Ok(tasks) => tracing::warn!(tasks, "took up the tasks of lost workers"),
        Err(error) => tracing::warn!(%error, "cannot take up the tasks of lost workers"),
    }
}

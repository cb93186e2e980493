//! The loops that keep the queue in order: full scans, the rescue of lost workers' tasks, and pruning.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::watermarks::FULL_SCAN;
use crate::deletion::webhook_ids;
use crate::queue::rescue::Lost;
use crate::queue::{due, prune, rescue};

/// How often finished tasks are pruned.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);
/// How often tasks are looked for whose worker has no row. A table that was emptied or restored in part makes some.
const ORPHAN_INTERVAL: Duration = Duration::from_secs(20);

/// Runs until cancelled, which happens after the drain.
pub async fn run(context: &Context, stop: &CancellationToken) {
    tokio::join!(
        keep_scanning(context, stop),
        keep_rescuing(context, stop),
        keep_pruning(context, stop)
    );
}

/// Scans for due tasks below the watermarks when a heartbeat asks for it. It is a separate loop, because a scan may
/// take a minute and must not delay a heartbeat.
async fn keep_scanning(context: &Context, stop: &CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = context.to_scan.notified() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            // `full_scan` logs its errors.
            _ = full_scan(context) => {}
        }
    }
}

/// Finds the first due task from the start of each lane. Returns the due times from which to claim next.
pub async fn full_scan(context: &Context) -> Result<[DateTime<Utc>; 3], sqlx::Error> {
    let begun = Instant::now();
    match due::first_due(&context.pool, FULL_SCAN).await {
        Ok(due) => {
            context.watermarks.found(FULL_SCAN, &due);
            if due.first.iter().any(Option::is_some) {
                context.due.notify_one();
            }
            Ok(context.watermarks.for_claim().unwrap_or(FULL_SCAN))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot scan for due tasks; trying again later");
            context.watermarks.scan_failed(begun.elapsed());
            Err(error)
        }
    }
}

/// Rescues when a heartbeat asks for it, and once in a while, for tasks whose worker has no row at all. It is a
/// separate loop, because a long rescue must not delay a heartbeat.
async fn keep_rescuing(context: &Context, stop: &CancellationToken) {
    let mut orphans = tokio::time::interval(ORPHAN_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = context.to_rescue.notified() => rescue_lost(context, Lost::Workers).await,
            _ = orphans.tick() => rescue_lost(context, Lost::Rows).await,
        }
    }
}

/// Prunes. It is a separate loop, because pruning must not delay a rescue.
async fn keep_pruning(context: &Context, stop: &CancellationToken) {
    let mut tick = tokio::time::interval(PRUNE_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = prune(context) => {}
        }
    }
}

async fn rescue_lost(context: &Context, lost: Lost) {
    let lease = context.leases.current();
    let policy = context.options.retry_policy();
    match rescue::rescue(&context.pool, &lease.worker, policy, lost).await {
        Ok(0) => {}
        Ok(tasks) => tracing::warn!(tasks, "rescued the tasks of lost workers"),
        Err(error) => {
            tracing::warn!(%error, "cannot rescue the tasks of lost workers; trying again later");
        }
    }
}

async fn prune(context: &Context) {
    let days = context.options.cleanup.retention_days;
    match prune::prune(&context.pool, days).await {
        Ok(0) => {}
        Ok(days) => tracing::info!(days, "pruned the finished tasks of past days"),
        Err(error) => tracing::warn!(%error, "cannot prune finished tasks; trying again later"),
    }
    if let Err(error) = webhook_ids::prune(&context.pool, days).await {
        tracing::warn!(%error, "cannot prune the ids of webhooks; trying again later");
    }
}

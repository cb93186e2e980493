//! The loops beside the claims: the beat that renews leases, the rescue of vanished workers' tasks, and
//! pruning.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::shared::{Shared, database_pause};
use crate::queue::lease::{Beat, Lease};
use crate::queue::{prune, rescue};

/// A lease is renewed so many times before it would end.
const BEATS_PER_LEASE: u32 = 3;
/// How often finished tasks are pruned.
const PRUNE_INTERVAL: Duration = Duration::from_secs(600);

/// Beats and rescues until cancelled (after the last job has settled).
pub async fn run(shared: Arc<Shared>, stop: CancellationToken) {
    let lease = shared.options.cleanup.lease;
    let mut beat = tokio::time::interval(lease / BEATS_PER_LEASE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(shared.options.cleanup.poll_interval.min(lease));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut prune = tokio::time::interval(PRUNE_INTERVAL);
    // Whoever had a gap in its beat cannot tell a dead worker from an absent database.
    let mut rescue_from = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {
                let had_gap = !shared.lease().is_usable();
                if renew(&shared).await && had_gap {
                    rescue_from = Instant::now() + lease;
                }
            }
            _ = look.tick() => {
                if Instant::now() >= rescue_from && shared.lease().is_usable() {
                    rescue_lost(&shared).await;
                }
            }
            _ = prune.tick() => {
                match prune::prune(&shared.pool, shared.options.cleanup.retention_days).await {
                    Ok(0) => {}
                    Ok(tasks) => tracing::info!(tasks, "pruned finished tasks"),
                    Err(error) => tracing::warn!(%error, "cannot prune; tried again later"),
                }
            }
        }
    }
}

/// Beats once; true if the lease stands.
async fn renew(shared: &Shared) -> bool {
    match shared.lease().beat(&shared.pool).await {
        Ok(Beat::Renewed { alive }) => {
            shared.pace.share_among(alive);
            true
        }
        Ok(Beat::Lost) => {
            let old = shared.lease().worker.clone();
            let options = &shared.options;
            match Lease::register(&shared.pool, &options.name, options.cleanup.lease).await {
                Ok(lease) => {
                    tracing::warn!(
                        worker = old,
                        new = lease.worker,
                        "taken for dead; goes on under a new id"
                    );
                    shared.set_lease(lease);
                    true
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot register anew");
                    false
                }
            }
        }
        Err(error) => {
            tracing::warn!(%error, "cannot renew the lease");
            tokio::time::sleep(database_pause(0)).await;
            false
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
        Ok(tasks) => tracing::warn!(tasks, "took up the tasks of vanished workers"),
        Err(error) => tracing::warn!(%error, "cannot look for vanished workers"),
    }
}

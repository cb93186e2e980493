//! One worker from its start to its drain.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::shared::{Shared, Status, WorkerProblem, database_pause};
use super::{claimer, upkeep};
use crate::config::Cleanup;
use crate::queue::backoff::Backoff;
use crate::queue::lease::Lease;
use crate::queue::listen::listen;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;

/// After the store is no longer asked, so long is left for handing tasks back.
const HAND_BACK: Duration = Duration::from_secs(2);

/// What a worker needs to know.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where this worker runs, such as host and process id; its boot's id begins with it.
    pub name: String,
    /// Intervals, limits and time-outs.
    pub cleanup: Cleanup,
    /// Objects per second of all workers together.
    pub delete_rate: Option<u32>,
    /// A direct connection for LISTEN.
    pub listen_url: String,
}

impl Options {
    pub(super) fn backoff(&self) -> Backoff {
        Backoff {
            base: self.cleanup.backoff_base,
            max: self.cleanup.backoff_max,
        }
    }

    pub(super) fn max_attempts(&self) -> i32 {
        i32::try_from(self.cleanup.max_attempts).unwrap_or(i32::MAX)
    }
}

/// Works until `shutdown`: then claims nothing more, finishes what is in flight or hands it back within
/// the shutdown time-out, and returns. Waits for the database (and its migrations) as long as it takes.
pub async fn run(
    pool: PgPool,
    store: Store,
    options: Options,
    metrics: Arc<Metrics>,
    status: Arc<Status>,
    shutdown: CancellationToken,
) {
    let Some(lease) = register(&pool, &options, &status, &shutdown).await else {
        return;
    };
    tracing::info!(worker = lease.worker, "working");
    let limit = options.cleanup.shutdown_timeout;
    let listen_url = options.listen_url.clone();
    let shared = Arc::new(Shared::new(pool, store, options, metrics, status, lease));

    let listener = {
        let (shared, shutdown) = (shared.clone(), shutdown.clone());
        tokio::spawn(async move {
            listen(
                listen_url,
                &shared.wake,
                shared.looks.every(),
                shared.as_ref(),
                shutdown,
            )
            .await;
        })
    };
    let stop_upkeep = CancellationToken::new();
    let upkeep = tokio::spawn(upkeep::run(shared.clone(), stop_upkeep.clone()));
    let claims = tokio::spawn(keep_claiming(shared.clone(), shutdown.clone()));

    shutdown.cancelled().await;
    drain(&shared, claims, limit).await;
    stop_upkeep.cancel();
    for (name, task) in [("upkeep", upkeep), ("listener", listener)] {
        if let Err(error) = task.await {
            tracing::error!(%error, name, "a loop of the worker ended badly");
        }
    }
    if tokio::time::timeout(HAND_BACK, leave(&shared))
        .await
        .is_err()
    {
        tracing::warn!("left without goodbye; the lease runs out by itself");
    }
    tracing::info!("stopped");
}

async fn leave(shared: &Shared) {
    let retired = shared.retired().into_iter().map(|(lease, _)| lease);
    for lease in retired.chain([shared.lease()]) {
        if let Err(error) = lease.leave(&shared.pool).await {
            tracing::warn!(%error, worker = lease.worker, "left without goodbye; the lease runs out by itself");
        }
    }
}

/// A claimer that panicked is started again: a worker that beats and does not work would be the worst.
async fn keep_claiming(shared: Arc<Shared>, shutdown: CancellationToken) {
    while let Err(error) = tokio::spawn(claimer::run(shared.clone(), shutdown.clone())).await {
        tracing::error!(%error, "the claimer panicked; it starts again");
        shared.doubt_claims();
        tokio::time::sleep(database_pause(3)).await;
    }
}

async fn drain(shared: &Shared, claims: tokio::task::JoinHandle<()>, limit: Duration) {
    let all = async {
        if let Err(error) = claims.await {
            tracing::error!(%error, "the claimer ended badly");
        }
        shared.jobs.close();
        shared.jobs.wait().await;
    };
    tokio::pin!(all);
    let patience = limit.saturating_sub(HAND_BACK).max(limit / 2);
    if tokio::time::timeout(patience, &mut all).await.is_ok() {
        return;
    }
    tracing::warn!("the time for a shutdown is over; handing tasks back");
    shared.abort.cancel();
    if tokio::time::timeout(HAND_BACK.min(limit), &mut all)
        .await
        .is_err()
    {
        tracing::warn!("some tasks are not handed back; their leases run out");
    }
}

async fn register(
    pool: &PgPool,
    options: &Options,
    status: &Status,
    shutdown: &CancellationToken,
) -> Option<Lease> {
    for tries in 0.. {
        match Lease::register(pool, &options.name, options.cleanup.lease).await {
            Ok(lease) => {
                status.report(None);
                return Some(lease);
            }
            Err(error) => {
                status.report(Some(WorkerProblem::NotRegistered));
                tracing::warn!(%error, "waiting for the database and its migrations");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(database_pause(tries)) => {}
        }
    }
    None
}

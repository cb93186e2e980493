//! Runs one worker, from its registration to its drain.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::context::{Context, database_pauses};
use super::options::WorkerOptions;
use super::status::WorkerStatus;
use super::{heartbeat, maintenance, pipeline};
use crate::map::drift::Records;
use crate::queue::lease::Lease;
use crate::queue::listen::listen;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::WorkerProblem;

/// How long releasing tasks may take after the requests to the store have stopped.
const RELEASE_LIMIT: Duration = Duration::from_secs(2);
/// The pause before a claim loop that panicked is started again.
const PANIC_PAUSE: Duration = Duration::from_millis(800);

/// Works until `shutdown`. Then it claims nothing more, finishes or releases the tasks in flight within the shutdown
/// time-out, and returns. At its start it waits for the database and its migrations without a limit.
pub async fn run(
    pool: PgPool,
    store: Store,
    options: WorkerOptions,
    metrics: Arc<Metrics>,
    status: Arc<WorkerStatus>,
    shutdown: CancellationToken,
) {
    let Some(lease) = register(&pool, &options, &status, &metrics, &shutdown).await else {
        return;
    };
    tracing::info!(worker = lease.worker.as_str(), "worker started");
    let limit = options.cleanup.shutdown_timeout;
    let context = Arc::new(Context::new(pool, store, options, metrics, status, lease));

    let stop = CancellationToken::new();
    let loops = [
        (
            "listener",
            tokio::spawn(keep_listening(context.clone(), shutdown.clone())),
        ),
        ("heartbeat", {
            let (context, stop) = (context.clone(), stop.clone());
            tokio::spawn(async move { heartbeat::run(&context, &stop).await })
        }),
        ("drift", {
            let (context, stop) = (context.clone(), stop.clone());
            tokio::spawn(async move {
                let (drift, pool) = (&context.status.drift, &context.pool);
                drift.watch(pool, Records::Yes, &stop).await;
            })
        }),
        ("maintenance", {
            let (context, stop) = (context.clone(), stop.clone());
            tokio::spawn(async move { maintenance::run(&context, &stop).await })
        }),
    ];
    // What changed while nobody worked is known before the first claim. The lease is renewed meanwhile.
    let looking = context
        .status
        .drift
        .look_and_record(&context.pool, Records::Yes);
    shutdown.run_until_cancelled(looking).await;
    let claims = tokio::spawn(keep_claiming(context.clone(), shutdown.clone()));

    shutdown.cancelled().await;
    drain(&context, claims, limit).await;
    stop.cancel();
    for (name, task) in loops {
        if let Err(error) = task.await {
            tracing::error!(%error, name, "a loop of the worker panicked");
        }
    }
    if tokio::time::timeout(RELEASE_LIMIT, deregister(&context))
        .await
        .is_err()
    {
        tracing::warn!("worker exited without deregistering; its lease will expire");
    }
    tracing::info!("worker stopped");
}

async fn keep_listening(context: Arc<Context>, shutdown: CancellationToken) {
    listen(
        context.options.listen_url.expose().to_owned(),
        &context.notified,
        context.heartbeats.every(),
        context.as_ref(),
        shutdown,
    )
    .await;
}

async fn deregister(context: &Context) {
    let retired = context.leases.retired().into_iter().map(|(lease, _)| lease);
    for lease in retired.chain([context.leases.current()]) {
        if let Err(error) = lease.leave(&context.pool).await {
            tracing::warn!(
                %error,
                worker = lease.worker.as_str(),
                "worker exited without deregistering; its lease will expire"
            );
        }
    }
}

/// Starts the claim loop again after a panic, because nobody would notice a worker that keeps its lease and claims
/// nothing.
async fn keep_claiming(context: Arc<Context>, shutdown: CancellationToken) {
    while let Err(error) = tokio::spawn(pipeline::run(context.clone(), shutdown.clone())).await {
        tracing::error!(%error, "the claim loop panicked; it starts again");
        context.leases.suspect_lost_claims();
        tokio::time::sleep(PANIC_PAUSE).await;
    }
}

async fn drain(context: &Context, claims: JoinHandle<()>, limit: Duration) {
    let all = async {
        if let Err(error) = claims.await {
            tracing::error!(%error, "the claim loop panicked at the end");
        }
        context.batches.close();
        context.batches.wait().await;
    };
    tokio::pin!(all);
    let patience = limit.saturating_sub(RELEASE_LIMIT).max(limit / 2);
    if tokio::time::timeout(patience, &mut all).await.is_ok() {
        return;
    }
    tracing::warn!("the time for a shutdown is over; releasing the tasks in flight");
    context.abort.cancel();
    if tokio::time::timeout(RELEASE_LIMIT.min(limit), &mut all)
        .await
        .is_err()
    {
        tracing::warn!("some tasks could not be released; other workers will rescue them");
    }
}

async fn register(
    pool: &PgPool,
    options: &WorkerOptions,
    status: &WorkerStatus,
    metrics: &Metrics,
    shutdown: &CancellationToken,
) -> Option<Lease> {
    let mut pauses = database_pauses();
    loop {
        match Lease::register(pool, &options.name, options.cleanup.lease).await {
            Ok(lease) => {
                status.report(None);
                return Some(lease);
            }
            Err(error) => {
                status.report(Some(WorkerProblem::NotRegistered));
                // The heartbeat, which shows it later, has not begun.
                metrics.set_worker_problem(status.problem());
                tracing::warn!(%error, "waiting for the database and its migrations");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(pauses.next_pause()) => {}
        }
    }
}

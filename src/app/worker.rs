//! `lethe worker`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{migrated, pool, side_server};
use crate::config::Worker;
use crate::http::api;
use crate::http::api::health::ReadyCheck;
use crate::reconcile::{state, timer};
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::worker::{self, WorkerOptions, WorkerStatus};

/// After the drain, a reconciliation under way may take so long to end.
const RECONCILIATION_GOODBYE: Duration = Duration::from_secs(2);
/// Readiness waits no longer to be told how the last reconciliation went.
const COMPLAINT_WAIT: Duration = Duration::from_secs(2);

/// Works until `shutdown`, then finishes or hands back what is in flight.
///
/// # Errors
/// When METRICS_ADDR cannot be taken.
pub async fn run(config: Worker, shutdown: CancellationToken) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("the metrics cannot be set up")?;
    let pool = pool::lazy_for_worker(&config.database);
    let status = Arc::new(WorkerStatus::default());
    // Health and metrics are served until the drain is over: that is when they are wanted.
    let drained = CancellationToken::new();
    let side = match config.metrics_addr {
        None => None,
        Some(address) => {
            let ready = ready(pool.clone(), Arc::clone(&status));
            let shown = api::observability(pool.clone(), Arc::clone(&metrics), ready);
            Some(side_server::start(address, shown, drained.clone()).await?)
        }
    };
    let store = Store::connect(config.storage.clone()).await;
    let options = options(&config, host_and_pid());
    if migrated::wait(&pool, &shutdown).await {
        let reconciling = reconciling(&config, &pool, &metrics, &shutdown);
        worker::run(pool.clone(), store, options, metrics, status, shutdown).await;
        wait_for(reconciling).await?;
    }
    drained.cancel();
    if let Some((_, task)) = side {
        task.await
            .context("the server of the metrics ended badly")?;
    }
    pool::close(&pool).await;
    Ok(())
}

/// What one worker needs, under this name.
pub fn options(config: &Worker, name: String) -> WorkerOptions {
    WorkerOptions {
        name,
        cleanup: config.cleanup.clone(),
        delete_rate: config.delete_rate,
        listen_url: config.database.listen_url.clone(),
    }
}

/// A reconciliation under way ends within moments, unless the database hangs.
async fn wait_for(mut reconciling: JoinHandle<()>) -> anyhow::Result<()> {
    match tokio::time::timeout(RECONCILIATION_GOODBYE, &mut reconciling).await {
        Ok(ended) => ended.context("reconciliation ended badly"),
        Err(_) => {
            reconciling.abort();
            tracing::warn!("a reconciliation was cut off; its turn runs out by itself");
            Ok(())
        }
    }
}

/// Starts what finds deletions without a task, until `shutdown`.
pub fn reconciling(
    config: &Worker,
    pool: &PgPool,
    metrics: &Arc<Metrics>,
    shutdown: &CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(timer::run(
        pool.clone(),
        config.reconcile.clone(),
        host_and_pid(),
        Arc::clone(metrics),
        shutdown.clone(),
    ))
}

/// Where this process runs, for people who read the audit.
pub fn host_and_pid() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "worker".to_owned());
    format!("{host}-{}", std::process::id())
}

/// Ready is: the database is reachable and migrated, and the worker can work. A reconciliation that was
/// stopped is told, and is no reason not to be ready: all other work goes on.
fn ready(pool: PgPool, status: Arc<WorkerStatus>) -> ReadyCheck {
    let database = migrated::ready(pool.clone());
    Arc::new(move || {
        let (database, status, pool) = (database(), Arc::clone(&status), pool.clone());
        Box::pin(async move {
            database.await?;
            match status.problem() {
                None => Ok(complaint(&pool).await),
                Some(problem) => Err(problem),
            }
        })
    })
}

async fn complaint(pool: &PgPool) -> Option<String> {
    match tokio::time::timeout(COMPLAINT_WAIT, state::read(pool)).await {
        Ok(Ok(states)) => state::complaint(&states),
        Ok(Err(error)) => {
            tracing::debug!(%error, "cannot read how the last reconciliation went");
            None
        }
        Err(_) => None,
    }
}

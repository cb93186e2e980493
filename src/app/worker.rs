//! `lethe worker`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::bucket::FirstAnswer;
use super::safety::{self, Recorded};
use super::{drift, migrated, pool, side_server};
use crate::cause::chain;
use crate::config::Worker;
use crate::db::timeout::with_timeout;
use crate::http::api;
use crate::http::api::health::ReadyCheck;
use crate::notices::deliver::{self, Patience};
use crate::receipts::seal;
use crate::reconcile::{state, timer};
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::{ProcessRole, WorkerProblem};
use crate::worker::{self, WorkerOptions, WorkerStatus};

/// How long a reconciliation under way may take to end after the drain.
const RECONCILIATION_END_LIMIT: Duration = Duration::from_secs(2);
/// Readiness waits no longer for the state of the last reconciliation.
const COMPLAINT_LIMIT: Duration = Duration::from_secs(2);

/// Works until `shutdown`, then finishes or releases the tasks that it holds.
///
/// # Errors
/// When `METRICS_ADDR` cannot be listened on.
pub async fn run(config: Worker, shutdown: CancellationToken) -> anyhow::Result<()> {
    let metrics = Metrics::new().context("the metrics cannot be set up")?;
    let pool = pool::lazy_for_worker(&config.database);
    let status = Arc::new(WorkerStatus::default());
    let recorded = Arc::new(Recorded::default());
    // Health and metrics are served until the drain is over, because people watch them during a shutdown.
    let drained = CancellationToken::new();
    let store = Store::connect(config.storage.clone()).await;
    let side = match config.metrics_addr {
        None => None,
        Some(address) => {
            let first =
                FirstAnswer::await_from(store.clone(), Arc::clone(&metrics), shutdown.clone());
            let ready = ready(
                pool.clone(),
                config.map.digest(),
                Arc::clone(&status),
                first,
            );
            let ready = safety::noted(ready, pool.clone(), Arc::clone(&recorded));
            let ready = drift::checked(ready, Arc::clone(&status.drift));
            let shown = api::observability(pool.clone(), Arc::clone(&metrics), ready);
            Some(side_server::start(address, shown, drained.clone()).await?)
        }
    };
    let options = options(&config, host_and_pid());
    if migrated::wait(&pool, config.map.digest().as_deref(), &shutdown).await {
        safety::start(
            pool.clone(),
            (ProcessRole::Worker, host_and_pid()),
            config.safety,
            recorded,
            shutdown.clone(),
        );
        let reconciling = start_reconciliation(&config, &pool, &metrics, &shutdown);
        let sealing = start_sealing(&config, &pool, &shutdown);
        let noticing = start_notices(&config, &pool, &metrics, &shutdown);
        worker::run(pool.clone(), store, options, metrics, status, shutdown).await;
        wait_for(reconciling).await?;
        sealing.await.context("the sealing of receipts panicked")?;
        noticing.await.context("the delivery of notices panicked")?;
    }
    drained.cancel();
    if let Some((_, task)) = side {
        task.await
            .context("the server of /metrics and /health panicked")?;
    }
    pool::close(&pool).await;
    Ok(())
}

/// The options of a worker with this name.
pub fn options(config: &Worker, name: String) -> WorkerOptions {
    WorkerOptions {
        name,
        cleanup: config.cleanup.clone(),
        delete_rate: config.delete_rate,
        listen_url: config.database.listen_url.clone(),
    }
}

/// Waits for a reconciliation under way, which ends soon unless the database hangs.
async fn wait_for(mut reconciling: JoinHandle<()>) -> anyhow::Result<()> {
    match tokio::time::timeout(RECONCILIATION_END_LIMIT, &mut reconciling).await {
        Ok(ended) => ended.context("the reconciliation panicked"),
        Err(_) => {
            reconciling.abort();
            tracing::warn!(
                "a reconciliation did not end in time and was aborted; its lease expires by itself"
            );
            Ok(())
        }
    }
}

/// Starts the reconciliation, which finds deletions that have no task. It ends at `shutdown`.
pub fn start_reconciliation(
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

/// Starts the sealing of receipts. It ends at `shutdown`.
pub fn start_sealing(
    config: &Worker,
    pool: &PgPool,
    shutdown: &CancellationToken,
) -> JoinHandle<()> {
    let key = config.receipt_key.0.clone();
    tokio::spawn(seal::run(pool.clone(), key, shutdown.clone()))
}

/// Starts the delivery of notices, if they are configured. It ends at `shutdown`.
pub fn start_notices(
    config: &Worker,
    pool: &PgPool,
    metrics: &Arc<Metrics>,
    shutdown: &CancellationToken,
) -> JoinHandle<()> {
    tokio::spawn(deliver::run(
        pool.clone(),
        config.notices.0.clone(),
        Patience::default(),
        config.cleanup.retention_days,
        Arc::clone(metrics),
        shutdown.clone(),
    ))
}

/// The host and the process id, for people who read the audit.
pub fn host_and_pid() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .or_else(|| std::env::var("HOSTNAME").ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "worker".to_owned());
    format!("{host}-{}", std::process::id())
}

/// Ready means that the database is reachable and migrated, that the bucket has answered once, and that the worker can
/// work. A reconciliation that was stopped is shown in the detail, and the worker stays ready, because all other work
/// goes on.
fn ready(
    pool: PgPool,
    map: Option<String>,
    status: Arc<WorkerStatus>,
    first: Arc<FirstAnswer>,
) -> ReadyCheck {
    let database = migrated::ready(pool.clone(), map, &[ProcessRole::Worker]);
    Arc::new(move || {
        let (database, status, pool) = (database(), Arc::clone(&status), pool.clone());
        let first = Arc::clone(&first);
        Box::pin(async move {
            database.await?;
            let unanswered = (!first.has_come()).then_some(WorkerProblem::StoreOutage);
            match status.problem().or(unanswered) {
                None => Ok(complaint(&pool).await),
                Some(problem) => Err(in_public(problem).to_owned()),
            }
        })
    })
}

/// What anybody may read of a problem: the store's own words name accounts, roles and buckets.
fn in_public(problem: WorkerProblem) -> &'static str {
    match problem {
        WorkerProblem::StoreOutage => {
            "The object store cannot be used (outage). The worker's log has the store's answer, and \
             `lethe check` tries every permission."
        }
        WorkerProblem::HiddenRows => {
            "The worker may not see all rows: row level security, or a missing right. `lethe check` says \
             which."
        }
        WorkerProblem::NoProgress => {
            "For a minute tasks of several users failed, and none got on: rows are held or slow, or the \
             database or the store refuses to remove them. `lethe tasks list --status failed` says why."
        }
        WorkerProblem::NotRegistered => {
            "The worker cannot register in the database. The worker's log has the error."
        }
    }
}

async fn complaint(pool: &PgPool) -> Option<String> {
    let mut states = match with_timeout(COMPLAINT_LIMIT, state::read(pool)).await {
        Ok(states) => states,
        Err(error) => {
            let error = chain(&error);
            tracing::debug!(error, "the state of reconciliation could not be read");
            return None;
        }
    };
    for state in &mut states {
        // What it failed with may be the words of Clerk or of the database.
        if let Some(failure) = &mut state.failed {
            "`lethe check` says why".clone_into(failure);
        }
    }
    state::complaint(&states)
}

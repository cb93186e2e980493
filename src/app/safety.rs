//! What a process does about pause and limits beside its work: it records its configuration, and says in log and
//! readiness what a person should know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::pool::why_no_connection;
use crate::cause::chain;
use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::http::api::health::ReadyCheck;
use crate::pauses::Pauses;
use crate::safety::{SafetyOptions, SafetyState, configure};
use crate::vocabulary::ProcessRole;

/// How often a process asks whether claiming is paused and erasures are held.
const WATCH_INTERVAL: Duration = Duration::from_secs(2);
/// How often one process warns that erasures are held.
const WARN_INTERVAL: Duration = Duration::from_secs(60);
/// Pauses between two tries of a database that is away or not migrated.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// Readiness waits no longer for what it only notes.
const NOTE_LIMIT: Duration = Duration::from_secs(2);
const NOT_CONFIGURED: &str = "The limits that this process was configured with are not recorded in the database yet. \
                              Its log says why.";

/// Whether the configuration of this process is recorded in the database, and so holds.
#[derive(Debug, Default)]
pub struct Recorded(AtomicBool);

/// Records the configuration of a process, whose host and id are given, as soon as the database takes it. Then it
/// watches, until `shutdown`.
pub fn start(
    pool: PgPool,
    (role, process): (ProcessRole, String),
    options: SafetyOptions,
    recorded: Arc<Recorded>,
    shutdown: CancellationToken,
) {
    tokio::spawn(async move {
        let work = async {
            record(&pool, role, options, &process).await;
            recorded.0.store(true, Ordering::Relaxed);
            watch(&pool).await;
        };
        shutdown.run_until_cancelled(work).await;
    });
}

async fn record(pool: &PgPool, role: ProcessRole, options: SafetyOptions, process: &str) {
    let mut pauses = Pauses::new(FIRST_PAUSE, MAX_PAUSE);
    let mut said = String::new();
    loop {
        let recording = configure(pool, role, options, process);
        let Err(error) = with_timeout(STATEMENT_LIMIT, recording).await else {
            return;
        };
        let error = why_no_connection(pool, &error).await;
        if error != said {
            tracing::warn!(
                error,
                "cannot record the limit of erasures and their delay in the database; trying again"
            );
            said = error;
        }
        sleep(pauses.next_pause()).await;
    }
}

/// Logs when a pause begins and ends, and once a minute that erasures are held.
async fn watch(pool: &PgPool) {
    let mut known = SafetyState::default();
    let mut warned: Option<Instant> = None;
    loop {
        match with_timeout(STATEMENT_LIMIT, SafetyState::read(pool)).await {
            Ok(state) => {
                log_pause(&known, &state);
                if state.held > 0 && warned.is_none_or(|at| at.elapsed() >= WARN_INTERVAL) {
                    tracing::warn!(
                        erasures = state.held,
                        "erasures are held, because more users were to be erased within an hour than ERASURE_LIMIT_PER_HOUR \
                         allows; look at them, then release them with `lethe resume` or cancel them with `lethe erasures \
                         cancel --held`"
                    );
                    warned = Some(Instant::now());
                }
                known = state;
            }
            // Other loops of the process say that the database is away.
            Err(error) => {
                let error = chain(&error);
                tracing::debug!(error, "cannot read whether claiming is paused");
            }
        }
        sleep(WATCH_INTERVAL).await;
    }
}

fn log_pause(known: &SafetyState, state: &SafetyState) {
    match (&known.pause, &state.pause) {
        (None, Some(pause)) => tracing::warn!(
            by = pause.by,
            reason = pause.reason,
            since = pause.at.to_seconds(),
            "claiming is paused; no worker begins a task until somebody runs `lethe resume`"
        ),
        (Some(_), None) => tracing::info!("the pause is over; workers claim tasks again"),
        _ => {}
    }
}

/// Not ready before the configuration is recorded; ready, with a note, while claiming is paused.
pub fn noted(ready: ReadyCheck, pool: PgPool, recorded: Arc<Recorded>) -> ReadyCheck {
    Arc::new(move || {
        let (ready, pool, recorded) = (ready(), pool.clone(), Arc::clone(&recorded));
        Box::pin(async move {
            let detail = ready.await?;
            if !recorded.0.load(Ordering::Relaxed) {
                return Err(NOT_CONFIGURED.to_owned());
            }
            let state = with_timeout(NOTE_LIMIT, SafetyState::read(&pool)).await;
            let note = state.unwrap_or_default().pause.map(|pause| {
                format!(
                    "Claiming is paused since {}: no task begins until somebody resumes it.",
                    pause.at.to_seconds()
                )
            });
            let notes: Vec<String> = [detail, note].into_iter().flatten().collect();
            Ok((!notes.is_empty()).then(|| notes.join(" ")))
        })
    })
}

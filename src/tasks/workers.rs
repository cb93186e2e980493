//! The workers and what they hold.

use poem_openapi::Object;
use sqlx::{PgExecutor, query_file_as};

use crate::vocabulary::{TaskId, Timestamp, WorkerState};

/// How many open tasks of each lane are read to find what the workers hold. Workers claim from this end of the
/// index, and each holds some thousands at most.
const MAX_SCANNED_PER_LANE: i64 = 20_000;
/// The most workers that are shown.
const MAX_WORKERS: i64 = 500;

/// A worker process.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Worker {
    /// Host, process and start of the worker; a new one at each start.
    pub id: String,
    pub state: WorkerState,
    pub started_at: Timestamp,
    /// It counts as lost from then on, unless a heartbeat renews its lease before.
    pub lease_expires_at: Timestamp,
    /// When it deregistered, or was declared lost.
    pub lost_at: Option<Timestamp>,
    /// Whether it sleeps until something is due.
    pub idle: bool,
    /// How many tasks it holds.
    pub tasks: i64,
    /// The first ten of them.
    pub task_ids: Vec<TaskId>,
}

/// All workers, those that are alive first. Lost workers are shown for an hour.
///
/// # Errors
/// Those of the database.
pub async fn workers(executor: impl PgExecutor<'_>) -> Result<Vec<Worker>, sqlx::Error> {
    query_file_as!(
        Worker,
        "sql/tasks/workers.sql",
        MAX_SCANNED_PER_LANE,
        MAX_WORKERS
    )
    .fetch_all(executor)
    .await
}

//! Claims due tasks.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::vocabulary::{TaskId, TaskKind, UserId, WorkerId};

/// A task that this worker holds, with the token that every later write must match.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The task.
    pub id: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// `cleanup_tasks.lane`.
    pub lane: i16,
    /// The id of the sample, image or user that the task deletes.
    pub entity_id: String,
    /// The user whose data is deleted.
    pub user_id: UserId,
    /// The keys of the objects that remain to be deleted.
    pub object_keys: Vec<String>,
    /// The type of the rows that the task names.
    pub row_type: Option<String>,
    /// Where an erasure stands; None for other tasks. In phase `rows` the task itself names all rows and keys.
    pub phase: Option<String>,
    /// This attempt's number, from 1.
    pub attempts: i32,
    /// The fence. It grows with each claim.
    pub lease_token: i64,
    /// When the task was due.
    pub scheduled_at: DateTime<Utc>,
    /// The erasure that this is a part of.
    pub parent_id: Option<TaskId>,
    /// The span of the request that asked for it, as W3C Trace Context writes it.
    pub trace_parent: Option<String>,
    /// Seconds between being due and being claimed, by the database's clock.
    pub waited_seconds: f64,
}

impl Claim {
    /// Whether it is a step of an erasure, which names no rows itself: it plans, waits for parts, or removes rows
    /// without objects.
    #[must_use]
    pub fn is_step(&self) -> bool {
        self.phase.as_deref().is_some_and(|phase| phase != "rows")
    }
}

/// The maximum number of tasks to claim from each lane, and the due time from which to claim.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest {
    /// Maximum number of tasks, by lane in the order of `Lane::ALL`.
    pub limits: [u32; 3],
    /// For each lane, the earliest due time to claim. Normally the last claim ended there, so index entries of
    /// earlier claims are not read again.
    pub watermarks: [DateTime<Utc>; 3],
}

/// Claims due tasks of all lanes in one statement, in order of due time. It does not claim tasks of kinds that only
/// a newer version knows.
///
/// # Errors
/// When the statement fails. If only its answer was lost, tasks may have been claimed: then the caller must stop
/// claiming under this worker's id and deregister it, so that the tasks are rescued.
pub async fn claim(
    pool: &PgPool,
    worker: &WorkerId,
    request: &ClaimRequest,
) -> Result<Vec<Claim>, sqlx::Error> {
    let [small, bulk, quarantine] = request.limits.map(i64::from);
    let statement = sqlx::query_file_as!(
        Claim,
        "sql/queue/claim.sql",
        worker.as_str(),
        request.watermarks[0],
        request.watermarks[1],
        request.watermarks[2],
        small,
        bulk,
        quarantine,
        TaskKind::ALL as &[TaskKind]
    )
    .fetch_all(pool);
    let mut claims = with_timeout(STATEMENT_LIMIT, statement).await?;
    claims.sort_by_key(|claim| (claim.scheduled_at, claim.id));
    Ok(claims)
}

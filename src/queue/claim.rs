//! Taking due tasks.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::vocabulary::{TaskId, TaskKind, UserId, WorkerId};

/// A task that this worker holds, with the token that fences every later write.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The task.
    pub id: TaskId,
    /// What it does.
    pub kind: TaskKind,
    /// `cleanup_tasks.lane`.
    pub lane: i16,
    /// The sample's or user's id.
    pub entity_id: String,
    /// Whose data it is.
    pub user_id: UserId,
    /// What remains to be deleted.
    pub object_keys: Vec<String>,
    /// This attempt's number, from 1.
    pub attempts: i32,
    /// The fence: grows with each claim.
    pub lease_token: i64,
    /// When the task was due.
    pub scheduled_at: DateTime<Utc>,
    /// The erasure that this is a part of.
    pub parent_id: Option<TaskId>,
    /// Seconds between being due and being claimed, by the database's clock.
    pub waited_seconds: f64,
}

/// How many tasks of each lane to claim at most, and from which due time on.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest {
    /// Most tasks, by lane in the order of `Lane::ALL`.
    pub limits: [u32; 3],
    /// The due time from which to claim, by lane: where the last claim ended. The index entries of what was
    /// claimed before are not read again then.
    pub watermarks: [DateTime<Utc>; 3],
}

/// Claims due tasks of all lanes in one statement, in order of due time. Tasks of kinds that only a newer
/// version knows are left to it.
///
/// # Errors
/// When the database cannot be asked. Tasks may have been claimed all the same, if only the answer was lost:
/// the caller must then give up this worker's id, so that others rescue them.
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

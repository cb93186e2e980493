//! Takes erasures back that have not begun.

use sqlx::{PgConnection, PgExecutor, query_file, query_file_as, query_file_scalar};

use crate::db::transaction::planned;
use crate::tasks::Reason;
use crate::vocabulary::{TaskId, Timestamp, UserId};

/// How many held erasures are read at once, to be cancelled one by one.
const HELD_PAGE: i64 = 500;

/// The result of a cancellation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// The user's rows are live again, and the tombstone is gone.
    Cancelled,
    /// A worker has claimed a task of the erasure, or the erasure has ended, so objects may be gone. Nothing was changed.
    Begun,
    /// The erasure of this user was never asked for, or was cancelled before.
    Unknown,
}

/// How many held erasures were cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HeldCancelled {
    pub cancelled: u64,
    /// Erasures that somebody else released or cancelled meanwhile.
    pub left: u64,
}

/// Takes the erasure of a user back, if no task of it was ever claimed. A claim that comes at the same time decides by
/// its row lock: either the claim finds nothing, or this finds that the erasure has begun.
///
/// # Errors
/// When the database refuses. Nothing was changed then.
pub async fn cancel(
    connection: &mut PgConnection,
    user_id: &UserId,
    actor: &str,
    reason: Option<&Reason>,
) -> Result<CancelOutcome, sqlx::Error> {
    let mut tx = planned(connection).await?;
    let result = query_file_scalar!(
        "sql/safety/cancel.sql",
        user_id.as_str(),
        actor,
        reason.map(Reason::as_str)
    )
    .fetch_one(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(match result.as_str() {
        "cancelled" => CancelOutcome::Cancelled,
        "unknown" => CancelOutcome::Unknown,
        _ => CancelOutcome::Begun,
    })
}

/// Cancels every held erasure, each in a transaction of its own.
///
/// # Errors
/// When the database refuses. What was cancelled before stays cancelled.
pub async fn cancel_held(
    connection: &mut PgConnection,
    actor: &str,
    reason: &Reason,
) -> Result<HeldCancelled, sqlx::Error> {
    let mut total = HeldCancelled::default();
    let mut last = TaskId(0);
    loop {
        let page = query_file!("sql/safety/held_users.sql", last as TaskId, HELD_PAGE)
            .fetch_all(&mut *connection)
            .await?;
        let Some(end) = page.last().map(|held| held.id) else {
            return Ok(total);
        };
        for held in page {
            match cancel(&mut *connection, &held.user_id, actor, Some(reason)).await? {
                CancelOutcome::Cancelled => total.cancelled += 1,
                CancelOutcome::Begun | CancelOutcome::Unknown => total.left += 1,
            }
        }
        last = end;
    }
}

/// An erasure that was taken back.
#[derive(Debug)]
pub struct CancelledErasure {
    pub requested_at: Timestamp,
    pub requested_by: String,
    /// JSON: each type of the map with 0, as in other receipts.
    pub rows_deleted: serde_json::Value,
}

/// The last erasure of this user that was cancelled. `None` if none was.
///
/// # Errors
/// Those of the database.
pub async fn cancelled_erasure(
    executor: impl PgExecutor<'_>,
    user_id: &str,
) -> Result<Option<CancelledErasure>, sqlx::Error> {
    query_file_as!(
        CancelledErasure,
        "sql/safety/cancelled_erasure.sql",
        user_id
    )
    .fetch_optional(executor)
    .await
}

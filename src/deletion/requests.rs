//! The requests for a deletion. Each one is one transaction.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, query_file, query_file_scalar};
use uuid::Uuid;

use crate::db::retry::retry_on_conflict;
use crate::db::transaction::begin;
use crate::vocabulary::{TaskId, UserId, WebhookOutcome};

/// The actor in the audit trail for a deletion that Clerk reported.
pub const WEBHOOK_ACTOR: &str = "clerk:user.deleted";
/// The only event type that causes a deletion.
pub const USER_DELETED: &str = "user.deleted";

/// On whose behalf a sample is deleted or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority<'a> {
    /// This user, and only for samples of their own.
    Owner(&'a str),
    Admin,
}

impl Authority<'_> {
    pub(super) fn covers(self, owner: &str) -> bool {
        match self {
            Self::Owner(user_id) => user_id == owner,
            Self::Admin => true,
        }
    }
}

/// Handles a verified delivery: stores its id and, for `user.deleted`, requests the erasure.
///
/// # Errors
/// When the database fails. Nothing was written then.
pub async fn delete_user_by_webhook(
    pool: &PgPool,
    svix_id: &str,
    body_sha256: &[u8; 32],
    event_type: &str,
    user_id: Option<&UserId>,
) -> Result<WebhookOutcome, sqlx::Error> {
    retry_on_conflict(async || {
        let mut tx = begin(pool).await?;
        let inserted = query_file!(
            "sql/deletion/seen_webhook.sql",
            svix_id,
            body_sha256,
            event_type,
            user_id.map(UserId::as_str)
        )
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if inserted == 0 {
            let seen = query_file_scalar!("sql/deletion/webhook_digest.sql", svix_id)
                .fetch_one(&mut *tx)
                .await?;
            return Ok(if seen == body_sha256 {
                WebhookOutcome::Repeated
            } else {
                WebhookOutcome::Conflict
            });
        }
        let outcome = match (event_type, user_id) {
            (USER_DELETED, Some(user_id)) => {
                request_user(&mut tx, user_id, WEBHOOK_ACTOR).await?;
                WebhookOutcome::Accepted
            }
            (USER_DELETED, None) => WebhookOutcome::MissingUser,
            _ => WebhookOutcome::Ignored,
        };
        tx.commit().await?;
        Ok(outcome)
    })
    .await
}

/// Requests the erasure of a user, who need not exist, and returns its task's id.
///
/// # Errors
/// When the database fails. Nothing was written then.
pub async fn delete_user(
    pool: &PgPool,
    user_id: &UserId,
    actor: &str,
) -> Result<TaskId, sqlx::Error> {
    retry_on_conflict(async || {
        let mut tx = begin(pool).await?;
        let task = request_user(&mut tx, user_id, actor).await?;
        tx.commit().await?;
        Ok(task)
    })
    .await
}

/// Requests the deletion of a sample, which can be restored for `grace`, and returns its task's id.
/// `None` if there is no such sample for this caller, or if its user is deleted.
///
/// # Errors
/// When the database fails. Nothing was written then.
pub async fn delete_sample(
    pool: &PgPool,
    sample_id: Uuid,
    authority: Authority<'_>,
    actor: &str,
    grace: Duration,
) -> Result<Option<TaskId>, sqlx::Error> {
    retry_on_conflict(async || {
        let mut tx = begin(pool).await?;
        let Some(sample) = lock_sample(&mut tx, sample_id, authority).await? else {
            return Ok(None);
        };
        if sample.owner_deleted {
            return Ok(None);
        }
        let task = query_file_scalar!(
            "sql/deletion/request_sample.sql",
            sample_id,
            actor,
            grace.as_secs_f64()
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(task.map(TaskId))
    })
    .await
}

/// A sample's row, locked.
#[derive(Debug)]
pub(super) struct LockedSample {
    pub id: Uuid,
    pub user_id: String,
    pub collection_id: Option<Uuid>,
    pub name: Option<String>,
    pub created_at: chrono::DateTime<chrono::Utc>,
    pub deleted: bool,
    pub deleted_by: Option<String>,
    pub owner_deleted: bool,
}

/// Locks the sample against its owner's deletion and against other requests. The owner is locked first, as in the
/// erasure. `None` if there is no such sample, or if `authority` does not cover it.
pub(super) async fn lock_sample(
    connection: &mut PgConnection,
    sample_id: Uuid,
    authority: Authority<'_>,
) -> Result<Option<LockedSample>, sqlx::Error> {
    let owner = query_file_scalar!("sql/deletion/sample_owner.sql", sample_id)
        .fetch_optional(&mut *connection)
        .await?
        .filter(|owner| authority.covers(owner));
    let Some(owner) = owner else {
        return Ok(None);
    };
    query_file!("sql/deletion/lock_owner.sql", owner)
        .fetch_one(&mut *connection)
        .await?;
    let sample = sqlx::query_file_as!(LockedSample, "sql/deletion/lock_sample.sql", sample_id)
        .fetch_optional(&mut *connection)
        .await?;
    // The sample may have been given to another user since its owner was read.
    Ok(sample.filter(|sample| sample.user_id == owner))
}

async fn request_user(
    connection: &mut PgConnection,
    user_id: &UserId,
    actor: &str,
) -> Result<TaskId, sqlx::Error> {
    let task = query_file_scalar!("sql/deletion/request_user.sql", user_id.as_str(), actor)
        .fetch_one(connection)
        .await?;
    Ok(TaskId(task))
}

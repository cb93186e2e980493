//! The requests for a deletion. Each one is one transaction.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Postgres, Transaction, query_file, query_file_scalar};

use crate::db::retry::retry_on_conflict;
use crate::db::transaction::begin;
use crate::telemetry::traces::current_parent;
use crate::vocabulary::{TaskId, UserId, WebhookOutcome};

/// The actor in the audit trail for a deletion that Clerk reported.
pub const WEBHOOK_ACTOR: &str = "clerk:user.deleted";
/// The only event type that causes a deletion.
pub const USER_DELETED: &str = "user.deleted";

/// On whose behalf a row is deleted or restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Authority<'a> {
    /// This user, and only for rows of their own.
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

/// Begins the transaction of a request. Its tasks belong to the trace of the request, if there is one.
async fn begin_request(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut tx = begin(pool).await?;
    if let Some(parent) = current_parent() {
        query_file!("sql/deletion/trace_parent.sql", parent)
            .fetch_one(&mut *tx)
            .await?;
    }
    Ok(tx)
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
        let mut tx = begin_request(pool).await?;
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
                match request_user(&mut tx, user_id, WEBHOOK_ACTOR, None).await? {
                    Some(_) => WebhookOutcome::Accepted,
                    None => WebhookOutcome::NotAUser,
                }
            }
            (USER_DELETED, None) => WebhookOutcome::MissingUser,
            _ => WebhookOutcome::Ignored,
        };
        tx.commit().await?;
        Ok(outcome)
    })
    .await
}

/// Requests the erasure of a user, who need not exist, and returns its task's id. `None` if the erasure map refuses this
/// id: it does not match `ids`, or is one of `never`. The reason goes to the audit trail, unless the erasure was asked
/// for before.
///
/// # Errors
/// When the database fails. Nothing was written then.
pub async fn delete_user(
    pool: &PgPool,
    user_id: &UserId,
    actor: &str,
    reason: Option<&str>,
) -> Result<Option<TaskId>, sqlx::Error> {
    retry_on_conflict(async || {
        let mut tx = begin_request(pool).await?;
        let task = request_user(&mut tx, user_id, actor, reason).await?;
        tx.commit().await?;
        Ok(task)
    })
    .await
}

/// A row that may be deleted alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityRef<'a> {
    /// The type that the erasure map gives it.
    pub of_type: &'a str,
    /// Its id as text; of a composite key the JSON array of its parts.
    pub id: &'a str,
}

/// Requests the deletion of a row, which can be restored for `grace`, and returns its task's id.
/// `None` if there is no such row for this caller, or if its user is deleted.
///
/// # Errors
/// When the database fails. Nothing was written then.
pub async fn delete_entity(
    pool: &PgPool,
    entity: EntityRef<'_>,
    authority: Authority<'_>,
    actor: &str,
    grace: Duration,
) -> Result<Option<TaskId>, sqlx::Error> {
    retry_on_conflict(async || {
        let mut tx = begin_request(pool).await?;
        let Some(locked) = lock_entity(&mut tx, entity, authority).await? else {
            return Ok(None);
        };
        if locked.owner_deleted {
            return Ok(None);
        }
        let task = query_file_scalar!(
            "sql/deletion/request_entity.sql",
            entity.of_type,
            locked.id,
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

/// Whether there is such a row that may be deleted alone.
///
/// # Errors
/// When the database fails.
pub async fn has_entity(pool: &PgPool, entity: EntityRef<'_>) -> Result<bool, sqlx::Error> {
    let (of_type, id) = (entity.of_type, entity.id);
    let mut tx = begin(pool).await?;
    let owner = query_file_scalar!("sql/deletion/owner_of_entity.sql", of_type, id)
        .fetch_one(&mut *tx)
        .await?;
    Ok(owner.is_some())
}

/// A row that may be deleted alone, locked.
#[derive(Debug)]
pub(super) struct LockedEntity {
    pub id: String,
    pub user_id: String,
    pub deleted: bool,
    pub deleted_by: Option<String>,
    pub owner_deleted: bool,
    /// Other columns, of the types of the built-in map.
    pub details: serde_json::Value,
}

/// Locks the row against its owner's deletion and against other requests. The owner is locked first, as in the
/// erasure. `None` if there is no such row, or if `authority` does not cover it.
pub(super) async fn lock_entity(
    connection: &mut PgConnection,
    entity: EntityRef<'_>,
    authority: Authority<'_>,
) -> Result<Option<LockedEntity>, sqlx::Error> {
    let (of_type, id) = (entity.of_type, entity.id);
    let owner = query_file_scalar!("sql/deletion/owner_of_entity.sql", of_type, id)
        .fetch_one(&mut *connection)
        .await?
        .filter(|owner| authority.covers(owner));
    let Some(owner) = owner else {
        return Ok(None);
    };
    query_file!("sql/deletion/lock_owner.sql", owner)
        .fetch_one(&mut *connection)
        .await?;
    let locked = sqlx::query_file_as!(LockedEntity, "sql/deletion/lock_entity.sql", of_type, id)
        .fetch_optional(&mut *connection)
        .await?;
    // The row may have been given to another user since its owner was read.
    Ok(locked.filter(|locked| locked.user_id == owner))
}

/// `None` if the erasure map refuses this id: it does not match `ids`, or is one of `never`.
async fn request_user(
    connection: &mut PgConnection,
    user_id: &UserId,
    actor: &str,
    reason: Option<&str>,
) -> Result<Option<TaskId>, sqlx::Error> {
    let task = query_file_scalar!(
        "sql/deletion/request_user.sql",
        user_id.as_str(),
        actor,
        reason
    )
    .fetch_one(connection)
    .await?;
    Ok(task.map(TaskId))
}

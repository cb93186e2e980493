//! Takes the deletion of a row back, as long as its cleanup has not begun.

use sqlx::{PgPool, query_file};

use super::requests::{Authority, EntityRef, LockedEntity, lock_entity};
use crate::db::retry::retry_on_conflict;
use crate::db::transaction::begin;
use crate::vocabulary::AuditEvent;

/// A row that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveEntity {
    pub id: String,
    pub user_id: String,
    /// Other columns, of the types of the built-in map.
    pub details: serde_json::Value,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The row is live. It was restored, or it had not been deleted.
    Live(LiveEntity),
    /// This caller has no such row, or it no longer exists.
    NotFound,
    /// Its user is deleted, and so everything of this user will be deleted.
    UserDeleted,
    /// Somebody else requested the deletion. Only an admin may take it back.
    DeletedByOther,
    /// Cleanup has begun, so objects may be gone.
    Begun,
    /// It was soft-deleted by something else than Lethe, so there is no deletion to take back.
    NotRequested,
}

/// Restores a row and what was deleted with it. Its task is cancelled and keeps its keys. An owner can take a deletion
/// back only if `actor`, which is the owner, requested it.
///
/// # Errors
/// When the database fails. Nothing was written then.
pub async fn restore_entity(
    pool: &PgPool,
    entity: EntityRef<'_>,
    authority: Authority<'_>,
    actor: &str,
) -> Result<RestoreOutcome, sqlx::Error> {
    retry_on_conflict(async || {
        let mut tx = begin(pool).await?;
        let Some(locked) = lock_entity(&mut tx, entity, authority).await? else {
            return Ok(RestoreOutcome::NotFound);
        };
        if locked.owner_deleted {
            return Ok(RestoreOutcome::UserDeleted);
        }
        let task = query_file!("sql/deletion/lock_open_task.sql", locked.id, entity.of_type)
            .fetch_optional(&mut *tx)
            .await?;
        // A row whose table has no column for it is deleted as long as its task is open.
        if !locked.deleted && task.is_none() {
            return Ok(RestoreOutcome::Live(locked.into()));
        }
        // Where the table has no column for it, the request says who asked.
        let asked_by = task.as_ref().and_then(|task| task.asked_by.as_deref());
        let deleted_by = locked.deleted_by.as_deref().or(asked_by);
        if authority != Authority::Admin && deleted_by != Some(actor) {
            return Ok(RestoreOutcome::DeletedByOther);
        }
        let task = match task {
            None => return Ok(RestoreOutcome::NotRequested),
            Some(task) if !task.untouched => return Ok(RestoreOutcome::Begun),
            Some(task) => task.id,
        };
        query_file!(
            "sql/deletion/restore_entity.sql",
            entity.of_type,
            locked.id,
            task
        )
        .fetch_one(&mut *tx)
        .await?;
        let event = match entity.of_type {
            "sample" => AuditEvent::SampleRestored,
            _ => AuditEvent::EntityRestored,
        };
        query_file!(
            "sql/deletion/audit_restore.sql",
            event as AuditEvent,
            actor,
            task
        )
        .execute(&mut *tx)
        .await?;
        query_file!("sql/deletion/cancel_task.sql", task)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(RestoreOutcome::Live(locked.into()))
    })
    .await
}

impl From<LockedEntity> for LiveEntity {
    fn from(entity: LockedEntity) -> Self {
        Self {
            id: entity.id,
            user_id: entity.user_id,
            details: entity.details,
        }
    }
}

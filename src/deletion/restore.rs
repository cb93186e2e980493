//! Takes a sample's deletion back, as long as its cleanup has not begun.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, query_file};
use uuid::Uuid;

use super::requests::{Authority, LockedSample, lock_sample};
use crate::db::retry::retry_on_conflict;
use crate::db::transaction::begin;

/// A sample that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSample {
    pub id: Uuid,
    pub user_id: String,
    pub collection_id: Option<Uuid>,
    pub name: Option<String>,
    pub created_at: DateTime<Utc>,
}

/// The result of a restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The sample is live. It was restored, or it had not been deleted.
    Live(LiveSample),
    /// This caller has no such sample, or it no longer exists.
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

/// Restores a sample and the images that were deleted with it. Its task is cancelled and keeps its
/// keys. An owner can take a deletion back only if `actor`, which is the owner, requested it.
///
/// # Errors
/// When the database fails. Nothing was written then.
pub async fn restore_sample(
    pool: &PgPool,
    sample_id: Uuid,
    authority: Authority<'_>,
    actor: &str,
) -> Result<RestoreOutcome, sqlx::Error> {
    retry_on_conflict(async || {
        let mut tx = begin(pool).await?;
        let Some(sample) = lock_sample(&mut tx, sample_id, authority).await? else {
            return Ok(RestoreOutcome::NotFound);
        };
        if sample.owner_deleted {
            return Ok(RestoreOutcome::UserDeleted);
        }
        if !sample.deleted {
            return Ok(RestoreOutcome::Live(sample.into()));
        }
        if authority != Authority::Admin && sample.deleted_by.as_deref() != Some(actor) {
            return Ok(RestoreOutcome::DeletedByOther);
        }
        let id = sample_id.to_string();
        let task = query_file!("sql/deletion/lock_open_task.sql", id)
            .fetch_optional(&mut *tx)
            .await?;
        let task = match task {
            None => return Ok(RestoreOutcome::NotRequested),
            Some(task) if !task.untouched => return Ok(RestoreOutcome::Begun),
            Some(task) => task.id,
        };
        query_file!("sql/deletion/restore_images.sql", sample_id, task)
            .execute(&mut *tx)
            .await?;
        query_file!("sql/deletion/cancel_task.sql", task)
            .fetch_one(&mut *tx)
            .await?;
        query_file!("sql/deletion/restore_sample.sql", sample_id)
            .execute(&mut *tx)
            .await?;
        query_file!(
            "sql/deletion/audit_restore.sql",
            actor,
            task,
            id,
            sample.user_id
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(RestoreOutcome::Live(sample.into()))
    })
    .await
}

impl From<LockedSample> for LiveSample {
    fn from(sample: LockedSample) -> Self {
        Self {
            id: sample.id,
            user_id: sample.user_id,
            collection_id: sample.collection_id,
            name: sample.name,
            created_at: sample.created_at,
        }
    }
}

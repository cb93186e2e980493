//! Writes the task for one candidate, after a second check under the locks that every other deletion of that
//! user takes.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Candidate, PassContext, ReconcileError};
use crate::db::sqlstate::{Meaning, is_temporary, meaning};
use crate::db::transaction::begin;
use crate::vocabulary::EntityType;

/// How often one candidate is tried while somebody else holds its rows. The next pass finds it again.
const MAX_TRIES: u32 = 3;

/// Why a candidate is to be deleted.
#[derive(Clone, Copy, Debug)]
pub(super) enum EnqueueReason {
    /// It is soft-deleted, or its tombstone says that it was erased before.
    Deleted {
        /// For how long a sample can be restored, counted from its soft delete.
        grace_period: Duration,
    },
    /// Clerk no longer has this user.
    MissingInClerk {
        /// Users that were created after this are left alone.
        created_before: DateTime<Utc>,
    },
}

/// What became of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EnqueueResult {
    /// A task was written.
    Enqueued,
    /// Its deletion began, ended or was taken back since the candidate was found.
    NotNeeded,
    /// The database refused this candidate (a trigger of the application, a lock that does not end), and the
    /// log says why. Other candidates are not affected.
    Refused,
}

/// Writes the task for one candidate, in a transaction of its own.
///
/// # Errors
/// When the database is away, or the pass has to end.
pub(super) async fn enqueue(
    context: PassContext<'_>,
    candidate: &Candidate,
    reason: EnqueueReason,
) -> Result<EnqueueResult, ReconcileError> {
    context.keep().await?;
    let Candidate {
        entity_type,
        id,
        user_id,
    } = candidate;
    let mut tries = 1;
    loop {
        let error = match write_task(context, candidate, reason).await {
            Ok(Some(task_id)) => {
                match reason {
                    EnqueueReason::Deleted { .. } => tracing::info!(
                        %entity_type, id, user_id, task_id,
                        "reconciliation enqueued a deletion that had no task"
                    ),
                    EnqueueReason::MissingInClerk { .. } => tracing::warn!(
                        user_id,
                        task_id,
                        "Clerk no longer has this user; reconciliation enqueued the erasure"
                    ),
                }
                return Ok(EnqueueResult::Enqueued);
            }
            Ok(None) => return Ok(EnqueueResult::NotNeeded),
            Err(error) => error,
        };
        let meaning = meaning(&error);
        let is_about_locks = matches!(meaning, Meaning::Conflict | Meaning::Locked);
        // A row that is held or slow does not end the pass for everybody else.
        let is_of_this_row = is_about_locks || meaning == Meaning::TooSlow;
        if is_about_locks && tries < MAX_TRIES {
            tries += 1;
        } else if is_temporary(&error) && !is_of_this_row {
            return Err(error.into());
        } else {
            tracing::error!(
                %entity_type, id, user_id, %error,
                "reconciliation could not enqueue a deletion; the next pass tries again"
            );
            return Ok(EnqueueResult::Refused);
        }
    }
}

/// The new task's id. `None` if no task is needed any more.
async fn write_task(
    context: PassContext<'_>,
    candidate: &Candidate,
    reason: EnqueueReason,
) -> Result<Option<i64>, sqlx::Error> {
    let id = &candidate.id;
    let of_type = candidate.entity_type.as_str();
    let is_user = of_type == EntityType::User.as_str();
    let mut tx = begin(context.pool).await?;
    sqlx::query_file!("sql/reconcile/lock_user.sql", candidate.user_id, is_user)
        .fetch_one(&mut *tx)
        .await?;
    let task = match reason {
        EnqueueReason::MissingInClerk { created_before } => {
            sqlx::query_file_scalar!("sql/reconcile/enqueue_missing_user.sql", id, created_before)
                .fetch_optional(&mut *tx)
                .await?
        }
        EnqueueReason::Deleted { .. } if is_user => {
            sqlx::query_file_scalar!("sql/reconcile/enqueue_user.sql", id)
                .fetch_optional(&mut *tx)
                .await?
        }
        EnqueueReason::Deleted { grace_period } => {
            sqlx::query_file!("sql/reconcile/lock_entity.sql", of_type, id)
                .fetch_optional(&mut *tx)
                .await?;
            let grace = grace_period.as_secs_f64();
            sqlx::query_file_scalar!("sql/reconcile/enqueue_entity.sql", of_type, id, grace)
                .fetch_optional(&mut *tx)
                .await?
        }
    };
    tx.commit().await?;
    Ok(task.flatten())
}

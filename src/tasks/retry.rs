//! Another attempt for tasks that failed or are dead, by a person's decision.

use sqlx::{PgConnection, query_file, query_file_scalar};

use super::show::find;
use super::task::Task;
use crate::db::transaction::planned;
use crate::vocabulary::{ErrorClass, TaskId, TaskStatus};

/// The most tasks that are retried in one transaction.
const MAX_BATCH: i64 = 1000;
/// The longest reason, in characters.
pub const MAX_REASON_CHARS: usize = 500;

/// Why a person wants another attempt, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl Reason {
    /// # Errors
    /// With the rule that the text breaks, as the end of a sentence that begins with the field's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let fits = (1..=MAX_REASON_CHARS).contains(&text.chars().count());
        if !fits || text.contains('\0') {
            return Err(format!(
                "must have 1 to {MAX_REASON_CHARS} characters, not blank"
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text, without blanks around it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which tasks are retried; what is `None` does not filter.
#[derive(Debug, Default)]
pub struct RetryFilter {
    /// `failed` or `dead`; `None` means both. Others have nothing to retry.
    pub status: Option<TaskStatus>,
    pub entity_type: Option<String>,
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub error_class: Option<ErrorClass>,
}

/// Why there is no other attempt.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no task {0}")]
    Unknown(TaskId),
    #[error("a {0} task cannot be tried again")]
    Finished(TaskStatus),
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A task after a retry was asked for.
#[derive(Debug)]
pub struct RetriedTask {
    pub task: Task,
    /// Whether the retry changed it. A task that is pending or running needs none.
    pub is_changed: bool,
}

/// Makes one task due now if it failed or is dead. A task that is pending or running stays as it is.
///
/// # Errors
/// For an unknown task, a completed or cancelled one, and when the database refuses.
pub async fn retry(
    connection: &mut PgConnection,
    id: TaskId,
    actor: &str,
    reason: &Reason,
) -> Result<RetriedTask, RetryError> {
    let mut tx = planned(connection).await?;
    let status = query_file_scalar!("sql/tasks/lock.sql", id as TaskId)
        .fetch_one(&mut *tx)
        .await?
        .ok_or(RetryError::Unknown(id))?;
    refuse_finished(Some(status))?;
    let changed = retry_batch(&mut tx, &[id], actor, reason).await?;
    let task = find(&mut *tx, id).await?.ok_or(RetryError::Unknown(id))?;
    tx.commit().await?;
    let is_changed = changed > 0;
    Ok(RetriedTask { task, is_changed })
}

/// Makes all tasks due now that failed or are dead and match the filter, in batches of a transaction each.
/// Returns their number.
///
/// # Errors
/// For a filter by a finished status, and when the database refuses; earlier batches stay committed.
pub async fn retry_all(
    connection: &mut PgConnection,
    filter: &RetryFilter,
    actor: &str,
    reason: &Reason,
) -> Result<u64, RetryError> {
    refuse_finished(filter.status)?;
    if matches!(
        filter.status,
        Some(TaskStatus::Pending | TaskStatus::Running)
    ) {
        return Ok(0);
    }
    let mut total = 0;
    let mut last = TaskId(0);
    loop {
        let mut tx = planned(&mut *connection).await?;
        let batch = query_file_scalar!(
            "sql/tasks/retry_candidates.sql",
            filter.status as Option<TaskStatus>,
            filter.entity_type.as_deref(),
            filter.entity_id.as_deref(),
            filter.user_id.as_deref(),
            filter.error_class as Option<ErrorClass>,
            last as TaskId,
            MAX_BATCH
        )
        .fetch_all(&mut *tx)
        .await?;
        let Some(end) = batch.last().copied() else {
            return Ok(total);
        };
        total += retry_batch(&mut tx, &batch, actor, reason).await?;
        tx.commit().await?;
        last = end;
    }
}

async fn retry_batch(
    connection: &mut PgConnection,
    ids: &[TaskId],
    actor: &str,
    reason: &Reason,
) -> Result<u64, sqlx::Error> {
    let retried = query_file!("sql/tasks/retry.sql", ids as &[TaskId], actor, reason.0)
        .execute(connection)
        .await?;
    Ok(retried.rows_affected())
}

fn refuse_finished(status: Option<TaskStatus>) -> Result<(), RetryError> {
    match status {
        Some(status @ (TaskStatus::Completed | TaskStatus::Cancelled)) => {
            Err(RetryError::Finished(status))
        }
        _ => Ok(()),
    }
}

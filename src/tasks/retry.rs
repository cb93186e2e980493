//! Another attempt for tasks that failed or are dead, by a person's decision.

use poem_openapi::{Object, types::Example};
use sqlx::{PgConnection, query_file, query_file_scalar};

use super::entity_ids;
use super::show::find;
use super::task::Task;
use crate::db::transaction::{planned, read_only};
use crate::vocabulary::{ErrorClass, TaskId, TaskKind, TaskStatus};

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
    pub kind: Option<TaskKind>,
    pub entity_type: Option<String>,
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub error_class: Option<ErrorClass>,
    /// The erasure of which they are parts.
    pub parent_id: Option<TaskId>,
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

/// A task, and whether the retry changed it.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(example)]
pub struct RetriedTask {
    #[oai(flatten)]
    pub task: Task,
    /// False for a task that is pending or running: it needs no retry, and stays as it is.
    pub retried: bool,
}

impl Example for RetriedTask {
    fn example() -> Self {
        Self {
            task: Task::example(),
            retried: true,
        }
    }
}

/// How many tasks are tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Object)]
pub struct Retried {
    pub retried: i64,
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
    let retried = changed > 0;
    Ok(RetriedTask { task, retried })
}

/// What [`retry`] would answer now. Nothing is changed, and nothing is written to the audit trail.
///
/// # Errors
/// Those of [`retry`].
pub async fn would_retry(
    connection: &mut PgConnection,
    id: TaskId,
) -> Result<RetriedTask, RetryError> {
    let mut tx = read_only(connection).await?;
    let task = find(&mut *tx, id).await?.ok_or(RetryError::Unknown(id))?;
    refuse_finished(Some(task.status))?;
    let retried = matches!(task.status, TaskStatus::Failed | TaskStatus::Dead);
    Ok(RetriedTask { task, retried })
}

/// Makes all tasks due now that failed or are dead and match the filter, in batches of a transaction each.
///
/// # Errors
/// For a filter by a finished status, and when the database refuses; earlier batches stay committed.
pub async fn retry_all(
    connection: &mut PgConnection,
    filter: &RetryFilter,
    actor: &str,
    reason: &Reason,
) -> Result<Retried, RetryError> {
    let mut candidates = Candidates::new(filter)?;
    let mut retried = 0;
    loop {
        let mut tx = planned(&mut *connection).await?;
        let batch = candidates.next(&mut tx).await?;
        if batch.is_empty() {
            return Ok(Retried { retried });
        }
        retried += retry_batch(&mut tx, &batch, actor, reason).await?;
        tx.commit().await?;
    }
}

/// How many tasks [`retry_all`] would retry now. Nothing is changed, and nothing is written to the audit trail.
///
/// # Errors
/// Those of [`retry_all`].
pub async fn would_retry_all(
    connection: &mut PgConnection,
    filter: &RetryFilter,
) -> Result<Retried, RetryError> {
    let mut candidates = Candidates::new(filter)?;
    let mut retried = 0;
    loop {
        let mut tx = read_only(&mut *connection).await?;
        let batch = candidates.next(&mut tx).await?;
        if batch.is_empty() {
            return Ok(Retried { retried });
        }
        retried += count(batch.len() as u64);
    }
}

/// The tasks that failed or are dead and match a filter, in batches.
struct Candidates<'a> {
    filter: &'a RetryFilter,
    entity_ids: Option<Vec<String>>,
    /// The last task of the batch before.
    last: TaskId,
}

impl<'a> Candidates<'a> {
    fn new(filter: &'a RetryFilter) -> Result<Self, RetryError> {
        refuse_finished(filter.status)?;
        Ok(Self {
            filter,
            entity_ids: entity_ids(filter.entity_id.as_deref()),
            last: TaskId(0),
        })
    }

    /// The next batch; an empty one is the end.
    async fn next(&mut self, connection: &mut PgConnection) -> Result<Vec<TaskId>, sqlx::Error> {
        let filter = self.filter;
        let batch = query_file_scalar!(
            "sql/tasks/retry_candidates.sql",
            filter.status as Option<TaskStatus>,
            filter.entity_type.as_deref(),
            self.entity_ids.as_deref(),
            filter.user_id.as_deref(),
            filter.error_class as Option<ErrorClass>,
            self.last as TaskId,
            MAX_BATCH,
            filter.kind as Option<TaskKind>,
            filter.parent_id as Option<TaskId>
        )
        .fetch_all(connection)
        .await?;
        self.last = batch.last().copied().unwrap_or(self.last);
        Ok(batch)
    }
}

async fn retry_batch(
    connection: &mut PgConnection,
    ids: &[TaskId],
    actor: &str,
    reason: &Reason,
) -> Result<i64, sqlx::Error> {
    let retried = query_file!("sql/tasks/retry.sql", ids as &[TaskId], actor, reason.0)
        .execute(connection)
        .await?;
    Ok(count(retried.rows_affected()))
}

fn count(rows: u64) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn refuse_finished(status: Option<TaskStatus>) -> Result<(), RetryError> {
    match status {
        Some(status @ (TaskStatus::Completed | TaskStatus::Cancelled)) => {
            Err(RetryError::Finished(status))
        }
        _ => Ok(()),
    }
}

//! One task and what happened to it.

use poem_openapi::Object;
use sqlx::{PgConnection, PgExecutor, query_file, query_file_as};

use super::audit::{AuditEntry, AuditFilter, list_audit};
use super::task::Task;
use crate::cursor::{ListError, Page};
use crate::db::transaction::read_only;
use crate::vocabulary::{EntityId, ErrorClass, TaskId, TaskStatus, Timestamp};

/// A task is shown with this number of its newest audit entries; the list of the audit trail has them all.
const MAX_HISTORY: usize = 100;

/// A task and what happened to it.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct TaskWithHistory {
    #[oai(flatten)]
    pub task: Task,
    /// The type of the rows in `rowIds`.
    pub row_type: Option<String>,
    /// The rows that the task itself names and that remain, at most 1,000. Those of a large erasure stand in its parts. Of a
    /// composite key its parts, each percent-encoded, joined by `~`.
    pub row_ids: Vec<String>,
    /// Newest first, at most 100.
    pub history: Vec<AuditEntry>,
}

/// The task with this id. `None` if there is none.
///
/// # Errors
/// Those of the database.
pub async fn find(executor: impl PgExecutor<'_>, id: TaskId) -> Result<Option<Task>, sqlx::Error> {
    query_file_as!(Task, "sql/tasks/show.sql", id as TaskId)
        .fetch_optional(executor)
        .await
}

/// The task with this id and its history. `None` if there is none.
///
/// # Errors
/// Those of the database.
pub async fn show(
    connection: &mut PgConnection,
    id: TaskId,
) -> Result<Option<TaskWithHistory>, ListError> {
    let mut tx = read_only(connection).await?;
    let Some(task) = find(&mut *tx, id).await? else {
        return Ok(None);
    };
    let filter = AuditFilter {
        task_id: Some(id),
        ..AuditFilter::default()
    };
    let newest = Page {
        size: MAX_HISTORY,
        cursor: None,
    };
    let history = list_audit(&mut tx, &filter, newest).await?.items;
    let rows = query_file!("sql/tasks/rows.sql", id as TaskId)
        .fetch_all(&mut *tx)
        .await?;
    Ok(Some(TaskWithHistory {
        task,
        row_type: rows.first().map(|row| row.row_type.clone()),
        row_ids: rows.into_iter().map(|row| row.id.into()).collect(),
        history,
    }))
}

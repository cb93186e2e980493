//! Tasks in pages, newest first.

use poem_openapi::Object;
use sqlx::{PgConnection, query_file_as};

use super::entity_tasks;
use super::task::Task;
use crate::cursor;
use crate::db::transaction::read_only;
use crate::vocabulary::{EntityType, ErrorClass, TaskId, TaskStatus, Timestamp};

/// A page of tasks, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct TaskPage {
    pub items: Vec<Task>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

/// Which tasks are listed; what is `None` does not filter.
#[derive(Debug, Default)]
pub struct TaskFilter {
    pub status: Option<TaskStatus>,
    pub entity_type: Option<EntityType>,
    /// A sample's, an image's or a user's id.
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub error_class: Option<ErrorClass>,
    /// Older than this task, which ended the last page.
    pub older_than: Option<TaskId>,
}

/// A page of `size` tasks, newest first.
///
/// # Errors
/// Those of the database.
pub async fn list(
    connection: &mut PgConnection,
    filter: &TaskFilter,
    size: usize,
) -> Result<TaskPage, sqlx::Error> {
    let mut tx = read_only(connection).await?;
    let entity_tasks = entity_tasks(&mut tx, filter.entity_id.as_deref()).await?;
    let mut items = query_file_as!(
        Task,
        "sql/tasks/list.sql",
        filter.status as Option<TaskStatus>,
        filter.entity_type as Option<EntityType>,
        filter.entity_id.as_deref(),
        filter.user_id.as_deref(),
        filter.error_class as Option<ErrorClass>,
        filter.older_than as Option<TaskId>,
        cursor::rows_to_read(size),
        entity_tasks.as_deref()
    )
    .fetch_all(&mut *tx)
    .await?;
    let next_cursor = cursor::cut_page(&mut items, size, |task| vec![task.id.to_string()]);
    Ok(TaskPage { items, next_cursor })
}

//! Tasks in pages, newest first.

use poem_openapi::Object;
use sqlx::{PgConnection, query_file_as};

use super::task::Task;
use super::types::check_type;
use super::{entity_ids, entity_tasks};
use crate::cursor::{ListError, ListId, Page, bytes_of, read_rows, rows_to_read};
use crate::db::transaction::read_only;
use crate::vocabulary::{EntityId, ErrorClass, TaskId, TaskKind, TaskStatus, Timestamp};

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
    pub kind: Option<TaskKind>,
    pub entity_type: Option<String>,
    /// A sample's, an image's or a user's id.
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub error_class: Option<ErrorClass>,
    /// The erasure of which they are parts.
    pub parent_id: Option<TaskId>,
}

/// A page of tasks, newest first.
///
/// # Errors
/// For a cursor of another list or filter, and those of the database.
pub async fn list(
    connection: &mut PgConnection,
    filter: &TaskFilter,
    page: Page<'_>,
) -> Result<TaskPage, ListError> {
    let list = ListId::new("tasks", filter);
    let older_than = list.decode_number(&page)?.map(TaskId);
    let mut tx = read_only(connection).await?;
    check_type(&mut tx, filter.entity_type.as_deref()).await?;
    let entity_ids = entity_ids(filter.entity_id.as_deref());
    let entity_tasks = entity_tasks(&mut tx, entity_ids.as_deref()).await?;
    let rows = query_file_as!(
        Task,
        "sql/tasks/list.sql",
        filter.status as Option<TaskStatus>,
        filter.entity_type.as_deref(),
        entity_ids.as_deref(),
        filter.user_id.as_deref(),
        filter.error_class as Option<ErrorClass>,
        older_than as Option<TaskId>,
        rows_to_read(page.size),
        entity_tasks.as_deref(),
        filter.kind as Option<TaskKind>,
        filter.parent_id as Option<TaskId>
    )
    .fetch(&mut *tx);
    let (mut items, size) = read_rows(rows, page.size, |task| bytes_of(&task.object_keys)).await?;
    let next_cursor = list.cut_page(&mut items, size, |task| vec![task.id.to_string()]);
    Ok(TaskPage { items, next_cursor })
}

//! The rows that are soft-deleted and not yet purged.

use poem_openapi::Object;
use sqlx::{PgConnection, query_file_as};

use super::exact_time::ExactTime;
use crate::cursor::{InvalidCursor, ListError, ListId, Page, rows_to_read};
use crate::tasks::check_type;
use crate::vocabulary::{EntityId, TaskId, Timestamp};

/// Something that is soft-deleted.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Deleted {
    /// `user`, `collection`, `sample` or `sample-image`.
    pub entity_type: String,
    /// Of a composite key its parts, each percent-encoded, joined by `~`.
    pub id: String,
    pub user_id: String,
    pub deleted_at: Timestamp,
    pub deleted_by: Option<String>,
    /// The open task that will purge it.
    pub task_id: Option<TaskId>,
    /// When that task is tried next.
    pub scheduled_at: Option<Timestamp>,
}

/// A page of rows that are soft-deleted, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct DeletedPage {
    pub items: Vec<Deleted>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

#[derive(Debug)]
struct DeletedRow {
    entity_type: String,
    id: String,
    user_id: String,
    deleted_at: Timestamp,
    exact_deleted_at: ExactTime,
    deleted_by: Option<String>,
    task_id: Option<TaskId>,
    scheduled_at: Option<Timestamp>,
}

/// Which rows are listed; what is `None` does not filter.
#[derive(Debug, Default)]
pub struct DeletedFilter {
    pub entity_type: Option<String>,
    pub entity_id: Option<String>,
    pub deleted_by: Option<String>,
    pub user_id: Option<String>,
    /// At this time or later.
    pub deleted_after: Option<Timestamp>,
    /// Before this time.
    pub deleted_before: Option<Timestamp>,
}

/// A page of rows that are soft-deleted, newest first.
///
/// # Errors
/// For a cursor of another list or filter, and those of the database.
pub async fn list_deleted(
    connection: &mut PgConnection,
    filter: &DeletedFilter,
    page: Page<'_>,
) -> Result<DeletedPage, ListError> {
    let list = ListId::new("deleted", filter);
    let [at, of_type, id] = match list.decode::<3>(&page)? {
        Some(place) => place.map(Some),
        None => [None, None, None],
    };
    let at: Option<ExactTime> = match at {
        Some(at) => Some(at.parse().map_err(|_| InvalidCursor)?),
        None => None,
    };
    check_type(&mut *connection, filter.entity_type.as_deref()).await?;
    let entity_ids = filter.entity_id.as_deref().map(EntityId::to_database);
    let mut rows = query_file_as!(
        DeletedRow,
        "sql/evidence/list_deleted.sql",
        filter.entity_type.as_deref(),
        entity_ids.as_deref(),
        filter.user_id.as_deref(),
        filter.deleted_by.as_deref(),
        filter.deleted_after as Option<Timestamp>,
        filter.deleted_before as Option<Timestamp>,
        at as Option<ExactTime>,
        of_type,
        id,
        rows_to_read(page.size)
    )
    .fetch_all(connection)
    .await?;
    let next_cursor = list.cut_page(&mut rows, page.size, |row| {
        let at = row.exact_deleted_at.to_string();
        vec![at, row.entity_type.clone(), row.id.clone()]
    });
    let items = rows.into_iter().map(Deleted::from).collect();
    Ok(DeletedPage { items, next_cursor })
}

impl From<DeletedRow> for Deleted {
    fn from(row: DeletedRow) -> Self {
        Self {
            entity_type: row.entity_type,
            id: EntityId::from_database(row.id).into(),
            user_id: row.user_id,
            deleted_at: row.deleted_at,
            deleted_by: row.deleted_by,
            task_id: row.task_id,
            scheduled_at: row.scheduled_at,
        }
    }
}

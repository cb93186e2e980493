//! The rows that are soft-deleted and not yet purged.

use poem_openapi::Object;
use sqlx::{PgConnection, query_file_as};

use super::exact_time::ExactTime;
use crate::cursor::{InvalidCursor, ListError, ListId, Page, rows_to_read};
use crate::tasks::check_type;
use crate::vocabulary::{EntityId, TaskId, TaskStatus, Timestamp};

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
    /// How that task stands.
    pub task_status: Option<TaskStatus>,
    /// When that task is tried next.
    pub scheduled_at: Option<Timestamp>,
    /// Until when the row can be restored. Absent if it cannot, or no longer.
    pub restorable_until: Option<Timestamp>,
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
    task_status: Option<TaskStatus>,
    scheduled_at: Option<Timestamp>,
    restorable_until: Option<Timestamp>,
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
    /// How the open task stands.
    pub task_status: Option<TaskStatus>,
}

/// Rows that are read at once for a page of one task status.
const READ_AT_ONCE: i64 = 500;
/// Rows that are read at most for a page of one task status. A page may then have few rows, or none, and a cursor.
const MAX_READ: usize = 5_000;

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
    let mut place = list.decode::<3>(&page)?;
    check_type(&mut *connection, filter.entity_type.as_deref()).await?;
    let wanted = rows_to_read(page.size);
    let at_once = match filter.task_status {
        None => wanted,
        Some(_) => wanted.max(READ_AT_ONCE),
    };
    let (mut rows, mut read) = (Vec::new(), 0);
    let next_cursor = loop {
        let batch = read_rows(connection, filter, place.as_ref(), at_once).await?;
        let is_last = i64::try_from(batch.len()).is_ok_and(|rows| rows < at_once);
        read += batch.len();
        place = batch.last().map(place_of).or(place);
        let is_wanted = |row: &DeletedRow| {
            filter.task_status.is_none() || row.task_status == filter.task_status
        };
        rows.extend(batch.into_iter().filter(is_wanted));
        if is_last || rows.len() > page.size {
            break list.cut_page(&mut rows, page.size, |row| place_of(row).into());
        }
        if read >= MAX_READ {
            break place.as_ref().map(|place| list.encode(place));
        }
    };
    let items = rows.into_iter().map(Deleted::from).collect();
    Ok(DeletedPage { items, next_cursor })
}

/// Where a row stands in the list.
fn place_of(row: &DeletedRow) -> [String; 3] {
    let at = row.exact_deleted_at.to_string();
    [at, row.entity_type.clone(), row.id.clone()]
}

/// The next rows after a place, whatever the status of their tasks.
async fn read_rows(
    connection: &mut PgConnection,
    filter: &DeletedFilter,
    place: Option<&[String; 3]>,
    limit: i64,
) -> Result<Vec<DeletedRow>, ListError> {
    let [at, of_type, id] = match place {
        Some(place) => place.each_ref().map(Some),
        None => [None, None, None],
    };
    let at: Option<ExactTime> = match at {
        Some(at) => Some(at.parse().map_err(|_| InvalidCursor)?),
        None => None,
    };
    let entity_ids = filter.entity_id.as_deref().map(EntityId::to_database);
    let rows = query_file_as!(
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
        limit
    );
    Ok(rows.fetch_all(connection).await?)
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
            task_status: row.task_status,
            scheduled_at: row.scheduled_at,
            restorable_until: row.restorable_until,
        }
    }
}

//! The erasures of users in pages, newest first.

use poem_openapi::{Object, types::Example};
use sqlx::{PgConnection, query_file_as};

use super::exact_time::ExactTime;
use crate::cursor::{InvalidCursor, ListError, ListId, Page, rows_to_read};
use crate::tasks::{EXAMPLE_USER, Task, example_time};
use crate::vocabulary::{ErasureStatus, TaskId, Timestamp};

/// The head of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct Erasure {
    pub user_id: String,
    /// Whether there is or was a row of this user.
    pub user_known: bool,
    pub status: ErasureStatus,
    pub requested_at: Timestamp,
    pub requested_by: String,
    pub completed_at: Option<Timestamp>,
    /// The root task of the erasure. Absent if its record was pruned.
    pub task_id: Option<TaskId>,
}

/// A page of erasures, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct ErasurePage {
    pub items: Vec<Erasure>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

impl Example for Erasure {
    fn example() -> Self {
        Self {
            user_id: EXAMPLE_USER.into(),
            user_known: true,
            status: ErasureStatus::Complete,
            requested_at: example_time().into(),
            requested_by: "clerk:user.deleted".into(),
            completed_at: Some(example_time().into()),
            task_id: Some(TaskId(42)),
        }
    }
}

/// The root task of an erasure, and whether there is such a user.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct ErasureTask {
    #[oai(flatten)]
    pub task: Task,
    /// Whether there is or was a row of this user. If not, the id may be mistyped, and nobody is erased.
    pub user_known: bool,
}

impl Example for ErasureTask {
    fn example() -> Self {
        Self {
            task: Task::example(),
            user_known: true,
        }
    }
}

/// Which erasures are listed; what is `None` does not filter.
#[derive(Debug, Default)]
pub struct ErasureFilter {
    pub status: Option<ErasureStatus>,
    /// At this time or later.
    pub requested_after: Option<Timestamp>,
    /// Before this time.
    pub requested_before: Option<Timestamp>,
    pub requested_by: Option<String>,
}

#[derive(Debug)]
struct Row {
    user_id: String,
    user_known: bool,
    status: ErasureStatus,
    requested_at: Timestamp,
    exact_requested_at: ExactTime,
    /// Its place among those of one user at one time.
    place: i64,
    requested_by: String,
    completed_at: Option<Timestamp>,
    task_id: Option<TaskId>,
}

/// A page of erasures, newest first.
///
/// # Errors
/// For a cursor of another list or filter, and those of the database.
pub async fn list_erasures(
    connection: &mut PgConnection,
    filter: &ErasureFilter,
    page: Page<'_>,
) -> Result<ErasurePage, ListError> {
    let list = ListId::new("erasures", filter);
    let (before, before_user, before_place) = match list.decode(&page)? {
        Some([time, user, place]) => (
            Some(time.parse::<ExactTime>().map_err(|_| InvalidCursor)?),
            user,
            place.parse::<i64>().map_err(|_| InvalidCursor)?,
        ),
        None => (None, String::new(), i64::MAX),
    };
    let mut rows = query_file_as!(
        Row,
        "sql/evidence/list_erasures.sql",
        filter.status as Option<ErasureStatus>,
        filter.requested_after as Option<Timestamp>,
        filter.requested_before as Option<Timestamp>,
        filter.requested_by.as_deref(),
        before as Option<ExactTime>,
        before_user,
        rows_to_read(page.size),
        before_place
    )
    .fetch_all(connection)
    .await?;
    let next_cursor = list.cut_page(&mut rows, page.size, |row| {
        let at = row.exact_requested_at.to_string();
        vec![at, row.user_id.clone(), row.place.to_string()]
    });
    let items = rows.into_iter().map(Erasure::from).collect();
    Ok(ErasurePage { items, next_cursor })
}

impl From<Row> for Erasure {
    fn from(row: Row) -> Self {
        let is_complete = row.status == ErasureStatus::Complete;
        Self {
            user_id: row.user_id,
            user_known: row.user_known,
            status: row.status,
            requested_at: row.requested_at,
            requested_by: row.requested_by,
            completed_at: row.completed_at.filter(|_| is_complete),
            task_id: row.task_id,
        }
    }
}

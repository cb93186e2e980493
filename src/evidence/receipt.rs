//! The receipt of a user's erasure: the request, what was removed, and what is left.

use poem_openapi::{Object, types::Example};
use sqlx::{PgConnection, query_file};

use super::users::is_user_known;
use crate::safety;
use crate::tasks::{EXAMPLE_USER, example_time};
use crate::vocabulary::{EntityType, ErasureStatus, ErrorClass, TaskId, Timestamp, UserId};

/// The most dead tasks that a receipt shows; the list of tasks has them all.
const MAX_PARKED: i64 = 100;

/// Rows removed for good, by table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase")]
pub struct RowsDeleted {
    pub users: i64,
    pub collections: i64,
    pub samples: i64,
    pub sample_images: i64,
}

/// The work that is left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Object)]
pub struct Remaining {
    pub tasks: i64,
    /// Object keys that these tasks still hold.
    pub objects: i64,
}

/// A task that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Parked {
    pub task_id: TaskId,
    /// The class of its last error.
    pub error_class: Option<ErrorClass>,
    pub last_error: Option<String>,
}

/// The state of a user's erasure, and what it removed.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct Receipt {
    pub user_id: String,
    /// Whether there is or was a row of this user. If not, the id may be mistyped, and nobody was erased.
    pub user_known: bool,
    pub status: ErasureStatus,
    pub requested_at: Timestamp,
    pub requested_by: String,
    pub completed_at: Option<Timestamp>,
    /// Objects that the store confirmed to be gone.
    pub objects_deleted: i64,
    /// Objects kept, because a live image of somebody else names them.
    pub objects_kept: i64,
    pub rows_deleted: RowsDeleted,
    pub remaining: Remaining,
    /// At most 100.
    pub parked: Vec<Parked>,
}

impl Example for Receipt {
    fn example() -> Self {
        Self {
            user_id: EXAMPLE_USER.into(),
            user_known: true,
            status: ErasureStatus::Complete,
            requested_at: example_time().into(),
            requested_by: "clerk:user.deleted".into(),
            completed_at: Some(example_time().into()),
            objects_deleted: 12,
            objects_kept: 0,
            rows_deleted: RowsDeleted {
                users: 1,
                collections: 2,
                samples: 4,
                sample_images: 12,
            },
            remaining: Remaining {
                tasks: 0,
                objects: 0,
            },
            parked: vec![],
        }
    }
}

/// The receipt of a user's erasure. `None` if it was never asked for.
///
/// # Errors
/// Those of the database.
pub async fn receipt(
    connection: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<Receipt>, sqlx::Error> {
    let row = query_file!("sql/evidence/receipt.sql", user_id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else {
        let cancelled = safety::cancelled_erasure(&mut *connection, user_id.as_str()).await?;
        let user_known = is_user_known(connection, user_id).await?;
        return Ok(cancelled.map(|(requested_at, requested_by)| Receipt {
            user_id: user_id.to_string(),
            user_known,
            status: ErasureStatus::Cancelled,
            requested_at,
            requested_by,
            completed_at: None,
            objects_deleted: 0,
            objects_kept: 0,
            rows_deleted: RowsDeleted::default(),
            remaining: Remaining::default(),
            parked: Vec::new(),
        }));
    };
    let parked = query_file!(
        "sql/evidence/parked_tasks.sql",
        user_id.as_str(),
        MAX_PARKED
    )
    .fetch_all(&mut *connection)
    .await?;
    let rows = |of_type: EntityType| {
        let count = row.rows_deleted.get(of_type.as_str());
        count
            .and_then(serde_json::Value::as_i64)
            .unwrap_or_default()
    };
    let status = match (row.tasks, row.rows_left) {
        (0, false) => ErasureStatus::Complete,
        _ if !parked.is_empty() => ErasureStatus::Incomplete,
        _ if row.is_held => ErasureStatus::Held,
        _ => ErasureStatus::InProgress,
    };
    let parked = parked.into_iter().map(|task| Parked {
        task_id: task.id,
        error_class: task.error_class,
        last_error: task.last_error,
    });
    Ok(Some(Receipt {
        user_id: user_id.to_string(),
        user_known: is_user_known(connection, user_id).await?,
        status,
        requested_at: row.requested_at,
        requested_by: row.requested_by,
        completed_at: row
            .completed_at
            .filter(|_| status == ErasureStatus::Complete),
        objects_deleted: row.objects_deleted,
        objects_kept: row.objects_kept,
        rows_deleted: RowsDeleted {
            users: rows(EntityType::User),
            collections: rows(EntityType::Collection),
            samples: rows(EntityType::Sample),
            sample_images: rows(EntityType::SampleImage),
        },
        remaining: Remaining {
            tasks: row.tasks,
            objects: row.objects,
        },
        parked: parked.collect(),
    }))
}

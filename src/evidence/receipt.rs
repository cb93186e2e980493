//! The receipt of a user's erasure: the request, what was removed, and what is left.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use poem_openapi::{Object, types::Example};
use sqlx::{PgConnection, query_file};

use super::users::{counts_by_type, example_counts, is_user_known};
use crate::safety;
use crate::tasks::{EXAMPLE_USER, example_time};
use crate::vocabulary::{ErasureStatus, ErrorClass, TaskId, Timestamp, UserId};

/// The most dead tasks that a receipt shows; the list of tasks has them all.
const MAX_PARKED: i64 = 100;

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

/// Rows that stay for a reason.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct KeptRows {
    /// The type that the erasure map gives them.
    #[oai(rename = "type")]
    pub of_type: String,
    pub rows: i64,
    /// The reason that the map gives.
    pub why: String,
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
    /// By the type that the erasure map gives the rows; those of the built-in map are `users`, `collections`, `samples`
    /// and `sampleImages`.
    pub rows_deleted: BTreeMap<String, i64>,
    /// Rows that stay for a reason of the erasure map.
    pub kept: Vec<KeptRows>,
    pub remaining: Remaining,
    /// At most 100.
    pub parked: Vec<Parked>,
    /// The place of the erasure's signed receipt in `GET /admin/receipts`. Absent until a worker has sealed it.
    pub sequence: Option<i64>,
    /// The Ed25519 signature of that receipt, in base64.
    pub signature: Option<String>,
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
            rows_deleted: example_counts(),
            kept: vec![],
            remaining: Remaining {
                tasks: 0,
                objects: 0,
            },
            parked: vec![],
            sequence: Some(1),
            signature: Some("mHo0…".into()),
        }
    }
}

/// From the JSON of the database; an entry of another form is left out.
fn kept_rows(rows: &serde_json::Value) -> Vec<KeptRows> {
    let rows = rows.as_array().into_iter().flatten();
    rows.filter_map(|row| {
        Some(KeptRows {
            of_type: row.get("type")?.as_str()?.to_owned(),
            rows: row.get("rows")?.as_i64()?,
            why: row.get("why")?.as_str()?.to_owned(),
        })
    })
    .collect()
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
        return cancelled_receipt(connection, user_id).await;
    };
    let parked = query_file!(
        "sql/evidence/parked_tasks.sql",
        user_id.as_str(),
        MAX_PARKED
    )
    .fetch_all(&mut *connection)
    .await?;
    let status = match (row.tasks, row.rows_left) {
        (0, false) if !row.is_map_incomplete => ErasureStatus::Complete,
        (0, false) => ErasureStatus::Incomplete,
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
        rows_deleted: counts_by_type(&row.rows_deleted),
        kept: kept_rows(&row.rows_kept),
        remaining: Remaining {
            tasks: row.tasks,
            objects: row.objects,
        },
        parked: parked.collect(),
        sequence: row.sequence.filter(|_| status == ErasureStatus::Complete),
        signature: row
            .signature
            .filter(|_| status == ErasureStatus::Complete)
            .map(|signature| STANDARD.encode(signature)),
    }))
}

/// The receipt of an erasure that was cancelled before anything was deleted. `None` if there is none.
async fn cancelled_receipt(
    connection: &mut PgConnection,
    user_id: &UserId,
) -> Result<Option<Receipt>, sqlx::Error> {
    let cancelled = safety::cancelled_erasure(&mut *connection, user_id.as_str()).await?;
    let Some(cancelled) = cancelled else {
        return Ok(None);
    };
    Ok(Some(Receipt {
        user_id: user_id.to_string(),
        user_known: is_user_known(connection, user_id).await?,
        status: ErasureStatus::Cancelled,
        requested_at: cancelled.requested_at,
        requested_by: cancelled.requested_by,
        completed_at: None,
        objects_deleted: 0,
        objects_kept: 0,
        rows_deleted: counts_by_type(&cancelled.rows_deleted),
        kept: Vec::new(),
        remaining: Remaining::default(),
        parked: Vec::new(),
        sequence: None,
        signature: None,
    }))
}

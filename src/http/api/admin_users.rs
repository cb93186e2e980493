//! For admins: the erasure of a user, and its receipt.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi, param::Path, payload::Json, types::Example};
use sqlx::query_file;

use super::{
    ApiState,
    database::{problem_of, reading},
    page,
    samples::{TaskAccepted, promised},
    types::Tag,
};
use crate::vocabulary::EntityType;
use crate::{
    deletion::requests::delete_user,
    http::{
        access::{AdminAuth, ViewerAuth},
        problem::{Problem, Problems},
    },
    problems, safety,
    tasks::{EXAMPLE_USER, example_time},
    vocabulary::{ErrorClass, TaskId, Timestamp, UserId},
};

/// The most dead tasks that a receipt shows; the list of tasks has them all.
const MAX_PARKED: i64 = 100;

problems!(pub EraseFailures: 400, 401, 403, 503);
problems!(pub ReceiptFailures: 400, 401, 403, 404, 503);

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum ErasureStatus {
    /// Above ERASURE_LIMIT_PER_HOUR: it waits for a person to release or cancel it.
    Held,
    /// Being worked on, or tried again.
    InProgress,
    /// A dead task waits for a person: see `parked`.
    Incomplete,
    /// Nothing is left.
    Complete,
    /// It was taken back before it began: the user is live again.
    Cancelled,
}

/// Rows removed for good, by table.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase")]
pub struct RowsDeleted {
    pub users: i64,
    pub collections: i64,
    pub samples: i64,
    pub sample_images: i64,
}

/// The work that is left.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct Remaining {
    pub tasks: i64,
    /// Object keys that these tasks still hold.
    pub objects: i64,
}

/// A task that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Parked {
    /// The task's id.
    pub task: TaskId,
    /// The class of its last error.
    pub class: Option<ErrorClass>,
    pub reason: Option<String>,
}

/// The state of a user's erasure, and what it removed.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct Receipt {
    pub user_id: String,
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

impl Receipt {
    /// Of an erasure that was cancelled before it touched anything.
    fn of_cancelled(user_id: String, requested_at: Timestamp, requested_by: String) -> Self {
        Self {
            user_id,
            status: ErasureStatus::Cancelled,
            requested_at,
            requested_by,
            completed_at: None,
            objects_deleted: 0,
            objects_kept: 0,
            rows_deleted: RowsDeleted {
                users: 0,
                collections: 0,
                samples: 0,
                sample_images: 0,
            },
            remaining: Remaining {
                tasks: 0,
                objects: 0,
            },
            parked: Vec::new(),
        }
    }
}

impl Example for Receipt {
    fn example() -> Self {
        Self {
            user_id: EXAMPLE_USER.into(),
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

/// `DELETE /admin/users/{userId}`
pub struct AdminUsers;

#[OpenApi(tag = "Tag::Admin")]
impl AdminUsers {
    /// Erase a user
    ///
    /// The same erasure as by Clerk's webhook. A user that is not known gets a tombstone.
    #[oai(
        path = "/admin/users/:userId",
        method = "delete",
        operation_id = "eraseUser"
    )]
    async fn erase(
        &self,
        auth: AdminAuth,
        state: Data<&Arc<ApiState>>,
        /// The Clerk user id.
        #[oai(name = "userId")]
        user_id: Path<String>,
    ) -> Result<TaskAccepted, Problems<EraseFailures>> {
        let user_id = UserId::from(page::text("userId", user_id.0)?);
        let task = delete_user(&state.pool, &user_id, &auth.actor())
            .await
            .map_err(problem_of)?;
        Ok(TaskAccepted::Accepted(Json(promised(&state, task).await?)))
    }
}

/// `GET /admin/users/{userId}/erasure`
pub struct AdminErasures;

#[OpenApi(tag = "Tag::Admin")]
impl AdminErasures {
    /// Show the receipt of an erasure
    ///
    /// `complete` only when nothing is left: no task, no row. 404 for a user whose deletion was
    /// never asked for.
    #[oai(
        path = "/admin/users/:userId/erasure",
        method = "get",
        operation_id = "getErasure"
    )]
    async fn receipt(
        &self,
        _auth: ViewerAuth,
        state: Data<&Arc<ApiState>>,
        /// The Clerk user id.
        #[oai(name = "userId")]
        user_id: Path<String>,
    ) -> Result<Json<Receipt>, Problems<ReceiptFailures>> {
        let user_id = page::text("userId", user_id.0)?;
        Ok(Json(receipt(&state, user_id).await?))
    }
}

pub(super) async fn receipt(state: &ApiState, user_id: String) -> Result<Receipt, Problem> {
    let mut tx = reading(&state.pool).await?;
    let row = query_file!("sql/http/receipt.sql", user_id)
        .fetch_optional(&mut *tx)
        .await
        .map_err(problem_of)?;
    let Some(row) = row else {
        let cancelled = safety::cancelled_erasure(&mut *tx, &user_id)
            .await
            .map_err(problem_of)?;
        return cancelled
            .map(|(at, by)| Receipt::of_cancelled(user_id, at, by))
            .ok_or_else(|| Problem::not_found("The deletion of this user was never asked for."));
    };
    let is_held = safety::is_held(&mut *tx, &user_id)
        .await
        .map_err(problem_of)?;
    let parked = query_file!("sql/http/parked_tasks.sql", user_id, MAX_PARKED)
        .fetch_all(&mut *tx)
        .await
        .map_err(problem_of)?;
    let rows = |of_type: EntityType| {
        let count = row.rows_deleted.get(of_type.as_str());
        count
            .and_then(serde_json::Value::as_i64)
            .unwrap_or_default()
    };
    let status = match (row.tasks, row.rows_left) {
        _ if is_held => ErasureStatus::Held,
        (0, false) => ErasureStatus::Complete,
        _ if !parked.is_empty() => ErasureStatus::Incomplete,
        _ => ErasureStatus::InProgress,
    };
    Ok(Receipt {
        user_id,
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
        parked: parked
            .into_iter()
            .map(|task| Parked {
                task: task.id,
                class: task.error_class,
                reason: task.last_error,
            })
            .collect(),
    })
}

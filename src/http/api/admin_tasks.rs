//! For admins: the queue.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use serde::Deserialize;

use super::{
    ApiState,
    database::{connection, problem_of},
    page,
    samples::TaskAccepted,
    types::Tag,
};
use crate::{
    http::{
        access::{OperatorAuth, ViewerAuth},
        json_body::JsonBody,
        problem::{Problem, Problems},
    },
    problems,
    tasks::{
        self, EXAMPLE_USER, Reason, RetryError, RetryFilter, TaskFilter, TaskPage, TaskWithHistory,
    },
    vocabulary::{EntityType, ErrorClass, TaskId, TaskStatus},
};

problems!(pub ListFailures: 400, 401, 403, 503);
problems!(pub ShowFailures: 400, 401, 403, 404, 503);
problems!(pub RetryFailures: 400, 401, 403, 404, 409, 415, 503);
problems!(pub RetryAllFailures: 400, 401, 403, 409, 415, 503);

/// Why a task is tried again.
#[derive(Debug, Object, Deserialize)]
#[oai(deny_unknown_fields, example)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// 1 to 500 characters, for the audit trail.
    pub reason: String,
}

impl Example for Retry {
    fn example() -> Self {
        Self {
            reason: "The bucket's policy is mended.".into(),
        }
    }
}

/// Which tasks are tried again, and why. Without a filter: all that failed or are dead.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryAll {
    /// 1 to 500 characters, for the audit trail.
    pub reason: String,
    pub status: Option<TaskStatus>,
    pub entity_type: Option<EntityType>,
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub error_class: Option<ErrorClass>,
}

impl Example for RetryAll {
    fn example() -> Self {
        Self {
            reason: "The bucket's policy is mended.".into(),
            status: Some(TaskStatus::Dead),
            entity_type: Some(EntityType::User),
            entity_id: Some(EXAMPLE_USER.into()),
            user_id: Some(EXAMPLE_USER.into()),
            error_class: Some(ErrorClass::Blocked),
        }
    }
}

/// How many tasks are tried again.
#[derive(Debug, Object)]
pub struct Retried {
    pub retried: i64,
}

/// They are due now.
#[derive(ApiResponse)]
pub enum RetriedAll {
    /// Committed.
    #[oai(status = 202)]
    Accepted(Json<Retried>),
}

/// `GET /admin/cleanup-tasks`
pub struct AdminTasks;

#[OpenApi(tag = "Tag::Admin")]
impl AdminTasks {
    /// List the tasks, newest first
    ///
    /// Each with its attempts, its last error and the time of its next attempt.
    #[oai(
        path = "/admin/cleanup-tasks",
        method = "get",
        operation_id = "listTasks"
    )]
    #[allow(clippy::too_many_arguments, reason = "each is a query parameter")]
    async fn list(
        &self,
        _auth: ViewerAuth,
        state: Data<&Arc<ApiState>>,
        status: Query<Option<TaskStatus>>,
        #[oai(name = "entityType")] entity_type: Query<Option<EntityType>>,
        #[oai(name = "entityId")] entity_id: Query<Option<String>>,
        #[oai(name = "userId")] user_id: Query<Option<String>>,
        #[oai(name = "errorClass")] error_class: Query<Option<ErrorClass>>,
        /// Where the last page ended: its `nextCursor`.
        cursor: Query<Option<String>>,
        /// 1 to 200, 50 if not given.
        limit: Query<Option<i32>>,
    ) -> Result<Json<TaskPage>, Problems<ListFailures>> {
        let size = page::size(limit.0)?;
        let filter = TaskFilter {
            status: status.0,
            entity_type: entity_type.0,
            entity_id: page::optional_text("entityId", entity_id.0)?,
            user_id: page::optional_text("userId", user_id.0)?,
            error_class: error_class.0,
            older_than: page::decode_id(cursor.0.as_deref())?.map(TaskId),
        };
        let mut connection = connection(&state.pool).await?;
        let page = tasks::list(&mut connection, &filter, size)
            .await
            .map_err(problem_of)?;
        Ok(Json(page))
    }
}

/// `GET /admin/cleanup-tasks/{taskId}`
pub struct AdminTask;

#[OpenApi(tag = "Tag::Admin")]
impl AdminTask {
    /// Show a task and its history
    ///
    /// The history is what the audit trail holds of the task; `GET /admin/audit` has the older entries.
    #[oai(
        path = "/admin/cleanup-tasks/:taskId",
        method = "get",
        operation_id = "getTask"
    )]
    async fn show(
        &self,
        _auth: ViewerAuth,
        state: Data<&Arc<ApiState>>,
        #[oai(name = "taskId")] task_id: Path<String>,
    ) -> Result<Json<TaskWithHistory>, Problems<ShowFailures>> {
        let id = page::task_id("taskId", &task_id.0)?;
        let mut connection = connection(&state.pool).await?;
        let task = tasks::show(&mut connection, id)
            .await
            .map_err(problem_of)?
            .ok_or_else(no_task)?;
        Ok(Json(task))
    }
}

/// `POST /admin/cleanup-tasks/{taskId}/retry`
pub struct AdminTaskRetry;

#[OpenApi(tag = "Tag::Admin")]
impl AdminTaskRetry {
    /// Try a task again
    ///
    /// A failed or dead task is due at once, with its attempts forgotten. One that is pending or
    /// running stays as it is; one that is completed or cancelled is a conflict.
    #[oai(
        path = "/admin/cleanup-tasks/:taskId/retry",
        method = "post",
        operation_id = "retryTask"
    )]
    async fn retry(
        &self,
        auth: OperatorAuth,
        state: Data<&Arc<ApiState>>,
        #[oai(name = "taskId")] task_id: Path<String>,
        body: JsonBody<Retry>,
    ) -> Result<TaskAccepted, Problems<RetryFailures>> {
        let id = page::task_id("taskId", &task_id.0)?;
        let reason = reason(&body.0.reason)?;
        let mut connection = connection(&state.pool).await?;
        let retried = tasks::retry(&mut connection, id, &auth.actor(), &reason)
            .await
            .map_err(refusal)?;
        Ok(TaskAccepted::Accepted(Json(retried.task)))
    }
}

/// `POST /admin/cleanup-tasks/retry`
pub struct AdminRetries;

#[OpenApi(tag = "Tag::Admin")]
impl AdminRetries {
    /// Try all tasks again that match a filter
    ///
    /// Of what matches, the failed and the dead tasks are due at once, with their attempts
    /// forgotten. A filter for completed or cancelled tasks is a conflict.
    #[oai(
        path = "/admin/cleanup-tasks/retry",
        method = "post",
        operation_id = "retryTasks"
    )]
    async fn retry_all(
        &self,
        auth: OperatorAuth,
        state: Data<&Arc<ApiState>>,
        body: JsonBody<RetryAll>,
    ) -> Result<RetriedAll, Problems<RetryAllFailures>> {
        let reason = reason(&body.0.reason)?;
        let filter = RetryFilter {
            status: body.0.status,
            entity_type: body.0.entity_type,
            entity_id: page::optional_text("entityId", body.0.entity_id)?,
            user_id: page::optional_text("userId", body.0.user_id)?,
            error_class: body.0.error_class,
        };
        let mut connection = connection(&state.pool).await?;
        let retried = tasks::retry_all(&mut connection, &filter, &auth.actor(), &reason)
            .await
            .map_err(refusal)?;
        Ok(RetriedAll::Accepted(Json(Retried {
            retried: i64::try_from(retried).unwrap_or(i64::MAX),
        })))
    }
}

fn no_task() -> Problem {
    Problem::not_found("There is no such task.")
}

fn reason(text: &str) -> Result<Reason, Problem> {
    Reason::parse(text).map_err(|rule| Problem::bad_field("reason", rule))
}

fn refusal(error: RetryError) -> Problem {
    match error {
        RetryError::Unknown(_) => no_task(),
        RetryError::Finished(_) => {
            Problem::conflict("A completed or cancelled task cannot be tried again.")
        }
        RetryError::Database(error) => problem_of(error),
    }
}

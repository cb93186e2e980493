//! For admins: the queue.

use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json, types::Example};
use serde::Deserialize;

use super::{
    database::{connection, list_problem, problem_of},
    parameter::{Cursor, Limit, Path, Query, Text, optional_text},
    query::State,
    types::{Tag, page, task_location},
};
use crate::{
    http::{
        access::{OperatorAuth, ViewerAuth},
        json_body::{JsonBody, not_null},
        problem::{Problem, Problems},
    },
    problems,
    tasks::{
        self, Reason, Retried, RetriedTask, RetryError, RetryFilter, TaskFilter, TaskPage,
        TaskWithHistory,
    },
    vocabulary::{ErrorClass, ProblemCode, TaskId, TaskKind, TaskStatus},
};

problems!(pub ListFailures: 400, 401, 403, 503);
problems!(pub ShowFailures: 400, 401, 403, 404, 503);
problems!(pub RetryFailures: 400, 401, 403, 404, 409, 415, 503);
problems!(pub RetryAllFailures: 400, 401, 403, 409, 415, 503);

/// Why a task is tried again.
#[derive(Debug, Object, Deserialize)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// 1 to 500 characters, not blank, for the audit trail.
    #[oai(validator(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    ))]
    pub reason: String,
    /// Only answer what a retry would answer: nothing is changed, and nothing is written to the audit trail.
    #[oai(default)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Example for Retry {
    fn example() -> Self {
        Self {
            reason: "The bucket's policy is mended.".into(),
            dry_run: false,
        }
    }
}

/// Which tasks are tried again, and why. Without a filter: all that failed or are dead.
#[derive(Debug, Object, Deserialize)]
#[oai(
    rename_all = "camelCase",
    deny_unknown_fields,
    skip_serializing_if_is_none,
    example
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetryAll {
    /// 1 to 500 characters, not blank, for the audit trail.
    #[oai(validator(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    ))]
    pub reason: String,
    /// `failed` or `dead`; both if none is given. Others have nothing to retry.
    #[serde(default, deserialize_with = "not_null")]
    pub status: Option<TaskStatus>,
    #[serde(default, deserialize_with = "not_null")]
    pub kind: Option<TaskKind>,
    /// A type of the erasure map, such as `sample`; `user` is in every map.
    #[oai(validator(min_length = 1, max_length = 512, pattern = r"^[^\x00]+$"))]
    #[serde(default, deserialize_with = "not_null")]
    pub entity_type: Option<String>,
    /// The id of a sample, an image or a user.
    #[oai(validator(min_length = 1, max_length = 512, pattern = r"^[^\x00]+$"))]
    #[serde(default, deserialize_with = "not_null")]
    pub entity_id: Option<String>,
    #[oai(validator(min_length = 1, max_length = 512, pattern = r"^[^\x00]+$"))]
    #[serde(default, deserialize_with = "not_null")]
    pub user_id: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    pub error_class: Option<ErrorClass>,
    /// The erasure of which the tasks are parts.
    #[serde(default, deserialize_with = "not_null")]
    pub parent_id: Option<TaskId>,
    /// Only count the tasks: nothing is changed, and nothing is written to the audit trail.
    #[oai(default)]
    #[serde(default)]
    pub dry_run: bool,
}

impl Example for RetryAll {
    fn example() -> Self {
        Self {
            reason: "The bucket's policy is mended.".into(),
            status: Some(TaskStatus::Dead),
            kind: None,
            entity_type: None,
            entity_id: None,
            user_id: None,
            error_class: Some(ErrorClass::Blocked),
            parent_id: None,
            dry_run: false,
        }
    }
}

/// It is due now.
#[derive(ApiResponse)]
pub enum RetryAccepted {
    /// Committed.
    #[oai(status = 202)]
    Accepted(
        Json<RetriedTask>,
        /// The task.
        #[oai(header = "location")]
        String,
    ),
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
        state: State<'_>,
        status: Query<TaskStatus>,
        kind: Query<TaskKind>,
        /// A type of the erasure map, such as `sample`; `user` is in every map.
        #[oai(name = "entityType")]
        entity_type: Query<Text>,
        /// The id of a sample, an image or a user.
        #[oai(name = "entityId")]
        entity_id: Query<Text>,
        #[oai(name = "userId")] user_id: Query<Text>,
        #[oai(name = "errorClass")] error_class: Query<ErrorClass>,
        /// The erasure of which the tasks are parts.
        #[oai(name = "parentId")]
        parent_id: Query<TaskId>,
        /// Where the last page ended: its `nextCursor`. Empty for the first page.
        cursor: Query<Cursor>,
        /// The most items of the page.
        limit: Query<Limit>,
    ) -> Result<Json<TaskPage>, Problems<ListFailures>> {
        let filter = TaskFilter {
            status: status.0,
            kind: kind.0,
            entity_type: entity_type.0.map(|text| text.0),
            entity_id: entity_id.0.map(|text| text.0),
            user_id: user_id.0.map(|text| text.0),
            error_class: error_class.0,
            parent_id: parent_id.0,
        };
        let mut connection = connection(&state.pool).await?;
        let page = tasks::list(&mut connection, &filter, page(limit.0, &cursor))
            .await
            .map_err(list_problem)?;
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
        state: State<'_>,
        #[oai(name = "taskId")] task_id: Path<TaskId>,
    ) -> Result<Json<TaskWithHistory>, Problems<ShowFailures>> {
        let mut connection = connection(&state.pool).await?;
        let task = tasks::show(&mut connection, task_id.0)
            .await
            .map_err(list_problem)?
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
    /// running stays as it is, with `retried: false`; one that is completed or cancelled is a conflict. With
    /// `dryRun: true` the answer is the same, and nothing is changed.
    #[oai(
        path = "/admin/cleanup-tasks/:taskId/retry",
        method = "post",
        operation_id = "retryTask"
    )]
    async fn retry(
        &self,
        auth: OperatorAuth,
        state: State<'_>,
        #[oai(name = "taskId")] task_id: Path<TaskId>,
        body: JsonBody<Retry>,
    ) -> Result<RetryAccepted, Problems<RetryFailures>> {
        let id = task_id.0;
        let reason = reason(&body.0.reason)?;
        let mut connection = connection(&state.pool).await?;
        let retried = match body.0.dry_run {
            true => tasks::would_retry(&mut connection, id).await,
            false => tasks::retry(&mut connection, id, &auth.actor(), &reason).await,
        };
        let retried = retried.map_err(refusal)?;
        Ok(RetryAccepted::Accepted(Json(retried), task_location(id)))
    }
}

/// `POST /admin/cleanup-tasks/retry`
pub struct AdminRetries;

#[OpenApi(tag = "Tag::Admin")]
impl AdminRetries {
    /// Try all tasks again that match a filter
    ///
    /// Of what matches, the failed and the dead tasks are due at once, with their attempts
    /// forgotten. A filter for completed or cancelled tasks is a conflict. With `dryRun: true` they are only counted,
    /// and nothing is changed.
    #[oai(
        path = "/admin/cleanup-tasks/retry",
        method = "post",
        operation_id = "retryTasks"
    )]
    async fn retry_all(
        &self,
        auth: OperatorAuth,
        state: State<'_>,
        body: JsonBody<RetryAll>,
    ) -> Result<RetriedAll, Problems<RetryAllFailures>> {
        let reason = reason(&body.0.reason)?;
        let filter = RetryFilter {
            status: body.0.status,
            kind: body.0.kind,
            entity_type: optional_text("entityType", body.0.entity_type)?,
            entity_id: optional_text("entityId", body.0.entity_id)?,
            user_id: optional_text("userId", body.0.user_id)?,
            error_class: body.0.error_class,
            parent_id: body.0.parent_id,
        };
        let mut connection = connection(&state.pool).await?;
        tasks::check_type(&mut connection, filter.entity_type.as_deref())
            .await
            .map_err(list_problem)?;
        let retried = match body.0.dry_run {
            true => tasks::would_retry_all(&mut connection, &filter).await,
            false => tasks::retry_all(&mut connection, &filter, &auth.actor(), &reason).await,
        };
        Ok(RetriedAll::Accepted(Json(retried.map_err(refusal)?)))
    }
}

fn no_task() -> Problem {
    Problem::not_found("There is no such task.").with_code(ProblemCode::TaskNotFound)
}

fn reason(text: &str) -> Result<Reason, Problem> {
    Reason::parse(text).map_err(|rule| Problem::bad_field("reason", rule))
}

fn refusal(error: RetryError) -> Problem {
    match error {
        RetryError::Unknown(_) => no_task(),
        RetryError::Finished(_) => {
            Problem::conflict("A completed or cancelled task cannot be tried again.")
                .with_code(ProblemCode::TaskFinished)
        }
        RetryError::Database(error) => problem_of(error),
    }
}

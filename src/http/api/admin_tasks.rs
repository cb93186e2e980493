//! For admins: the queue.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    types::Example,
};
use sqlx::{query_file, query_file_as, query_file_scalar};

use super::{
    ApiState,
    database::{problem_of, reading, writing},
    entity::entity_tasks,
    page,
    samples::TaskAccepted,
    types::{AuditEntry, AuditRow, EntityType, ErrorClass, Tag, Task, TaskRow, TaskStatus},
};
use crate::{
    http::{
        credentials::AdminAuth,
        json_body::JsonBody,
        problem::{Problem, Problems},
    },
    problems,
};

/// A task is shown with so many of its newest audit entries; the audit's own list has them all.
const MAX_HISTORY: i64 = 100;
/// Tasks retried in one transaction.
const RETRY_BATCH: i64 = 1000;
const MAX_REASON_CHARS: usize = 500;

problems!(pub ListFailures: 400, 401, 403, 503);
problems!(pub ShowFailures: 400, 401, 403, 404, 503);
problems!(pub RetryFailures: 400, 401, 403, 404, 409, 415, 503);
problems!(pub RetryAllFailures: 400, 401, 403, 409, 415, 503);

/// A page of tasks, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct TaskPage {
    pub items: Vec<Task>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

/// A task and what happened to it.
#[derive(Debug, Object)]
pub struct TaskWithHistory {
    #[oai(flatten)]
    pub task: Task,
    /// Newest first, at most 100.
    pub history: Vec<AuditEntry>,
}

/// Why a task is tried again.
#[derive(Debug, Object)]
#[oai(deny_unknown_fields, example)]
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
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, example)]
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
            entity_type: None,
            entity_id: None,
            user_id: None,
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
    #[oai(
        path = "/admin/cleanup-tasks",
        method = "get",
        operation_id = "listTasks"
    )]
    #[allow(clippy::too_many_arguments, reason = "each is a query parameter")]
    async fn list(
        &self,
        _auth: AdminAuth,
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
        let before = page::decode_id(cursor.0.as_deref())?;
        let entity_id = page::optional_text("entityId", entity_id.0)?;
        let user_id = page::optional_text("userId", user_id.0)?;
        let mut transaction = reading(&state.pool).await?;
        let entity_tasks = entity_tasks(&mut transaction, entity_id.as_deref())
            .await
            .map_err(problem_of)?;
        let mut rows = query_file_as!(
            TaskRow,
            "sql/http/list_tasks.sql",
            status.0.map(TaskStatus::as_str),
            entity_type.0.map(EntityType::as_str),
            entity_id,
            user_id,
            error_class.0.map(ErrorClass::as_str),
            before,
            page::rows_to_read(size),
            entity_tasks.as_deref()
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(problem_of)?;
        let next_cursor = page::cut(&mut rows, size, |row| vec![row.id.to_string()]);
        let items = rows.into_iter().map(Task::from).collect();
        Ok(Json(TaskPage { items, next_cursor }))
    }
}

/// `GET /admin/cleanup-tasks/{taskId}`
pub struct AdminTask;

#[OpenApi(tag = "Tag::Admin")]
impl AdminTask {
    /// Show a task and its history
    #[oai(
        path = "/admin/cleanup-tasks/:taskId",
        method = "get",
        operation_id = "getTask"
    )]
    async fn show(
        &self,
        _auth: AdminAuth,
        state: Data<&Arc<ApiState>>,
        #[oai(name = "taskId")] task_id: Path<String>,
    ) -> Result<Json<TaskWithHistory>, Problems<ShowFailures>> {
        let id = page::task_id("taskId", &task_id.0)?;
        let mut transaction = reading(&state.pool).await?;
        let task = TaskRow::find(&mut *transaction, id)
            .await
            .map_err(problem_of)?
            .ok_or_else(no_task)?;
        let history = query_file_as!(AuditRow, "sql/http/task_history.sql", id, MAX_HISTORY)
            .fetch_all(&mut *transaction)
            .await
            .map_err(problem_of)?;
        Ok(Json(TaskWithHistory {
            task: task.into(),
            history: history.into_iter().map(AuditEntry::from).collect(),
        }))
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
        auth: AdminAuth,
        state: Data<&Arc<ApiState>>,
        #[oai(name = "taskId")] task_id: Path<String>,
        body: JsonBody<Retry>,
    ) -> Result<TaskAccepted, Problems<RetryFailures>> {
        let id = page::task_id("taskId", &task_id.0)?;
        check_reason(&body.0.reason)?;
        let task = retry_one(&state, id, &auth.actor(), &body.0.reason).await?;
        Ok(TaskAccepted::Accepted(Json(task)))
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
        auth: AdminAuth,
        state: Data<&Arc<ApiState>>,
        body: JsonBody<RetryAll>,
    ) -> Result<RetriedAll, Problems<RetryAllFailures>> {
        check_reason(&body.0.reason)?;
        let retried = retry_matching(&state, body.0, &auth.actor()).await?;
        Ok(RetriedAll::Accepted(Json(Retried { retried })))
    }
}

fn no_task() -> Problem {
    Problem::not_found("There is no such task.")
}

fn settled() -> Problem {
    Problem::conflict("A completed or cancelled task cannot be tried again.")
}

fn check_reason(reason: &str) -> Result<(), Problem> {
    let fits = (1..=MAX_REASON_CHARS).contains(&reason.chars().count());
    if !fits || reason.trim().is_empty() || reason.contains('\0') {
        let rule = format!("must have 1 to {MAX_REASON_CHARS} characters, not blank");
        return Err(Problem::bad_field("reason", rule));
    }
    Ok(())
}

async fn retry_one(state: &ApiState, id: i64, actor: &str, reason: &str) -> Result<Task, Problem> {
    let mut transaction = writing(&state.pool).await?;
    let status = query_file_scalar!("sql/http/lock_task.sql", id)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(problem_of)?
        .ok_or_else(no_task)?;
    if matches!(status.as_str(), "completed" | "cancelled") {
        return Err(settled());
    }
    let retried = query_file!("sql/http/retry_task.sql", id)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(problem_of)?;
    if let Some(task) = retried {
        query_file!(
            "sql/http/audit_retry.sql",
            actor,
            id,
            task.kind,
            task.entity_type,
            task.entity_id,
            task.user_id,
            task.error_class,
            reason
        )
        .execute(&mut *transaction)
        .await
        .map_err(problem_of)?;
    }
    let task = TaskRow::find(&mut *transaction, id)
        .await
        .map_err(problem_of)?
        .ok_or_else(no_task)?;
    transaction.commit().await.map_err(problem_of)?;
    Ok(task.into())
}

async fn retry_matching(state: &ApiState, filter: RetryAll, actor: &str) -> Result<i64, Problem> {
    let entity_id = page::optional_text("entityId", filter.entity_id)?;
    let user_id = page::optional_text("userId", filter.user_id)?;
    match filter.status {
        Some(TaskStatus::Completed | TaskStatus::Cancelled) => return Err(settled()),
        Some(TaskStatus::Pending | TaskStatus::Running) => return Ok(0),
        Some(TaskStatus::Failed | TaskStatus::Dead) | None => {}
    }
    let mut total = 0;
    let mut after = Some(0);
    while let Some(last) = after {
        let mut transaction = writing(&state.pool).await?;
        let step = query_file!(
            "sql/http/retry_batch.sql",
            filter.status.map(TaskStatus::as_str),
            filter.entity_type.map(EntityType::as_str),
            entity_id.as_deref(),
            user_id.as_deref(),
            filter.error_class.map(ErrorClass::as_str),
            last,
            RETRY_BATCH,
            actor,
            filter.reason
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(problem_of)?;
        transaction.commit().await.map_err(problem_of)?;
        total += step.retried;
        after = step.last_id;
    }
    Ok(total)
}

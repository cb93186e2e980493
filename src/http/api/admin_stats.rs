//! For admins: the state of the queue in numbers.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{Object, OpenApi, payload::Json};
use sqlx::query_file;

use super::{
    ApiState,
    database::{problem_of, reading},
    types::Tag,
};
use crate::{
    http::{credentials::AdminAuth, problem::Problems},
    problems,
    telemetry::gauges::QueueState,
};

problems!(pub StatsFailures: 401, 403, 503);

/// Tasks by status.
#[derive(Debug, Object)]
pub struct TaskCounts {
    pub pending: i64,
    pub running: i64,
    pub failed: i64,
    pub completed: i64,
    pub dead: i64,
    pub cancelled: i64,
}

/// Tasks completed lately.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Throughput {
    pub last_minute: i64,
    pub last_five_minutes: i64,
    pub last_hour: i64,
}

/// The queue in numbers.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Stats {
    pub tasks: TaskCounts,
    /// For how long the oldest task that nobody works on has been due, in seconds; 0 if none is.
    pub oldest_due_age_seconds: f64,
    /// How long ago the oldest unfinished erasure was asked for, in seconds; 0 if there is none.
    pub oldest_unfinished_erasure_age_seconds: f64,
    pub throughput: Throughput,
}

/// `GET /admin/stats`
pub struct AdminStats;

#[OpenApi(tag = "Tag::Admin")]
impl AdminStats {
    /// Show the queue in numbers
    #[oai(path = "/admin/stats", method = "get", operation_id = "getStats")]
    async fn stats(
        &self,
        _auth: AdminAuth,
        state: Data<&Arc<ApiState>>,
    ) -> Result<Json<Stats>, Problems<StatsFailures>> {
        let mut transaction = reading(&state.pool).await?;
        let queue = QueueState::read(&mut *transaction)
            .await
            .map_err(problem_of)?;
        let settled = query_file!("sql/http/settled.sql")
            .fetch_one(&mut *transaction)
            .await
            .map_err(problem_of)?;
        Ok(Json(Stats {
            tasks: TaskCounts {
                pending: queue.pending,
                running: queue.running,
                failed: queue.failed,
                completed: queue.completed,
                dead: queue.dead,
                cancelled: queue.cancelled,
            },
            oldest_due_age_seconds: queue.oldest_due_seconds,
            oldest_unfinished_erasure_age_seconds: queue.oldest_erasure_seconds,
            throughput: Throughput {
                last_minute: settled.last_minute,
                last_five_minutes: settled.last_five_minutes,
                last_hour: settled.last_hour,
            },
        }))
    }
}

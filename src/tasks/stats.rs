//! The queue in numbers.

use poem_openapi::Object;
use sqlx::{PgConnection, PgExecutor, query_file, query_file_as};

use crate::db::transaction::read_only;
use crate::vocabulary::TaskStatus;

/// Tasks by status. Above a million tasks all but the failed and the dead are estimated.
#[derive(Debug, Object)]
pub struct TaskCounts {
    pub pending: i64,
    pub running: i64,
    pub failed: i64,
    pub completed: i64,
    pub dead: i64,
    pub cancelled: i64,
}

impl TaskCounts {
    /// The number of tasks with this status.
    #[must_use]
    pub const fn count(&self, status: TaskStatus) -> i64 {
        match status {
            TaskStatus::Pending => self.pending,
            TaskStatus::Running => self.running,
            TaskStatus::Failed => self.failed,
            TaskStatus::Completed => self.completed,
            TaskStatus::Dead => self.dead,
            TaskStatus::Cancelled => self.cancelled,
        }
    }
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

/// Counts and ages of the whole queue, for the statistics and for the metrics.
#[derive(Debug)]
pub struct QueueState {
    pub tasks: TaskCounts,
    pub oldest_due_seconds: f64,
    pub oldest_erasure_seconds: f64,
}

impl QueueState {
    /// # Errors
    /// Those of the database.
    pub async fn read(executor: impl PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        let row = query_file!("sql/tasks/queue_state.sql")
            .fetch_one(executor)
            .await?;
        Ok(Self {
            tasks: TaskCounts {
                pending: row.pending,
                running: row.running,
                failed: row.failed,
                completed: row.completed,
                dead: row.dead,
                cancelled: row.cancelled,
            },
            oldest_due_seconds: row.oldest_due_seconds,
            oldest_erasure_seconds: row.oldest_erasure_seconds,
        })
    }
}

/// Reads the statistics from the database.
///
/// # Errors
/// Those of the database.
pub async fn stats(connection: &mut PgConnection) -> Result<Stats, sqlx::Error> {
    let mut tx = read_only(connection).await?;
    let queue = QueueState::read(&mut *tx).await?;
    let throughput = query_file_as!(Throughput, "sql/tasks/throughput.sql")
        .fetch_one(&mut *tx)
        .await?;
    Ok(Stats {
        tasks: queue.tasks,
        oldest_due_age_seconds: queue.oldest_due_seconds,
        oldest_unfinished_erasure_age_seconds: queue.oldest_erasure_seconds,
        throughput,
    })
}

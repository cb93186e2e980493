//! The queue in numbers.

use poem_openapi::Object;
use sqlx::{PgConnection, query_file_as};

use crate::db::transaction::read_only;
use crate::telemetry::gauges::QueueState;
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
    /// The counts with their status.
    #[must_use]
    pub fn by_status(&self) -> [(TaskStatus, i64); 6] {
        [
            (TaskStatus::Pending, self.pending),
            (TaskStatus::Running, self.running),
            (TaskStatus::Failed, self.failed),
            (TaskStatus::Completed, self.completed),
            (TaskStatus::Dead, self.dead),
            (TaskStatus::Cancelled, self.cancelled),
        ]
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

/// Reads them from the database.
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
        throughput,
    })
}

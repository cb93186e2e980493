//! The queue as people see it: list, show, history, retry, statistics. The API and the command line share this
//! room, so that both accept the same filters, follow the same rules and print the same JSON.

mod audit;
mod list;
mod retry;
mod series;
mod show;
mod stats;
mod task;
mod types;
mod workers;

use crate::vocabulary::EntityId;

pub use audit::{AuditEntry, AuditFilter, AuditPage, list_audit};
pub use list::{TaskFilter, TaskPage, list};
pub use retry::{
    MAX_REASON_CHARS, Reason, Retried, RetriedTask, RetryError, RetryFilter, retry, retry_all,
    would_retry, would_retry_all,
};
pub use series::{Bucket, Series, series};
pub use show::{TaskWithHistory, find, show};
pub use stats::{QueueState, Stats, TaskCounts, Throughput, stats};
pub use task::{EXAMPLE_SAMPLE, EXAMPLE_USER, Task, example_time};
pub use types::check_type;
pub use workers::{Worker, workers};

/// The ids of the database that a filter by an entity may mean; `None` without a filter.
fn entity_ids(entity_id: Option<&str>) -> Option<Vec<String>> {
    entity_id.map(EntityId::to_database)
}

/// The tasks of the row with one of these ids, also the finished ones. `None` if no deletion of such a row was ever asked
/// for, so that the id can only be a user's, and if there is no filter.
async fn entity_tasks(
    connection: &mut sqlx::PgConnection,
    entity_ids: Option<&[String]>,
) -> Result<Option<Vec<i64>>, sqlx::Error> {
    let Some(entity_ids) = entity_ids else {
        return Ok(None);
    };
    let tasks = sqlx::query_file_scalar!("sql/tasks/entity_tasks.sql", entity_ids)
        .fetch_all(connection)
        .await?;
    Ok((!tasks.is_empty()).then_some(tasks))
}

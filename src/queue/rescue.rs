//! Taking up the tasks of workers that vanished.

use sqlx::PgPool;

use super::backoff::Backoff;
use super::transaction;

/// Most tasks rescued in one transaction.
const BITE: i64 = 500;

/// Gives the tasks of lost workers back to the queue, each as a failed attempt, and returns how many.
/// Only a worker whose own beat had no gap for a lease may call it: after an outage of the database,
/// everybody's lease looks expired.
///
/// # Errors
/// When the database cannot be asked; what was rescued before stays rescued.
pub async fn rescue(
    pool: &PgPool,
    rescuer: &str,
    backoff: Backoff,
    max_attempts: i32,
) -> Result<u64, sqlx::Error> {
    let lost = sqlx::query_file!("sql/queue/mark_lost.sql")
        .execute(pool)
        .await?
        .rows_affected();
    if lost > 0 {
        tracing::warn!(workers = lost, "workers vanished");
    }
    let mut rescued = 0;
    loop {
        let mut tx = transaction::begin(pool).await?;
        let tasks = sqlx::query_file!("sql/queue/lost_tasks.sql", BITE)
            .fetch_all(&mut *tx)
            .await?;
        if tasks.is_empty() {
            return Ok(rescued);
        }
        let ids: Vec<i64> = tasks.iter().map(|task| task.id).collect();
        let dead: Vec<bool> = tasks
            .iter()
            .map(|task| task.attempts >= max_attempts)
            .collect();
        let quarantine: Vec<bool> = tasks.iter().map(|task| task.crashed_before).collect();
        let delays: Vec<f64> = tasks
            .iter()
            .map(|task| backoff.random_delay(task.attempts).as_secs_f64())
            .collect();
        sqlx::query_file!("sql/queue/rescue.sql", &ids, &dead, &quarantine, &delays)
            .execute(&mut *tx)
            .await?;
        sqlx::query_file!("sql/queue/audit_rescue.sql", &ids, rescuer)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        for (task, dead) in tasks.iter().zip(&dead) {
            tracing::warn!(
                task_id = task.id,
                worker = task.lease_owner,
                attempt = task.attempts,
                dead,
                "took a task from a vanished worker"
            );
        }
        rescued += ids.len() as u64;
    }
}

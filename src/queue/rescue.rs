//! Taking up the tasks of workers that vanished, or left without handing everything back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::backoff::Backoff;
use super::{Lane, transaction};
use crate::failpoint;

/// Open tasks looked at in one bite, of which few are held by anybody.
const BITE: i64 = 10_000;

/// Gives the tasks of lost workers back to the queue and returns how many: as a failed attempt, or, of a
/// worker that left in order, as if it had not been tried. A worker is done with when a whole pass over the
/// open tasks is; a pass that breaks off is begun again by whoever looks next.
///
/// # Errors
/// When the database cannot be asked; what was rescued before stays rescued.
pub async fn rescue(
    pool: &PgPool,
    rescuer: &str,
    backoff: Backoff,
    max_attempts: i32,
) -> Result<u64, sqlx::Error> {
    let lost = sqlx::query_file_scalar!("sql/queue/unrescued_workers.sql")
        .fetch_all(pool)
        .await?;
    if lost.is_empty() {
        return Ok(0);
    }
    let mut rescued = 0;
    for lane in Lane::ALL {
        let (mut after, mut after_id) = (DateTime::<Utc>::UNIX_EPOCH, 0);
        loop {
            let mut tx = transaction::begin(pool).await?;
            let bite = sqlx::query_file!(
                "sql/queue/held_by.sql",
                lane.number(),
                after,
                after_id,
                &lost,
                BITE
            )
            .fetch_one(&mut *tx)
            .await?;
            if !bite.held.is_empty() {
                rescued += take(&mut tx, &bite.held, &lost, rescuer, backoff, max_attempts).await?;
                failpoint::reach("rescue-written");
            }
            tx.commit().await?;
            let (Some(time), Some(id), true) =
                (bite.last_time, bite.last_id, bite.looked_at == BITE)
            else {
                break;
            };
            (after, after_id) = (time, id);
        }
    }
    failpoint::reach("rescue-committed");
    sqlx::query_file!("sql/queue/rescued_workers.sql", &lost)
        .execute(pool)
        .await?;
    Ok(rescued)
}

async fn take(
    connection: &mut sqlx::PgConnection,
    held: &[i64],
    lost: &[String],
    rescuer: &str,
    backoff: Backoff,
    max_attempts: i32,
) -> Result<u64, sqlx::Error> {
    let tasks = sqlx::query_file!("sql/queue/lost_tasks.sql", held, lost)
        .fetch_all(&mut *connection)
        .await?;
    let ids: Vec<i64> = tasks.iter().map(|task| task.id).collect();
    let given_back: Vec<bool> = tasks.iter().map(|task| task.left_in_order).collect();
    let dead: Vec<bool> = tasks
        .iter()
        .map(|task| task.attempts >= max_attempts)
        .collect();
    let quarantine: Vec<bool> = tasks
        .iter()
        .map(|task| task.crashed_before && !task.left_in_order)
        .collect();
    let delays: Vec<f64> = tasks
        .iter()
        .map(|task| {
            let delay = if task.left_in_order {
                Duration::ZERO
            } else {
                backoff.random_delay(task.attempts)
            };
            delay.as_secs_f64()
        })
        .collect();
    sqlx::query_file!(
        "sql/queue/rescue.sql",
        &ids,
        &given_back,
        &dead,
        &quarantine,
        &delays
    )
    .execute(&mut *connection)
    .await?;
    let crashed: Vec<i64> = tasks
        .iter()
        .filter(|task| !task.left_in_order)
        .map(|task| task.id)
        .collect();
    sqlx::query_file!("sql/queue/audit_rescue.sql", &crashed, rescuer)
        .execute(&mut *connection)
        .await?;
    for (task, dead) in tasks.iter().zip(&dead) {
        tracing::warn!(
            task_id = task.id,
            worker = task.lease_owner,
            attempt = task.attempts,
            left_in_order = task.left_in_order,
            dead = *dead && !task.left_in_order,
            "took a task from a lost worker"
        );
    }
    Ok(ids.len() as u64)
}

//! Taking up the tasks of workers that vanished, or left without handing everything back.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::Lane;
use super::backoff::Backoff;
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::transaction;
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
    let lost = sqlx::query_file_scalar!("sql/queue/unrescued_workers.sql").fetch_all(pool);
    let lost = with_timeout(STATEMENT_LIMIT, lost).await?;
    if lost.is_empty() {
        return Ok(0);
    }
    let mut rescued = 0;
    for lane in Lane::ALL {
        let mut after = Some((DateTime::<Utc>::UNIX_EPOCH, 0));
        while let Some(from) = after {
            let bite = rescue_bite(pool, lane, from, &lost, rescuer, backoff, max_attempts);
            let (taken, next) = with_timeout(TRANSACTION_LIMIT, bite).await?;
            rescued += taken;
            after = next;
        }
    }
    failpoint::reach("rescue-committed");
    let done = sqlx::query_file!("sql/queue/rescued_workers.sql", &lost).execute(pool);
    with_timeout(STATEMENT_LIMIT, done).await?;
    Ok(rescued)
}

/// One bite, one transaction: how many tasks were taken, and where the next bite begins.
async fn rescue_bite(
    pool: &PgPool,
    lane: Lane,
    (after, after_id): (DateTime<Utc>, i64),
    lost: &[String],
    rescuer: &str,
    backoff: Backoff,
    max_attempts: i32,
) -> Result<(u64, Option<(DateTime<Utc>, i64)>), sqlx::Error> {
    let mut tx = transaction::begin(pool).await?;
    let bite = sqlx::query_file!(
        "sql/queue/held_by.sql",
        lane.number(),
        after,
        after_id,
        lost,
        BITE
    )
    .fetch_one(&mut *tx)
    .await?;
    let mut taken = 0;
    if !bite.held.is_empty() {
        taken = take(&mut tx, &bite.held, lost, rescuer, backoff, max_attempts).await?;
        failpoint::reach("rescue-written");
    }
    tx.commit().await?;
    let next = (bite.last_time.zip(bite.last_id)).filter(|_| bite.looked_at == BITE);
    Ok((taken, next))
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

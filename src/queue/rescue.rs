//! Rescuing the tasks of workers that vanished, or left without releasing everything.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::Lane;
use super::backoff::RetryPolicy;
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::transaction;
use crate::failpoint;
use crate::vocabulary::{TaskId, WorkerId};

/// Open tasks scanned by one statement, of which few are held by anybody.
const BATCH: i64 = 10_000;

/// Gives the tasks of lost workers back to the queue and returns how many: as a failed attempt, or, if the
/// worker deregistered itself, as if it had not been tried. A worker counts as rescued when a whole scan over
/// the open tasks is complete; a scan that breaks off is begun again by another worker.
///
/// # Errors
/// When the database cannot be asked; what was rescued before stays rescued.
pub async fn rescue(
    pool: &PgPool,
    rescuer: &WorkerId,
    policy: RetryPolicy,
) -> Result<u64, sqlx::Error> {
    let lost = sqlx::query_file_scalar!("sql/queue/unrescued_workers.sql").fetch_all(pool);
    let lost = with_timeout(STATEMENT_LIMIT, lost).await?;
    if lost.is_empty() {
        return Ok(0);
    }
    let rescue = Rescue {
        pool,
        lost: &lost,
        rescuer,
        policy,
    };
    let mut rescued = 0;
    for lane in Lane::ALL {
        let mut from = Some((DateTime::<Utc>::UNIX_EPOCH, 0));
        while let Some(after) = from {
            let batch = rescue.batch(lane, after);
            let (tasks, next) = with_timeout(TRANSACTION_LIMIT, batch).await?;
            rescued += tasks;
            from = next;
        }
    }
    failpoint::reach("rescue-committed");
    let done = sqlx::query_file!("sql/queue/rescued_workers.sql", &lost).execute(pool);
    with_timeout(STATEMENT_LIMIT, done).await?;
    Ok(rescued)
}

/// Due time and id of the last task that a batch scanned.
type ScanPosition = (DateTime<Utc>, i64);

struct Rescue<'a> {
    pool: &'a PgPool,
    lost: &'a [String],
    rescuer: &'a WorkerId,
    policy: RetryPolicy,
}

/// A task that a lost worker holds; this transaction has locked it.
struct LostTask {
    id: TaskId,
    attempts: i32,
    crashed_before: bool,
    lease_owner: String,
    left_in_order: bool,
}

impl Rescue<'_> {
    /// One batch, one transaction: how many tasks were rescued, and after which the next batch begins.
    async fn batch(
        &self,
        lane: Lane,
        (after, after_id): ScanPosition,
    ) -> Result<(u64, Option<ScanPosition>), sqlx::Error> {
        let mut tx = transaction::begin(self.pool).await?;
        let batch = sqlx::query_file!(
            "sql/queue/held_by.sql",
            lane.number(),
            after,
            after_id,
            self.lost,
            BATCH
        )
        .fetch_one(&mut *tx)
        .await?;
        let mut rescued = 0;
        if !batch.held.is_empty() {
            let tasks =
                sqlx::query_file_as!(LostTask, "sql/queue/lost_tasks.sql", &batch.held, self.lost)
                    .fetch_all(&mut *tx)
                    .await?;
            self.give_back(&mut tx, &tasks).await?;
            self.audit(&mut tx, &tasks).await?;
            rescued = tasks.len() as u64;
            failpoint::reach("rescue-written");
        }
        tx.commit().await?;
        let last = batch.last_time.zip(batch.last_id);
        Ok((rescued, last.filter(|_| batch.scanned == BATCH)))
    }

    async fn give_back(
        &self,
        connection: &mut PgConnection,
        tasks: &[LostTask],
    ) -> Result<(), sqlx::Error> {
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
        let given_back: Vec<bool> = tasks.iter().map(|task| task.left_in_order).collect();
        let dead: Vec<bool> = tasks
            .iter()
            .map(|task| self.is_last_attempt(task))
            .collect();
        let quarantine: Vec<bool> = tasks
            .iter()
            .map(|task| task.crashed_before && !task.left_in_order)
            .collect();
        let delays: Vec<f64> = tasks
            .iter()
            .map(|task| self.delay(task).as_secs_f64())
            .collect();
        sqlx::query_file!(
            "sql/queue/rescue.sql",
            &ids as &[TaskId],
            &given_back,
            &dead,
            &quarantine,
            &delays
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Writes the crashes into the audit and all rescued tasks into the log.
    async fn audit(
        &self,
        connection: &mut PgConnection,
        tasks: &[LostTask],
    ) -> Result<(), sqlx::Error> {
        let crashed: Vec<TaskId> = tasks
            .iter()
            .filter(|task| !task.left_in_order)
            .map(|task| task.id)
            .collect();
        sqlx::query_file!(
            "sql/queue/audit_rescue.sql",
            &crashed as &[TaskId],
            self.rescuer.as_str()
        )
        .execute(connection)
        .await?;
        for task in tasks {
            tracing::warn!(
                task_id = task.id.0,
                worker = task.lease_owner,
                attempt = task.attempts,
                left_in_order = task.left_in_order,
                dead = self.is_last_attempt(task) && !task.left_in_order,
                "rescued a task of a lost worker"
            );
        }
        Ok(())
    }

    fn is_last_attempt(&self, task: &LostTask) -> bool {
        task.attempts >= self.policy.max_attempts
    }

    fn delay(&self, task: &LostTask) -> Duration {
        if task.left_in_order {
            Duration::ZERO
        } else {
            self.policy.backoff.random_delay(task.attempts)
        }
    }
}

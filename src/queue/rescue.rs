//! Rescues the tasks of workers that vanished, or that deregistered themselves before they released every task.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::Lane;
use super::backoff::RetryPolicy;
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::transaction;
use crate::failpoint;
use crate::vocabulary::{TaskId, WorkerId};

/// The number of open tasks that one statement scans. Workers hold only few of them.
const BATCH: i64 = 10_000;

/// Whose tasks are rescued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Of workers that are marked as lost. Without any, nothing is scanned.
    Workers,
    /// Of these, and of workers that have no row.
    Rows,
}

/// Gives the tasks of lost workers back to the queue, and returns their number. The attempt counts as failed, unless
/// the worker deregistered itself; then it is not counted. A lost worker is marked as rescued only after a full
/// scan of the open tasks. If the scan fails, any worker later repeats it from the start.
///
/// # Errors
/// When a statement fails. The tasks that were rescued before it stay rescued.
pub async fn rescue(
    pool: &PgPool,
    rescuer: &WorkerId,
    policy: RetryPolicy,
    whose: Lost,
) -> Result<u64, sqlx::Error> {
    let lost = sqlx::query_file_scalar!("sql/queue/unrescued_workers.sql").fetch_all(pool);
    let lost = with_timeout(STATEMENT_LIMIT, lost).await?;
    if lost.is_empty() && whose == Lost::Workers {
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
            // Tasks that were claimed long ago stand first. A look for a missing row reads no further.
            from = next.filter(|_| !lost.is_empty());
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

/// A task that a lost worker holds. This transaction has locked it.
struct LostTask {
    id: TaskId,
    attempts: i32,
    crashed_before: bool,
    lease_owner: String,
    /// The worker deregistered itself. The name is a column of `lost_tasks.sql`.
    left_in_order: bool,
}

impl Rescue<'_> {
    /// Rescues one batch in one transaction. Returns the number of tasks and the position after which the next batch
    /// starts.
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
            self.return_to_queue(&mut tx, &tasks).await?;
            self.audit(&mut tx, &tasks).await?;
            rescued = tasks.len() as u64;
            failpoint::reach("rescue-written");
        }
        tx.commit().await?;
        let last = batch.last_time.zip(batch.last_id);
        Ok((rescued, last.filter(|_| batch.scanned == BATCH)))
    }

    async fn return_to_queue(
        &self,
        connection: &mut PgConnection,
        tasks: &[LostTask],
    ) -> Result<(), sqlx::Error> {
        let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
        let attempt_not_counted: Vec<bool> = tasks.iter().map(|task| task.left_in_order).collect();
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
            &attempt_not_counted,
            &dead,
            &quarantine,
            &delays
        )
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Writes the crashes into the audit, and all tasks that are about to be rescued into the log.
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
                deregistered_itself = task.left_in_order,
                dead = self.is_last_attempt(task) && !task.left_in_order,
                "rescuing a task of a lost worker"
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

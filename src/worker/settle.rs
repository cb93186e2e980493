//! The fourth stage: writes rows, tasks and audit in one transaction, only for claims whose token is still
//! current.
//!
//! A transaction fails in one of three ways. The database is away: it is repeated. The work is too big or somebody
//! holds a row: the batch is halved, and a task alone fails visibly. The work is refused: the batch is halved, and the
//! task at fault fails with the database's reason. A batch that cannot be settled within `BATCH_BUDGET` is released to
//! the bulk lane, where each task runs alone, so that its slot is free for others.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::Instant;

use super::audit;
use super::context::{Context, database_pauses};
use super::decide::TaskOutcome;
use super::rest::{self, SettledTask};
use crate::db::sqlstate::{self, Meaning, Trouble};
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::transaction::{self, Limits};
use crate::deletion::remove::{HeldRows, RemovedRows, TaskPairs, settle_partly, settle_tasks};
use crate::failpoint;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::queue::settle::{self as queue, Parts, TaskVerdict, Verdict};
use crate::vocabulary::{ErrorClass, TaskId, WorkerId};

/// How long a batch that does not settle at once is halved before the rest is released.
const BATCH_BUDGET: Duration = Duration::from_secs(2);
/// From this attempt on, a task alone gets the longest limits.
const PATIENT_ATTEMPT: i32 = 3;

/// The tasks that one call of `settle` committed.
#[derive(Debug, Default)]
pub struct SettleResult {
    pub tasks: Vec<SettledTask>,
}

/// Outcomes that are settled in one transaction.
struct Batch {
    outcomes: Vec<TaskOutcome>,
    held: HeldRows,
}

impl Batch {
    fn limits(&self) -> Limits {
        match self.outcomes.as_slice() {
            [outcome] => limits_alone(outcome.claim.attempts),
            _ => Limits::Batch,
        }
    }

    /// Two smaller batches, the one to settle first at the end. The tasks of one user often have the same trouble, so
    /// those of a user with most of the tasks are parted from all others, which then do not wait for them.
    fn halves(mut self) -> [Self; 2] {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        for outcome in &self.outcomes {
            *counts.entry(outcome.claim.user_id.as_str()).or_default() += 1;
        }
        let largest = counts.iter().max_by_key(|(_, count)| **count);
        let dominant = largest
            .filter(|(_, count)| counts.len() > 1 && **count * 2 >= self.outcomes.len())
            .map(|(user, _)| (*user).to_owned());
        let (later, first) = match dominant {
            Some(user) => self
                .outcomes
                .into_iter()
                .partition(|outcome| outcome.claim.user_id.as_str() == user),
            None => {
                self.outcomes.sort_by(|one, other| {
                    one.claim.user_id.as_str().cmp(other.claim.user_id.as_str())
                });
                let second = self.outcomes.split_off(self.outcomes.len() / 2);
                (second, self.outcomes)
            }
        };
        [later, first].map(|outcomes| Self {
            outcomes,
            held: HeldRows::Skip,
        })
    }
}

/// The limits of a task that is settled alone.
pub const fn limits_alone(attempts: i32) -> Limits {
    if attempts >= PATIENT_ATTEMPT {
        Limits::Longest
    } else {
        Limits::Alone
    }
}

/// Writes the outcomes. While the database is away it repeats, because the objects are already deleted. It stops when
/// the shutdown time is over; then another worker repeats the tasks.
pub async fn settle(context: &Context, lease: &Lease, outcomes: Vec<TaskOutcome>) -> SettleResult {
    let begun = Instant::now();
    let mut pauses = database_pauses();
    let mut result = SettleResult::default();
    let mut batches = vec![Batch {
        outcomes,
        held: HeldRows::Wait,
    }];
    while let Some(mut batch) = batches.pop() {
        if batch.outcomes.is_empty() {
            continue;
        }
        let written = write(context, &lease.worker, &batch);
        let error = match with_timeout(TRANSACTION_LIMIT, written).await {
            Ok(settled) => {
                wake_parents(context, &settled).await;
                result.tasks.extend(settled);
                continue;
            }
            Err(error) => error,
        };
        let trouble = sqlstate::trouble(&error);
        let tasks = batch.outcomes.len();
        tracing::warn!(
            error = sqlstate::with_remedy(&error),
            ?trouble,
            tasks,
            task_id = (tasks == 1).then(|| batch.outcomes[0].claim.id.0),
            "cannot settle these tasks; trying again, in smaller batches if that can help"
        );
        match trouble {
            Trouble::Away => {
                batches.push(batch);
                if !context.may_try_again(&mut pauses).await {
                    return result;
                }
            }
            Trouble::TooBig
                if batch.held == HeldRows::Wait && sqlstate::meaning(&error) == Meaning::Locked =>
            {
                batch.held = HeldRows::Skip;
                batches.push(batch);
            }
            Trouble::TooBig if tasks > 1 && begun.elapsed() > BATCH_BUDGET => {
                let released = batch.outcomes.into_iter().map(to_bulk_lane);
                result.tasks.extend(end(context, lease, released).await);
            }
            Trouble::Refused if context.is_drift(&error).await => {
                // No task is at fault, so no attempt is used up.
                let claims = batch.outcomes.into_iter().map(|outcome| outcome.claim);
                result.tasks.extend(release(context, lease, claims).await);
            }
            Trouble::TooBig | Trouble::Refused if tasks > 1 && !sqlstate::hides_rows(&error) => {
                batches.extend(batch.halves());
            }
            Trouble::TooBig | Trouble::Refused => {
                let class = class_of(context, &error);
                let error = format!("rows cannot be removed: {}", sqlstate::with_remedy(&error));
                let claims = batch.outcomes.into_iter().map(|outcome| outcome.claim);
                result
                    .tasks
                    .extend(fail(context, lease, claims, class, &error).await);
            }
        }
    }
    result
}

/// The class of an attempt that ends because the database did not do the work. Rows that are hidden from the worker are
/// no task's fault.
pub fn class_of(context: &Context, error: &sqlx::Error) -> ErrorClass {
    match sqlstate::trouble(error) {
        Trouble::TooBig => ErrorClass::Transient,
        _ if context.is_hidden(error) => ErrorClass::Outage,
        _ => ErrorClass::Blocked,
    }
}

/// Releases tasks as they were before they were claimed.
pub async fn release(
    context: &Context,
    lease: &Lease,
    claims: impl IntoIterator<Item = Claim>,
) -> Vec<SettledTask> {
    let released = claims.into_iter().map(TaskOutcome::untouched);
    end(context, lease, released.map(|outcome| (outcome, false))).await
}

/// The task goes back to the queue, to run alone.
fn to_bulk_lane(outcome: TaskOutcome) -> (TaskOutcome, bool) {
    (TaskOutcome::untouched(outcome.claim), true)
}

/// Ends an attempt that removed no row with a failure. The tasks keep their keys.
pub async fn fail(
    context: &Context,
    lease: &Lease,
    claims: impl IntoIterator<Item = Claim>,
    class: ErrorClass,
    error: &str,
) -> Vec<SettledTask> {
    let policy = context.options.retry_policy();
    let failed = claims.into_iter().map(|claim| {
        let outcome = TaskOutcome::failed(claim, class, error, policy);
        (outcome, class == ErrorClass::Transient)
    });
    end(context, lease, failed).await
}

/// Writes verdicts of tasks whose rows were not touched. Unlike `settle` it gives up at its first error; the tasks are
/// rescued later.
async fn end(
    context: &Context,
    lease: &Lease,
    outcomes: impl Iterator<Item = (TaskOutcome, bool)>,
) -> Vec<SettledTask> {
    let settled: Vec<SettledTask> = outcomes
        .map(|(outcome, to_bulk)| SettledTask {
            outcome,
            removed: RemovedRows::default(),
            to_bulk,
        })
        .collect();
    let written = async {
        let mut tx = transaction::begin(&context.pool).await?;
        let outcomes = settled.iter().map(|task| &task.outcome);
        let held = lock_current(&mut tx, outcomes).await?;
        let current: Vec<&SettledTask> = settled
            .iter()
            .filter(|task| held.contains(&task.outcome.claim.id))
            .collect();
        finish(&mut tx, &lease.worker, &current, &TaskPairs::default()).await?;
        tx.commit().await?;
        Ok(held)
    };
    match with_timeout(TRANSACTION_LIMIT, written).await {
        Ok(held) => settled
            .into_iter()
            .filter(|task| held.contains(&task.outcome.claim.id))
            .collect(),
        Err(error) => {
            tracing::error!(%error, "cannot write how tasks ended; other workers will rescue them");
            context.leases.suspect_lost_claims();
            Vec::new()
        }
    }
}

async fn write(
    context: &Context,
    worker: &WorkerId,
    batch: &Batch,
) -> Result<Vec<SettledTask>, sqlx::Error> {
    let policy = context.options.retry_policy();
    let mut tx = transaction::begin_within(&context.pool, batch.limits()).await?;
    let held = lock_current(&mut tx, batch.outcomes.iter()).await?;
    failpoint::reach("settle-locked");
    let current = batch
        .outcomes
        .iter()
        .filter(|outcome| held.contains(&outcome.claim.id));
    let (whole, partial): (Vec<&TaskOutcome>, Vec<&TaskOutcome>) =
        current.partition(|outcome| outcome.verdict == Verdict::Completed);

    let ids: Vec<TaskId> = whole.iter().map(|outcome| outcome.claim.id).collect();
    let mut kept = TaskPairs::default();
    for outcome in &whole {
        for key in &outcome.kept {
            kept.push(outcome.claim.id, key);
        }
    }
    let rests = settle_tasks(&mut tx, worker, &ids, &kept, batch.held).await?;
    let mut settled = rest::settled_tasks(&whole, rests, policy);

    let ids: Vec<TaskId> = partial.iter().map(|outcome| outcome.claim.id).collect();
    let removed = settle_partly(&mut tx, &ids, &answered(&partial)).await?;
    settled.extend(partial.iter().map(|outcome| {
        let of_task = removed.tasks.iter();
        let rows = of_task.filter(|task| **task == outcome.claim.id).count();
        let of_type = outcome.claim.row_type.as_deref().unwrap_or_default();
        SettledTask {
            outcome: (*outcome).clone(),
            removed: RemovedRows::of(of_type, rows as u64),
            to_bulk: false,
        }
    }));
    failpoint::reach("rows-deleted");
    let open: Vec<&SettledTask> = settled
        .iter()
        .filter(|task| task.outcome.verdict != Verdict::Completed)
        .collect();
    keep_remaining_keys(&mut tx, &partial).await?;
    finish(&mut tx, worker, &open, &removed).await?;
    failpoint::reach("settle-written");
    tx.commit().await?;
    failpoint::reach("settle-committed");
    Ok(settled)
}

/// Writes audit and verdicts of tasks that are not completed.
async fn finish(
    connection: &mut PgConnection,
    worker: &WorkerId,
    open: &[&SettledTask],
    removed: &TaskPairs,
) -> Result<(), sqlx::Error> {
    audit::write(connection, worker, open, removed).await?;
    let verdicts: Vec<TaskVerdict> = open
        .iter()
        .map(|task| TaskVerdict {
            id: task.outcome.claim.id,
            verdict: task.outcome.verdict.clone(),
            to_bulk: task.to_bulk,
        })
        .collect();
    queue::finish(connection, &verdicts).await
}

/// Keys of these tasks whose rows can be removed, because the object is deleted or must stay for another row.
fn answered(partial: &[&TaskOutcome]) -> Vec<String> {
    partial
        .iter()
        .flat_map(|outcome| {
            let kept = outcome.kept.iter().map(String::as_str);
            outcome.gone().chain(kept).map(str::to_owned)
        })
        .collect()
}

/// Locks and returns the tasks that this worker still holds. The others are not changed: the lease was lost, or an
/// earlier try of the same settle committed and only its answer was lost.
async fn lock_current<'o>(
    connection: &mut PgConnection,
    outcomes: impl Iterator<Item = &'o TaskOutcome>,
) -> Result<HashSet<TaskId>, sqlx::Error> {
    let claims: Vec<&Claim> = outcomes.map(|outcome| &outcome.claim).collect();
    let locked: HashSet<TaskId> = queue::lock_claims(connection, &claims)
        .await?
        .into_iter()
        .collect();
    for claim in claims {
        if !locked.contains(&claim.id) {
            tracing::warn!(
                task_id = claim.id.0,
                "this worker no longer holds the task; this try does not change it"
            );
        }
    }
    Ok(locked)
}

/// Stores in each of these tasks its remaining keys.
async fn keep_remaining_keys(
    connection: &mut PgConnection,
    partial: &[&TaskOutcome],
) -> Result<(), sqlx::Error> {
    let touched: Vec<TaskId> = partial.iter().map(|outcome| outcome.claim.id).collect();
    let mut left = TaskPairs::default();
    for outcome in partial {
        for (key, _) in &outcome.remaining {
            left.push(outcome.claim.id, key);
        }
    }
    queue::keep_keys(connection, &touched, &left.tasks, &left.values).await
}

/// Wakes the parents of tasks that ended or failed. Call it after the commit. A parent that is not woken runs by itself
/// within a minute.
async fn wake_parents(context: &Context, settled: &[SettledTask]) {
    let mut parents: Vec<TaskId> = settled
        .iter()
        .filter(|task| !matches!(task.outcome.verdict, Verdict::Released { .. }))
        .filter_map(|task| task.outcome.claim.parent_id)
        .collect();
    parents.sort_unstable();
    parents.dedup();
    let woken = queue::wake_parents(&context.pool, &parents, Parts::Fresh);
    if let Err(error) = with_timeout(STATEMENT_LIMIT, woken).await {
        tracing::warn!(%error, ?parents, "cannot wake the parents of these tasks; they run by themselves within a minute");
    }
}

//! The fourth stage: writes rows, tasks and audit in one transaction, only for claims whose token is still
//! current.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use super::audit::{self, TaskKeys};
use super::context::{Context, database_pauses};
use super::decide::TaskOutcome;
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::{sqlstate, transaction};
use crate::deletion::hard_delete::{HardDeletion, SettledKeys, TaskScope, hard_delete};
use crate::failpoint;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::queue::settle::{self as queue, TaskVerdict, Verdict};
use crate::vocabulary::{ErrorClass, TaskId, TaskKind, WorkerId};

/// Delay before a task runs again because its sample is locked by another transaction, or has more late images than
/// one settle takes.
const HELD_DELAY: Duration = Duration::from_millis(200);
/// A task fails when the database has refused its settle this many times. Time-outs and conflicts do not count.
const MAX_REFUSALS: u32 = 4;

/// The tasks that one call of `settle` committed.
#[derive(Debug, Default)]
pub struct SettleResult {
    pub tasks: Vec<SettledTask>,
}

/// A task as it was committed.
#[derive(Debug)]
pub struct SettledTask {
    /// Its verdict is the one that was written.
    pub outcome: TaskOutcome,
    pub removed: RemovedRows,
}

/// Rows that a task removed.
#[derive(Debug, Default)]
pub struct RemovedRows {
    pub images: Vec<Uuid>,
    pub samples: Vec<Uuid>,
    pub collections: Vec<Uuid>,
    pub users: u64,
}

/// The verdicts and row deletions that one transaction wrote.
struct Written {
    tasks: Vec<TaskVerdict>,
    deleted: HardDeletion,
}

impl SettleResult {
    /// Leaves out the outcomes without a verdict in `written`: this worker no longer holds those tasks.
    fn new(outcomes: Vec<TaskOutcome>, written: Written) -> Self {
        let mut removed: HashMap<i64, RemovedRows> = HashMap::new();
        for (task, image) in written.deleted.images {
            removed.entry(task).or_default().images.push(image);
        }
        for (task, sample) in written.deleted.samples {
            removed.entry(task).or_default().samples.push(sample);
        }
        let mut verdicts: HashMap<TaskId, Verdict> = written
            .tasks
            .into_iter()
            .map(|task| (task.id, task.verdict))
            .collect();
        let settled = |mut outcome: TaskOutcome| {
            outcome.verdict = verdicts.remove(&outcome.claim.id)?;
            let removed = removed.remove(&outcome.claim.id.0).unwrap_or_default();
            Some(SettledTask { outcome, removed })
        };
        Self {
            tasks: outcomes.into_iter().filter_map(settled).collect(),
        }
    }
}

/// Writes the outcomes. While the database is unreachable it retries, because the objects are already deleted. It
/// stops when the shutdown time is over; then another worker repeats the tasks.
pub async fn settle(context: &Context, lease: &Lease, outcomes: Vec<TaskOutcome>) -> SettleResult {
    if outcomes.is_empty() {
        return SettleResult::default();
    }
    let mut pauses = database_pauses();
    let mut refusals = 0;
    loop {
        let written = write(context, &lease.worker, &outcomes);
        match with_timeout(TRANSACTION_LIMIT, written).await {
            Ok(written) => {
                let result = SettleResult::new(outcomes, written);
                wake_parents(context, &result).await;
                return result;
            }
            Err(error) if sqlstate::is_temporary(&error) => {
                tracing::warn!(%error, tasks = outcomes.len(), "cannot settle at the moment; trying again");
            }
            Err(error) if outcomes.len() > 1 => {
                tracing::error!(%error, tasks = outcomes.len(), "cannot settle a batch; settling its tasks one by one");
                return settle_one_by_one(context, lease, outcomes).await;
            }
            Err(error) => {
                refusals += 1;
                let task_id = outcomes.first().map(|outcome| outcome.claim.id.0);
                tracing::error!(%error, task_id, refusals, "cannot settle a task");
                if refusals >= MAX_REFUSALS {
                    let claims = outcomes.into_iter().map(|outcome| outcome.claim);
                    let error =
                        format!("rows cannot be removed: {}", sqlstate::with_remedy(&error));
                    return fail(context, lease, claims, &error).await;
                }
            }
        }
        tokio::select! {
            () = context.abort.cancelled() => {
                context.leases.suspect_lost_claims();
                return SettleResult::default();
            }
            () = tokio::time::sleep(pauses.next_pause()) => {}
        }
    }
}

async fn settle_one_by_one(
    context: &Context,
    lease: &Lease,
    outcomes: Vec<TaskOutcome>,
) -> SettleResult {
    let mut result = SettleResult::default();
    for outcome in outcomes {
        let one = Box::pin(settle(context, lease, vec![outcome])).await;
        result.tasks.extend(one.tasks);
    }
    result
}

/// Settles tasks whose rows cannot be removed (a trigger or a foreign key of the application refuses). They fail
/// with the database's reason, so that a person sees it, and they keep their keys. Unlike `settle` it gives up at
/// its first error; the tasks are rescued later.
pub async fn fail(
    context: &Context,
    lease: &Lease,
    claims: impl IntoIterator<Item = Claim>,
    error: &str,
) -> SettleResult {
    let policy = context.options.retry_policy();
    let outcomes: Vec<TaskOutcome> = claims
        .into_iter()
        .map(|claim| TaskOutcome::failed(claim, ErrorClass::Blocked, error, policy))
        .collect();
    let written = async {
        let mut tx = transaction::begin(&context.pool).await?;
        let current = lock_current(&mut tx, &outcomes).await?;
        let deleted = HardDeletion::default();
        let tasks = verdicts(&current, &deleted);
        let audited = current.iter().copied().zip(&tasks);
        audit::write(&mut tx, &lease.worker, audited, &deleted).await?;
        queue::finish(&mut tx, &tasks).await?;
        tx.commit().await?;
        Ok(Written { tasks, deleted })
    };
    match with_timeout(TRANSACTION_LIMIT, written).await {
        Ok(written) => SettleResult::new(outcomes, written),
        Err(error) => {
            tracing::error!(%error, "cannot write that tasks failed; other workers will rescue them");
            context.leases.suspect_lost_claims();
            SettleResult::default()
        }
    }
}

async fn write(
    context: &Context,
    worker: &WorkerId,
    outcomes: &[TaskOutcome],
) -> Result<Written, sqlx::Error> {
    let mut tx = transaction::begin(&context.pool).await?;
    let current = lock_current(&mut tx, outcomes).await?;
    failpoint::reach("settle-locked");
    let deleted = remove_rows(&mut tx, &current).await?;
    let tasks = verdicts(&current, &deleted);
    let audited = current.iter().copied().zip(&tasks);
    audit::write(&mut tx, worker, audited, &deleted).await?;
    keep_remaining_keys(&mut tx, &current, &tasks, &deleted).await?;
    queue::finish(&mut tx, &tasks).await?;
    failpoint::reach("settle-written");
    tx.commit().await?;
    failpoint::reach("settle-committed");
    Ok(Written { tasks, deleted })
}

/// Locks and returns the tasks that this worker still holds. The others are not changed: the lease was lost, or an
/// earlier try of the same settle committed and only its answer was lost.
async fn lock_current<'o>(
    connection: &mut PgConnection,
    outcomes: &'o [TaskOutcome],
) -> Result<Vec<&'o TaskOutcome>, sqlx::Error> {
    let claims: Vec<&Claim> = outcomes.iter().map(|outcome| &outcome.claim).collect();
    let locked: HashSet<TaskId> = queue::lock_claims(connection, &claims)
        .await?
        .into_iter()
        .collect();
    let (current, others): (Vec<&TaskOutcome>, Vec<&TaskOutcome>) = outcomes
        .iter()
        .partition(|outcome| locked.contains(&outcome.claim.id));
    for outcome in others {
        let task_id = outcome.claim.id.0;
        tracing::warn!(
            task_id,
            "this worker no longer holds the task; this try does not change it"
        );
    }
    Ok(current)
}

async fn remove_rows(
    connection: &mut PgConnection,
    current: &[&TaskOutcome],
) -> Result<HardDeletion, sqlx::Error> {
    let scopes: Vec<TaskScope> = current.iter().map(|outcome| scope(outcome)).collect();
    let settled_keys = settled_keys(current);
    if settled_keys.is_empty() && scopes.iter().all(|scope| scope.sample.is_none()) {
        return Ok(HardDeletion::default());
    }
    let deleted = hard_delete(connection, &scopes, &settled_keys).await?;
    failpoint::reach("rows-deleted");
    Ok(deleted)
}

fn scope(outcome: &TaskOutcome) -> TaskScope {
    let is_sample = outcome.claim.kind == TaskKind::SampleDelete;
    let sample = (is_sample && outcome.verdict == Verdict::Completed)
        .then(|| Uuid::parse_str(&outcome.claim.entity_id).ok())
        .flatten();
    TaskScope {
        task: outcome.claim.id.0,
        sample,
    }
}

/// Keys whose image rows can be deleted, because the object is deleted or must stay for another image.
fn settled_keys(current: &[&TaskOutcome]) -> SettledKeys {
    let mut settled_keys = SettledKeys::default();
    for outcome in current {
        if outcome.claim.object_keys.is_empty() {
            continue;
        }
        if outcome.remaining.is_empty() {
            settled_keys.whole.push(outcome.claim.id.0);
        } else {
            let kept = outcome.kept.iter().map(String::as_str);
            for key in outcome.gone().chain(kept) {
                settled_keys.tasks.push(outcome.claim.id.0);
                settled_keys.keys.push(key.to_owned());
            }
        }
    }
    settled_keys
}

/// The verdict of each task that this worker still holds. A completed task runs again if it has late images, which
/// were not in the task yet (`deleted.late`), or if its sample is locked by another transaction or has more late
/// images than one settle takes (`deleted.held`). `settle` calls it after removing rows, `fail` after removing none.
fn verdicts(current: &[&TaskOutcome], deleted: &HardDeletion) -> Vec<TaskVerdict> {
    let verdict = |outcome: &TaskOutcome| {
        let (id, is_complete) = (outcome.claim.id.0, outcome.verdict == Verdict::Completed);
        if is_complete && deleted.late.contains_key(&id) {
            return Verdict::RELEASED;
        }
        if is_complete && deleted.held.contains(&id) {
            return Verdict::Released {
                delay: HELD_DELAY,
                error: None,
            };
        }
        outcome.verdict.clone()
    };
    current
        .iter()
        .map(|outcome| TaskVerdict {
            id: outcome.claim.id,
            verdict: verdict(outcome),
        })
        .collect()
}

/// Stores in each unfinished task its remaining keys and the keys of its late images.
async fn keep_remaining_keys(
    connection: &mut PgConnection,
    current: &[&TaskOutcome],
    tasks: &[TaskVerdict],
    deleted: &HardDeletion,
) -> Result<(), sqlx::Error> {
    let touched: Vec<TaskId> = tasks
        .iter()
        .filter(|task| task.verdict != Verdict::Completed)
        .map(|task| task.id)
        .collect();
    let mut left = TaskKeys::default();
    for outcome in current {
        for (key, _) in &outcome.remaining {
            left.push(outcome.claim.id, key);
        }
    }
    for (task, keys) in &deleted.late {
        for key in keys {
            left.push(TaskId(*task), key);
        }
    }
    queue::keep_keys(connection, &touched, &left.tasks, &left.keys).await
}

/// Wakes the parent tasks. Call it after the commit. A parent that is not woken runs by itself within a minute.
async fn wake_parents(context: &Context, result: &SettleResult) {
    let mut parents: Vec<TaskId> = result
        .tasks
        .iter()
        .filter(|task| task.outcome.verdict == Verdict::Completed)
        .filter_map(|task| task.outcome.claim.parent_id)
        .collect();
    parents.sort_unstable();
    parents.dedup();
    let woken = queue::wake_parents(&context.pool, &parents);
    if let Err(error) = with_timeout(STATEMENT_LIMIT, woken).await {
        tracing::warn!(%error, ?parents, "cannot wake the parents of completed tasks; they run by themselves within a minute");
    }
}

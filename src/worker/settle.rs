//! The fourth stage: rows, tasks and audit in one transaction, fenced by each claim's token.

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

/// When somebody holds its sample, a task is tried again after this delay.
const HELD_DELAY: Duration = Duration::from_millis(200);
/// A refusal by the database is tried this many times before its task fails.
const MAX_TRIES: u32 = 4;

/// What a settle committed.
#[derive(Debug, Default)]
pub struct SettleResult {
    pub tasks: Vec<SettledTask>,
}

/// A task as it was committed.
#[derive(Debug)]
pub struct SettledTask {
    /// With the verdict that was written.
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

/// What the transaction wrote.
struct Written {
    tasks: Vec<TaskVerdict>,
    deleted: HardDeletion,
}

impl SettleResult {
    /// Outcomes without a verdict in `written` were lost to another worker, and are left out.
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

/// Settles outcomes, and tries for as long as the database is away: the work is done and must not be
/// lost. Only the end of a shutdown gives up; another worker does it again then.
pub async fn settle(context: &Context, lease: &Lease, outcomes: Vec<TaskOutcome>) -> SettleResult {
    if outcomes.is_empty() {
        return SettleResult::default();
    }
    let mut pauses = database_pauses();
    let mut tries = 0;
    loop {
        tries += 1;
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
                let task_id = outcomes.first().map(|outcome| outcome.claim.id.0);
                tracing::error!(%error, task_id, tries, "cannot settle a task");
                if tries >= MAX_TRIES {
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
/// with the database's reason, so that a person sees it; their keys stay with them.
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
        let held = lock_held(&mut tx, &outcomes).await?;
        let deleted = HardDeletion::default();
        let tasks = verdicts(&held, &deleted);
        let audited = held.iter().copied().zip(&tasks);
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
    let held = lock_held(&mut tx, outcomes).await?;
    failpoint::reach("settle-locked");
    let deleted = remove_rows(&mut tx, &held).await?;
    let tasks = verdicts(&held, &deleted);
    let audited = held.iter().copied().zip(&tasks);
    audit::write(&mut tx, worker, audited, &deleted).await?;
    keep_remaining_keys(&mut tx, &held, &tasks, &deleted).await?;
    queue::finish(&mut tx, &tasks).await?;
    failpoint::reach("settle-written");
    tx.commit().await?;
    failpoint::reach("settle-committed");
    Ok(Written { tasks, deleted })
}

/// Locks the tasks that this worker still holds. The others are left alone.
async fn lock_held<'o>(
    connection: &mut PgConnection,
    outcomes: &'o [TaskOutcome],
) -> Result<Vec<&'o TaskOutcome>, sqlx::Error> {
    let claims: Vec<&Claim> = outcomes.iter().map(|outcome| &outcome.claim).collect();
    let locked: HashSet<TaskId> = queue::lock_claims(connection, &claims)
        .await?
        .into_iter()
        .collect();
    let (held, lost): (Vec<&TaskOutcome>, Vec<&TaskOutcome>) = outcomes
        .iter()
        .partition(|outcome| locked.contains(&outcome.claim.id));
    for outcome in lost {
        let task_id = outcome.claim.id.0;
        tracing::warn!(task_id, "lease lost; nothing is changed");
    }
    Ok(held)
}

async fn remove_rows(
    connection: &mut PgConnection,
    held: &[&TaskOutcome],
) -> Result<HardDeletion, sqlx::Error> {
    let scopes: Vec<TaskScope> = held.iter().map(|outcome| scope(outcome)).collect();
    let settled_keys = settled_keys(held);
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

/// The keys whose image rows may go: gone from the store, or kept there for a live image.
fn settled_keys(held: &[&TaskOutcome]) -> SettledKeys {
    let mut settled_keys = SettledKeys::default();
    for outcome in held {
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

/// The verdict of each held task, now that its rows are removed.
fn verdicts(held: &[&TaskOutcome], deleted: &HardDeletion) -> Vec<TaskVerdict> {
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
    held.iter()
        .map(|outcome| TaskVerdict {
            id: outcome.claim.id,
            verdict: verdict(outcome),
        })
        .collect()
}

/// A task that is not completed keeps the keys that remain, and those of its late images.
async fn keep_remaining_keys(
    connection: &mut PgConnection,
    held: &[&TaskOutcome],
    tasks: &[TaskVerdict],
    deleted: &HardDeletion,
) -> Result<(), sqlx::Error> {
    let touched: Vec<TaskId> = tasks
        .iter()
        .filter(|task| task.verdict != Verdict::Completed)
        .map(|task| task.id)
        .collect();
    let mut left = TaskKeys::default();
    for outcome in held {
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

/// After the commit. If a wake-up is lost, the parent wakes by itself within a minute.
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
        tracing::warn!(%error, ?parents, "cannot wake the parents of completed tasks; they wake by themselves within a minute");
    }
}

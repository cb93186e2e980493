//! Runs the root of a user's erasure that does not fit into one task. Each claim of it makes one step, which is
//! settled in a separate transaction and reported like any other task.

use super::audit;
use super::context::{Context, database_pauses};
use super::decide::TaskOutcome;
use super::rest::{self, SettledTask};
use super::settle::{self, SettleResult};
use crate::db::sqlstate::{self, Meaning, Trouble};
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::transaction;
use crate::deletion::remove::{HeldRows, Rest, TaskPairs, step_erasure};
use crate::failpoint;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::queue::settle::{Parts, TaskVerdict, finish, lock_claims, wake_parents};
use crate::vocabulary::{TaskId, WorkerId};

/// Makes and settles one step. While the database is away it repeats. A step that is too slow, or meets rows that
/// somebody holds, is tried once more without waiting for them; then its attempt fails.
pub async fn settle_step(context: &Context, lease: &Lease, claim: Claim) -> SettleResult {
    let mut pauses = database_pauses();
    let mut held = HeldRows::Wait;
    loop {
        let step = try_step(context, &lease.worker, &claim, held);
        let error = match with_timeout(TRANSACTION_LIMIT, step).await {
            Ok(None) => return SettleResult::default(),
            Ok(Some(task)) => return SettleResult { tasks: vec![task] },
            Err(error) => error,
        };
        let trouble = sqlstate::trouble(&error);
        let task_id = claim.id.0;
        tracing::warn!(
            task_id,
            error = sqlstate::with_remedy(&error),
            ?trouble,
            "a step of an erasure failed"
        );
        match trouble {
            Trouble::Away => {
                if !context.may_try_again(&mut pauses).await {
                    return SettleResult::default();
                }
            }
            Trouble::TooBig
                if held == HeldRows::Wait && sqlstate::meaning(&error) == Meaning::Locked =>
            {
                held = HeldRows::Skip;
            }
            Trouble::Refused if context.is_drift(&error).await => {
                let tasks = settle::release(context, lease, [claim]).await;
                return SettleResult { tasks };
            }
            Trouble::TooBig | Trouble::Refused => {
                let class = settle::class_of(context, &error);
                let error = format!(
                    "the erasure's step fails: {}",
                    sqlstate::with_remedy(&error)
                );
                let tasks = settle::fail(context, lease, [claim], class, &error).await;
                return SettleResult { tasks };
            }
        }
    }
}

/// Makes the step in one transaction. Returns None when this worker no longer holds the task: it was rescued, or an
/// earlier try of this step committed and only its answer was lost.
async fn try_step(
    context: &Context,
    worker: &WorkerId,
    claim: &Claim,
    held: HeldRows,
) -> Result<Option<SettledTask>, sqlx::Error> {
    let limits = settle::limits_alone(claim.attempts);
    let mut tx = transaction::begin_within(&context.pool, limits).await?;
    if lock_claims(&mut tx, &[claim]).await?.is_empty() {
        tracing::warn!(
            task_id = claim.id.0,
            "this worker no longer holds the task; this try does not change it"
        );
        tx.rollback().await?;
        return Ok(None);
    }
    let step = step_erasure(&mut tx, worker, claim.id, held).await?;
    failpoint::reach("root-stepped");
    let verdict = rest::verdict(&step.rest, claim.attempts, context.options.retry_policy());
    let settled = SettledTask {
        outcome: TaskOutcome::without_keys(claim.clone(), verdict.clone()),
        removed: step.removed,
        to_bulk: false,
    };
    if step.rest != Rest::Nothing {
        audit::write(&mut tx, worker, &[&settled], &TaskPairs::default()).await?;
        let task = TaskVerdict {
            id: claim.id,
            verdict,
            to_bulk: false,
        };
        finish(&mut tx, &[task]).await?;
    }
    failpoint::reach("root-written");
    tx.commit().await?;
    failpoint::reach("root-committed");
    if step.rest == Rest::Parts {
        wake_if_parts_ended(context, claim.id).await;
    }
    Ok(Some(settled))
}

/// Wakes the root if its parts have ended. The last part may have ended between the step's query and its commit; it
/// did not wake the root then, because the root was still running.
async fn wake_if_parts_ended(context: &Context, root: TaskId) {
    let roots = [root];
    let woken = wake_parents(&context.pool, &roots, Parts::Open);
    if let Err(error) = with_timeout(STATEMENT_LIMIT, woken).await {
        tracing::warn!(task_id = root.0, %error, "cannot wake an erasure; it runs by itself within a minute");
    }
}

//! Runs the root of a user's erasure. The root has no keys. Each claim of it runs one step, which is settled in a
//! separate transaction and reported like any other task.

use super::context::{Context, database_pauses};
use super::decide::TaskOutcome;
use super::settle::{self, RemovedRows, SettleResult, SettledTask};
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::{sqlstate, transaction};
use crate::deletion::erase_user::{ErasedRows, ErasureStep, erase_user_step};
use crate::failpoint;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::queue::settle::{TaskVerdict, Verdict, finish, lock_claims, wake_parents};
use crate::vocabulary::{AuditEvent, TaskId, WorkerId};

/// An attempt fails when the database has refused its step this many times. Time-outs and conflicts do not count.
const MAX_REFUSALS: u32 = 3;

/// Runs and settles one step. While the database is unreachable it retries.
pub async fn settle_step(context: &Context, lease: &Lease, claim: Claim) -> SettleResult {
    let mut pauses = database_pauses();
    let mut refusals = 0;
    loop {
        let step = try_step(context, &lease.worker, &claim);
        let error = match with_timeout(TRANSACTION_LIMIT, step).await {
            Ok(None) => return SettleResult::default(),
            Ok(Some((verdict, removed))) => {
                return SettleResult {
                    tasks: vec![SettledTask {
                        outcome: TaskOutcome::without_keys(claim, verdict),
                        removed,
                    }],
                };
            }
            Err(error) => error,
        };
        let task_id = claim.id.0;
        if !sqlstate::is_temporary(&error) {
            refusals += 1;
        }
        if refusals >= MAX_REFUSALS {
            tracing::error!(task_id, %error, "a step of an erasure is refused; its attempt fails");
            let error = format!(
                "the erasure's step fails: {}",
                sqlstate::with_remedy(&error)
            );
            return settle::fail(context, lease, [claim], &error).await;
        }
        tracing::warn!(task_id, %error, refusals, "a step of an erasure failed; trying it again");
        tokio::select! {
            () = context.abort.cancelled() => {
                context.leases.suspect_lost_claims();
                return SettleResult::default();
            }
            () = tokio::time::sleep(pauses.next_pause()) => {}
        }
    }
}

/// Runs the step in one transaction. Returns None when this worker no longer holds the task: it was rescued, or an
/// earlier try of this step committed and only its answer was lost.
async fn try_step(
    context: &Context,
    worker: &WorkerId,
    claim: &Claim,
) -> Result<Option<(Verdict, RemovedRows)>, sqlx::Error> {
    let mut tx = transaction::begin(&context.pool).await?;
    if lock_claims(&mut tx, &[claim]).await?.is_empty() {
        tracing::warn!(
            task_id = claim.id.0,
            "this worker no longer holds the task; this try does not change it"
        );
        tx.rollback().await?;
        return Ok(None);
    }
    let (step, removed) = erase_user_step(&mut tx, claim.id, &claim.user_id).await?;
    failpoint::reach("root-stepped");
    let (verdict, event) = match &step {
        ErasureStep::Erased => (Verdict::Completed, AuditEvent::UserErased),
        ErasureStep::Again(delay) => {
            let verdict = Verdict::Released {
                delay: *delay,
                error: None,
            };
            (verdict, AuditEvent::TaskReleased)
        }
    };
    if step == ErasureStep::Erased || removed != ErasedRows::default() {
        sqlx::query_file!(
            "sql/deletion/audit_erasure.sql",
            claim.id.0,
            event.as_str(),
            worker.as_str(),
            &removed.samples,
            &removed.collections,
            removed.users
        )
        .execute(&mut *tx)
        .await?;
    }
    let task = TaskVerdict {
        id: claim.id,
        verdict: verdict.clone(),
    };
    finish(&mut tx, &[task]).await?;
    failpoint::reach("root-written");
    tx.commit().await?;
    failpoint::reach("root-committed");
    if matches!(&step, ErasureStep::Again(delay) if !delay.is_zero()) {
        wake_if_parts_ended(context, claim.id).await;
    }
    let removed = RemovedRows {
        images: Vec::new(),
        samples: removed.samples,
        collections: removed.collections,
        users: u64::from(removed.users > 0),
    };
    Ok(Some((verdict, removed)))
}

/// Wakes the root if its parts have ended. The last part may have ended between the step's query and its commit; it
/// did not wake the root then, because the root was still running.
async fn wake_if_parts_ended(context: &Context, root: TaskId) {
    let roots = [root];
    let woken = wake_parents(&context.pool, &roots);
    if let Err(error) = with_timeout(STATEMENT_LIMIT, woken).await {
        tracing::warn!(task_id = root.0, %error, "cannot wake an erasure; it runs by itself within a minute");
    }
}

//! The root of a user's erasure. It has no keys of its own: each claim of it is one step, settled in a transaction
//! of its own, and reported like any other task.

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

/// A step that the database refuses for a reason that does not pass is tried this many times in one attempt.
const MAX_TRIES: u32 = 3;

/// Does and settles one step. While the database is away it waits.
pub async fn settle_step(context: &Context, lease: &Lease, claim: Claim) -> SettleResult {
    let mut pauses = database_pauses();
    let mut tries = 0;
    loop {
        tries += 1;
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
        if !sqlstate::is_temporary(&error) && tries >= MAX_TRIES {
            tracing::error!(task_id, %error, "a step of an erasure is refused; its attempt fails");
            let error = format!(
                "the erasure's step fails: {}",
                sqlstate::with_remedy(&error)
            );
            return settle::fail(context, lease, [claim], &error).await;
        }
        tracing::warn!(task_id, %error, tries, "a step of an erasure failed; trying it again");
        tokio::select! {
            () = context.abort.cancelled() => {
                context.leases.suspect_lost_claims();
                return SettleResult::default();
            }
            () = tokio::time::sleep(pauses.next_pause()) => {}
        }
    }
}

/// None when another worker holds the task by now.
async fn try_step(
    context: &Context,
    worker: &WorkerId,
    claim: &Claim,
) -> Result<Option<(Verdict, RemovedRows)>, sqlx::Error> {
    let mut tx = transaction::begin(&context.pool).await?;
    if lock_claims(&mut tx, &[claim]).await?.is_empty() {
        tracing::warn!(task_id = claim.id.0, "lease lost; nothing is changed");
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

/// Between the step's query and its commit, the last part may have ended, and did not wake the root because that
/// was still running.
async fn wake_if_parts_ended(context: &Context, root: TaskId) {
    let roots = [root];
    let woken = wake_parents(&context.pool, &roots);
    if let Err(error) = with_timeout(STATEMENT_LIMIT, woken).await {
        tracing::warn!(task_id = root.0, %error, "cannot wake an erasure; it wakes by itself within a minute");
    }
}

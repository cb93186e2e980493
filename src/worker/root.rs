//! A step of a user's erasure, settled in its own transaction.

use super::outcome::Remains;
use super::settle;
use super::shared::{Shared, database_pause};
use crate::db::timeout::{TRANSACTION_LIMIT, with_timeout};
use crate::db::{sqlstate, transaction};
use crate::deletion::erase_user::{Removed, Step, erase_user_step};
use crate::failpoint;
use crate::queue::ErrorClass;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::queue::settle::{Settled, Verdict, finish, lock_claims};
use crate::vocabulary::{SettleOutcome, TableName, TaskKind};

/// Most tries of a step in one attempt, when the database refuses it for a reason that does not pass.
const MOST_TRIES: u32 = 3;

/// Does one step; as long as the database is away it waits.
pub async fn step(shared: &Shared, lease: &Lease, claim: Claim) {
    let worker = &lease.worker;
    for tries in 0.. {
        let stepped = try_step(shared, worker, &claim);
        let error = match with_timeout(TRANSACTION_LIMIT, stepped).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if !sqlstate::is_temporary(&error) && tries + 1 >= MOST_TRIES {
            tracing::error!(task_id = claim.id, %error, "a step of an erasure fails");
            let failed = Remains::Failed(
                ErrorClass::Blocked,
                format!("the erasure's step fails: {error}"),
            );
            let outcome = super::outcome::Outcome {
                claim,
                kept: Vec::new(),
                remaining: vec![(String::new(), failed)],
            };
            return settle::settle_failure(shared, lease, outcome).await;
        }
        tracing::warn!(task_id = claim.id, %error, "a step of an erasure is tried again");
        tokio::select! {
            () = shared.abort.cancelled() => return shared.doubt_claims(),
            () = tokio::time::sleep(database_pause(tries)) => {}
        }
    }
}

async fn try_step(shared: &Shared, worker: &str, claim: &Claim) -> Result<(), sqlx::Error> {
    let mut tx = transaction::begin(&shared.pool).await?;
    if lock_claims(&mut tx, &[claim]).await?.is_empty() {
        tracing::warn!(task_id = claim.id, "lease lost; nothing is changed");
        return tx.rollback().await;
    }
    let (step, removed) = erase_user_step(&mut tx, claim.id, &claim.user_id).await?;
    failpoint::reach("root-stepped");
    let verdict = match &step {
        Step::Erased => Verdict::Completed,
        Step::Again(delay) => Verdict::Continued {
            delay: *delay,
            error: None,
        },
    };
    if step == Step::Erased || removed != Removed::default() {
        let event = if step == Step::Erased {
            "user-erased"
        } else {
            "task-continued"
        };
        sqlx::query_file!(
            "sql/deletion/audit_erasure.sql",
            claim.id,
            event,
            worker,
            &removed.samples,
            &removed.collections,
            removed.users
        )
        .execute(&mut *tx)
        .await?;
    }
    finish(
        &mut tx,
        &[Settled {
            id: claim.id,
            verdict,
        }],
    )
    .await?;
    failpoint::reach("root-written");
    tx.commit().await?;
    failpoint::reach("root-committed");
    // Between this step's look and its commit, its last part may have ended and found it still running.
    if let Step::Again(delay) = &step
        && !delay.is_zero()
        && let Err(error) = crate::queue::settle::wake_roots(&shared.pool, &[claim.id]).await
    {
        tracing::warn!(task_id = claim.id, %error, "a root is not woken; it looks by itself");
    }
    publish(shared, claim, &step, &removed);
    Ok(())
}

fn publish(shared: &Shared, claim: &Claim, step: &Step, removed: &Removed) {
    let rows = |table: TableName, count: usize| {
        shared.metrics.rows_deleted.of(table).inc_by(count as u64);
    };
    rows(TableName::Samples, removed.samples.len());
    rows(TableName::Collections, removed.collections.len());
    rows(TableName::Users, usize::from(removed.users > 0));
    let outcome = if *step == Step::Erased {
        SettleOutcome::Completed
    } else {
        SettleOutcome::Released
    };
    let settled = &shared.metrics.tasks_settled;
    settled.of((TaskKind::UserDelete, outcome)).inc();
    if *step == Step::Erased {
        tracing::info!(task_id = claim.id, user_id = claim.user_id, samples = ?removed.samples, collections = ?removed.collections, "user erased");
    } else {
        tracing::debug!(
            task_id = claim.id,
            user_id = claim.user_id,
            ?step,
            "erasure goes on"
        );
    }
}

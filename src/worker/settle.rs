//! The end of a job: rows, tasks and audit in one transaction, fenced by each claim's token.

use std::collections::HashSet;
use std::time::Duration;

use uuid::Uuid;

use super::audit::{Audit, Pairs};
use super::outcome::{Outcome, Remains, verdict};
use super::report::Report;
use super::shared::{Shared, database_pause};
use crate::db::timeout::{STATEMENT_LIMIT, TRANSACTION_LIMIT, with_timeout};
use crate::db::{sqlstate, transaction};
use crate::deletion::hard_delete::{DealtWith, HardDeleted, Scope, hard_delete};
use crate::deletion::kind::Kind;
use crate::failpoint;
use crate::queue::lease::Lease;
use crate::queue::settle::{Settled, Verdict};
use crate::queue::{ErrorClass, settle as queue};

/// A task looks again after so long when somebody holds its sample.
const HELD_DELAY: Duration = Duration::from_millis(200);

/// Settles outcomes, and tries for as long as the database is away: the work is done and must not be
/// lost. Only the end of a shutdown gives up; others do it again then.
pub async fn settle(shared: &Shared, lease: &Lease, outcomes: Vec<Outcome>) {
    let worker = &lease.worker;
    for tries in 0.. {
        match with_timeout(TRANSACTION_LIMIT, try_settle(shared, worker, &outcomes)).await {
            Ok(report) => return report.publish(shared, &outcomes),
            Err(error) if sqlstate::is_temporary(&error) => {
                tracing::warn!(%error, tasks = outcomes.len(), "settling must wait for the database");
            }
            Err(error) if outcomes.len() > 1 => {
                tracing::error!(%error, tasks = outcomes.len(), "settling one by one after an error");
                for outcome in outcomes {
                    Box::pin(settle(shared, lease, vec![outcome])).await;
                }
                return;
            }
            Err(error) => {
                let task_id = outcomes.first().map(|outcome| outcome.claim.id);
                tracing::error!(%error, task_id, "a task cannot be settled");
                if tries >= 3 {
                    return give_up(
                        shared,
                        lease,
                        &outcomes,
                        &format!("rows cannot be removed: {}", sqlstate::with_remedy(&error)),
                    )
                    .await;
                }
            }
        }
        tokio::select! {
            () = shared.abort.cancelled() => return shared.doubt_claims(),
            () = tokio::time::sleep(database_pause(tries)) => {}
        }
    }
}

/// Writes a failure that is not the store's: its keys stay with the task, and the reason is seen.
pub async fn settle_failure(shared: &Shared, lease: &Lease, outcome: Outcome) {
    let error = match outcome.remaining.first() {
        Some((_, Remains::Failed(_, error))) => error.clone(),
        _ => String::new(),
    };
    give_up(shared, lease, &[outcome], &error).await;
}

/// A task whose rows cannot be removed (a trigger or a foreign key of the application refuses) fails with
/// the database's reason, so that it is seen; its keys stay with it.
async fn give_up(shared: &Shared, lease: &Lease, outcomes: &[Outcome], error: &str) {
    let written = async {
        let mut tx = transaction::begin(&shared.pool).await?;
        let claims: Vec<_> = outcomes.iter().map(|outcome| &outcome.claim).collect();
        let held = queue::lock_claims(&mut tx, &claims).await?;
        let settled: Vec<Settled> = claims
            .iter()
            .filter(|claim| held.contains(&claim.id))
            .map(|claim| Settled {
                id: claim.id,
                verdict: refused(shared, claim.attempts, error),
            })
            .collect();
        let audit = Audit::of(&settled, &held.iter().copied().collect(), &HashSet::new());
        let worker = &lease.worker;
        let nothing = Pairs::default();
        audit
            .write(&mut tx, worker, &nothing, &nothing, &HardDeleted::default())
            .await?;
        queue::finish(&mut tx, &settled).await?;
        tx.commit().await
    };
    if let Err(error) = with_timeout(TRANSACTION_LIMIT, written).await {
        tracing::error!(%error, "a failure cannot be written; others will take the task up");
        shared.doubt_claims();
    }
}

fn refused(shared: &Shared, attempts: i32, error: &str) -> Verdict {
    let class = ErrorClass::Blocked;
    let error = error.to_owned();
    if attempts >= shared.options.max_attempts() {
        Verdict::Dead { class, error }
    } else {
        Verdict::Failed {
            delay: shared.options.backoff().random_delay(attempts),
            class,
            error,
        }
    }
}

async fn try_settle(
    shared: &Shared,
    worker: &str,
    outcomes: &[Outcome],
) -> Result<Report, sqlx::Error> {
    let mut tx = transaction::begin(&shared.pool).await?;
    let claims: Vec<_> = outcomes.iter().map(|outcome| &outcome.claim).collect();
    let ours: HashSet<i64> = queue::lock_claims(&mut tx, &claims)
        .await?
        .into_iter()
        .collect();
    failpoint::reach("settle-locked");
    let held: Vec<&Outcome> = outcomes
        .iter()
        .filter(|outcome| ours.contains(&outcome.claim.id))
        .collect();
    for outcome in outcomes
        .iter()
        .filter(|outcome| !ours.contains(&outcome.claim.id))
    {
        tracing::warn!(task_id = outcome.claim.id, "lease lost; nothing is changed");
    }

    let scopes: Vec<Scope> = held.iter().map(|outcome| scope(outcome)).collect();
    let dealt_with = dealt_with(&held);
    let mut deleted = HardDeleted::default();
    if !dealt_with.is_empty() || scopes.iter().any(|scope| scope.sample.is_some()) {
        deleted = hard_delete(&mut tx, &scopes, &dealt_with).await?;
        failpoint::reach("rows-deleted");
    }

    let settled: Vec<Settled> = held
        .iter()
        .map(|outcome| Settled {
            id: outcome.claim.id,
            verdict: final_verdict(shared, outcome, &deleted),
        })
        .collect();
    let in_part: HashSet<i64> = held
        .iter()
        .filter(|outcome| !outcome.remaining.is_empty() || !outcome.kept.is_empty())
        .map(|outcome| outcome.claim.id)
        .collect();
    // A release after which nothing changed leaves no trace in the audit.
    let silent: HashSet<i64> = held
        .iter()
        .filter(|o| o.remaining.len() == o.claim.object_keys.len() && !o.remaining.is_empty())
        .map(|outcome| outcome.claim.id)
        .collect();
    let gone: Pairs = held
        .iter()
        .filter(|outcome| in_part.contains(&outcome.claim.id))
        .flat_map(|o| o.gone().map(|key| (o.claim.id, key.to_owned())))
        .collect();
    let kept: Pairs = held
        .iter()
        .flat_map(|o| o.kept.iter().map(|key| (o.claim.id, key.clone())))
        .collect();
    Audit::of(&settled, &in_part, &silent)
        .write(&mut tx, worker, &gone, &kept, &deleted)
        .await?;

    let going_on: Vec<i64> = settled
        .iter()
        .filter(|task| task.verdict != Verdict::Completed)
        .map(|task| task.id)
        .collect();
    let mut left: Pairs = held
        .iter()
        .flat_map(|o| o.remaining.iter().map(|(key, _)| (o.claim.id, key.clone())))
        .collect();
    for (task, keys) in &deleted.late {
        left.extend(keys.iter().map(|key| (*task, key.clone())));
    }
    queue::keep_keys(&mut tx, &going_on, &left.tasks, &left.keys).await?;
    queue::finish(&mut tx, &settled).await?;
    failpoint::reach("settle-written");
    tx.commit().await?;
    failpoint::reach("settle-committed");

    wake_roots(shared, &held, &settled).await;
    Ok(Report { settled, deleted })
}

/// After the commit. A lost wake-up costs a root its next look.
async fn wake_roots(shared: &Shared, held: &[&Outcome], settled: &[Settled]) {
    let done: HashSet<i64> = settled
        .iter()
        .filter(|task| task.verdict == Verdict::Completed)
        .map(|task| task.id)
        .collect();
    let mut roots: Vec<i64> = held
        .iter()
        .filter(|outcome| done.contains(&outcome.claim.id))
        .filter_map(|outcome| outcome.claim.parent_id)
        .collect();
    roots.sort_unstable();
    roots.dedup();
    let woken = queue::wake_roots(&shared.pool, &roots);
    if let Err(error) = with_timeout(STATEMENT_LIMIT, woken).await {
        tracing::warn!(%error, ?roots, "roots are not woken; they look by themselves within a minute");
    }
}

fn scope(outcome: &Outcome) -> Scope {
    let own = Kind::parse(&outcome.claim.kind) == Some(Kind::SampleDelete);
    let sample = (own && outcome.remaining.is_empty())
        .then(|| Uuid::parse_str(&outcome.claim.entity_id).ok())
        .flatten();
    Scope {
        task: outcome.claim.id,
        sample,
    }
}

/// The keys whose image rows may go: gone from the store, or kept there for a live image.
fn dealt_with(held: &[&Outcome]) -> DealtWith {
    let mut dealt_with = DealtWith::default();
    for outcome in held {
        if outcome.claim.object_keys.is_empty() {
            continue;
        }
        if outcome.remaining.is_empty() {
            dealt_with.whole.push(outcome.claim.id);
        } else {
            for key in outcome
                .gone()
                .chain(outcome.kept.iter().map(String::as_str))
            {
                dealt_with.tasks.push(outcome.claim.id);
                dealt_with.keys.push(key.to_owned());
            }
        }
    }
    dealt_with
}

fn final_verdict(shared: &Shared, outcome: &Outcome, deleted: &HardDeleted) -> Verdict {
    let verdict = verdict(
        outcome,
        shared.options.backoff(),
        shared.options.max_attempts(),
    );
    if verdict != Verdict::Completed {
        return verdict;
    }
    if deleted.late.contains_key(&outcome.claim.id) {
        return Verdict::Continued {
            delay: Duration::ZERO,
            error: None,
        };
    }
    if deleted.held.contains(&outcome.claim.id) {
        return Verdict::Continued {
            delay: HELD_DELAY,
            error: None,
        };
    }
    verdict
}

/// A claim that was not worked on: its keys remain, its attempt is given back.
pub fn untouched(claim: crate::queue::claim::Claim) -> Outcome {
    let remaining = claim
        .object_keys
        .iter()
        .map(|key| (key.clone(), Remains::NotAsked))
        .collect();
    Outcome {
        claim,
        kept: Vec::new(),
        remaining,
    }
}

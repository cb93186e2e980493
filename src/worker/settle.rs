//! The end of a job: rows, tasks and audit in one transaction, fenced by each claim's token.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;

use super::outcome::{Outcome, Remains, verdict};
use super::shared::{Shared, database_pause};
use crate::deletion::hard_delete::{HardDeleted, Scope, hard_delete};
use crate::deletion::kind::Kind;
use crate::queue::settle::{Settled, Verdict};
use crate::queue::{ErrorClass, settle as queue, transaction};

/// A task looks again after so long when somebody holds its sample.
const HELD_DELAY: Duration = Duration::from_millis(200);

/// Settles outcomes, and tries for as long as the database is away: the work is done and must not be
/// lost. Only the end of a shutdown gives up; the leases run out then, and others do it again.
pub async fn settle(shared: &Shared, outcomes: Vec<Outcome>) {
    let worker = shared.lease().worker.clone();
    for tries in 0.. {
        match try_settle(shared, &worker, &outcomes).await {
            Ok(report) => return report.publish(shared, &outcomes),
            Err(error) if transaction::is_passing(&error) => {
                tracing::warn!(%error, tasks = outcomes.len(), "settling must wait for the database");
            }
            Err(error) if outcomes.len() > 1 => {
                tracing::error!(%error, tasks = outcomes.len(), "settling one by one after an error");
                for outcome in outcomes {
                    Box::pin(settle(shared, vec![outcome])).await;
                }
                return;
            }
            Err(error) => {
                let task_id = outcomes.first().map(|outcome| outcome.claim.id);
                tracing::error!(%error, task_id, "a task cannot be settled");
                if tries >= 3 {
                    return give_up(
                        shared,
                        &outcomes,
                        &format!("rows cannot be removed: {error}"),
                    )
                    .await;
                }
            }
        }
        tokio::select! {
            () = shared.abort.cancelled() => return,
            () = tokio::time::sleep(database_pause(tries)) => {}
        }
    }
}

/// Writes a failure that is not the store's: its keys stay with the task, and the reason is seen.
pub async fn settle_failure(shared: &Shared, outcome: Outcome) {
    let error = match outcome.remaining.first() {
        Some((_, Remains::Failed(_, error))) => error.clone(),
        _ => String::new(),
    };
    give_up(shared, &[outcome], &error).await;
}

/// A task whose rows cannot be removed (a trigger or a foreign key of the application refuses) fails with
/// the database's reason, so that it is seen; its keys stay with it.
async fn give_up(shared: &Shared, outcomes: &[Outcome], error: &str) {
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
        let keys: Pairs = claims
            .iter()
            .flat_map(|claim| claim.object_keys.iter().map(|key| (claim.id, key.clone())))
            .collect();
        let unfinished = held.iter().map(|id| (*id, ())).collect();
        let audit = Audit::of(&settled, &unfinished, &HashSet::new());
        let worker = &shared.lease().worker;
        audit
            .write(
                &mut tx,
                worker,
                &keys.tasks,
                &keys.keys,
                &[],
                &HardDeleted::default(),
            )
            .await?;
        queue::finish(&mut tx, &settled).await?;
        tx.commit().await
    };
    if let Err(error) = written.await {
        tracing::error!(%error, "a failure cannot be written; the lease will run out");
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

/// What a committed settle did, for the log and the metrics.
struct Report {
    settled: Vec<Settled>,
    deleted: HardDeleted,
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

    let remaining: Pairs = held
        .iter()
        .flat_map(|o| o.remaining.iter().map(|(key, _)| (o.claim.id, key.clone())))
        .collect();
    let scopes: Vec<Scope> = held.iter().map(|outcome| scope(outcome)).collect();
    let mut deleted = HardDeleted::default();
    if held.iter().any(|outcome| has_rows(outcome)) {
        deleted = hard_delete(&mut tx, &scopes, &remaining.tasks, &remaining.keys).await?;
    }

    let settled: Vec<Settled> = held
        .iter()
        .map(|outcome| Settled {
            id: outcome.claim.id,
            verdict: final_verdict(shared, outcome, &deleted),
        })
        .collect();
    let unfinished: HashMap<i64, ()> = held
        .iter()
        .filter(|outcome| !outcome.remaining.is_empty() || !outcome.kept.is_empty())
        .map(|outcome| (outcome.claim.id, ()))
        .collect();
    // A release after which nothing changed leaves no trace in the audit.
    let silent: HashSet<i64> = held
        .iter()
        .filter(|o| o.remaining.len() == o.claim.object_keys.len() && !o.remaining.is_empty())
        .map(|outcome| outcome.claim.id)
        .collect();
    let audit = Audit::of(&settled, &unfinished, &silent);
    audit
        .write(
            &mut tx,
            worker,
            &remaining.tasks,
            &remaining.keys,
            outcomes,
            &deleted,
        )
        .await?;

    let mut left = remaining;
    for (task, keys) in &deleted.late {
        left.extend(keys.iter().map(|key| (*task, key.clone())));
    }
    let going_on: Vec<i64> = settled
        .iter()
        .filter(|task| task.verdict != Verdict::Completed)
        .map(|task| task.id)
        .collect();
    queue::keep_keys(&mut tx, &going_on, &left.tasks, &left.keys).await?;
    queue::finish(&mut tx, &settled).await?;
    tx.commit().await?;

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
    if let Err(error) = queue::wake_roots(&shared.pool, &roots).await {
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

fn has_rows(outcome: &Outcome) -> bool {
    outcome.remaining.is_empty() || outcome.remaining.len() < outcome.claim.object_keys.len()
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

/// Pairs of task and key, as columns.
#[derive(Default)]
struct Pairs {
    tasks: Vec<i64>,
    keys: Vec<String>,
}

impl Extend<(i64, String)> for Pairs {
    fn extend<I: IntoIterator<Item = (i64, String)>>(&mut self, pairs: I) {
        for (task, key) in pairs {
            self.tasks.push(task);
            self.keys.push(key);
        }
    }
}

impl FromIterator<(i64, String)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (i64, String)>>(pairs: I) -> Self {
        let mut columns = Self::default();
        columns.extend(pairs);
        columns
    }
}

/// The columns of `audit_settled.sql`.
#[derive(Default)]
struct Audit<'a> {
    tasks: Vec<i64>,
    events: Vec<&'static str>,
    whole: Vec<bool>,
    classes: Vec<Option<&'static str>>,
    details: Vec<Option<&'a str>>,
}

impl<'a> Audit<'a> {
    fn of(settled: &'a [Settled], unfinished: &HashMap<i64, ()>, silent: &HashSet<i64>) -> Self {
        let mut audit = Self::default();
        for task in settled {
            let (event, error) = match &task.verdict {
                Verdict::Completed => ("task-completed", None),
                Verdict::Continued { .. } if silent.contains(&task.id) => continue,
                Verdict::Continued { error, .. } => (
                    "task-continued",
                    error.as_ref().map(|(class, error)| (*class, error)),
                ),
                Verdict::Failed { class, error, .. } => ("task-failed", Some((*class, error))),
                Verdict::Dead { class, error } => ("task-dead", Some((*class, error))),
            };
            audit.tasks.push(task.id);
            audit.events.push(event);
            audit.whole.push(!unfinished.contains_key(&task.id));
            audit.classes.push(error.map(|(class, _)| class.as_str()));
            audit.details.push(error.map(|(_, error)| error.as_str()));
        }
        audit
    }

    async fn write(
        &self,
        connection: &mut sqlx::PgConnection,
        worker: &str,
        remaining_tasks: &[i64],
        remaining_keys: &[String],
        outcomes: &[Outcome],
        deleted: &HardDeleted,
    ) -> Result<(), sqlx::Error> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let kept: Pairs = outcomes
            .iter()
            .flat_map(|o| o.kept.iter().map(|key| (o.claim.id, key.clone())))
            .collect();
        let (image_tasks, images): (Vec<i64>, Vec<Uuid>) = deleted.images.iter().copied().unzip();
        let (sample_tasks, samples): (Vec<i64>, Vec<Uuid>) =
            deleted.samples.iter().copied().unzip();
        sqlx::query_file!(
            "sql/deletion/audit_settled.sql",
            worker,
            &self.tasks,
            &self.events as &[&str],
            &self.whole,
            &self.classes as &[Option<&str>],
            &self.details as &[Option<&str>],
            remaining_tasks,
            remaining_keys,
            &kept.tasks,
            &kept.keys,
            &image_tasks,
            &images,
            &sample_tasks,
            &samples
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

impl Report {
    fn publish(&self, shared: &Shared, outcomes: &[Outcome]) {
        let metrics = &shared.metrics;
        let claims: HashMap<i64, &Outcome> = outcomes
            .iter()
            .map(|outcome| (outcome.claim.id, outcome))
            .collect();
        metrics
            .rows_deleted
            .with_label_values(&["sample_images"])
            .inc_by(self.deleted.images.len() as u64);
        metrics
            .rows_deleted
            .with_label_values(&["samples"])
            .inc_by(self.deleted.samples.len() as u64);
        for task in &self.settled {
            let Some(outcome) = claims.get(&task.id) else {
                continue;
            };
            let remaining: HashSet<&str> = outcome
                .remaining
                .iter()
                .map(|(key, _)| key.as_str())
                .collect();
            let kept: HashSet<&str> = outcome.kept.iter().map(String::as_str).collect();
            let gone: Vec<&str> = outcome
                .claim
                .object_keys
                .iter()
                .map(String::as_str)
                .filter(|key| !remaining.contains(key) && !kept.contains(key))
                .collect();
            metrics.objects_deleted.inc_by(gone.len() as u64);
            self.log(task, outcome, &gone);
            let label = match &task.verdict {
                Verdict::Completed => "completed",
                Verdict::Continued { .. } => "released",
                Verdict::Failed { .. } => "failed",
                Verdict::Dead { .. } => "dead",
            };
            metrics
                .tasks_settled
                .with_label_values(&[outcome.claim.kind.as_str(), label])
                .inc();
        }
    }

    fn log(&self, task: &Settled, outcome: &Outcome, gone: &[&str]) {
        let claim = &outcome.claim;
        let images: Vec<Uuid> = self
            .deleted
            .images
            .iter()
            .filter(|(id, _)| *id == task.id)
            .map(|(_, row)| *row)
            .collect();
        let samples: Vec<Uuid> = self
            .deleted
            .samples
            .iter()
            .filter(|(id, _)| *id == task.id)
            .map(|(_, row)| *row)
            .collect();
        let (kind, attempt) = (claim.kind.as_str(), claim.attempts);
        match &task.verdict {
            Verdict::Completed => tracing::info!(
                task_id = task.id, kind, attempt, user_id = claim.user_id, objects = ?gone,
                kept = ?outcome.kept, sample_images = ?images, samples = ?samples, "deleted"
            ),
            Verdict::Continued { error, .. } => tracing::info!(
                task_id = task.id, kind, user_id = claim.user_id, objects = ?gone,
                error = error.as_ref().map(|(_, error)| error.as_str()), "goes on later"
            ),
            Verdict::Failed {
                delay,
                class,
                error,
            } => tracing::warn!(
                task_id = task.id, kind, attempt, error_class = class.as_str(), error,
                retry_in_ms = delay.as_millis(), objects = ?gone, "failed"
            ),
            Verdict::Dead { class, error } => tracing::error!(
                task_id = task.id, kind, attempt, error_class = class.as_str(), error,
                objects = ?gone, "dead: a person must look"
            ),
        }
    }
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

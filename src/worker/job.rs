//! One job: the keys of one or many tasks, deleted together, then settled together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::outcome::{Outcome, Remains, class_of, lock_wait};
use super::shared::{Shared, WorkerProblem, database_pause};
use super::{root, settle};
use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::deletion::kind::Kind;
use crate::deletion::protection::protected_keys;
use crate::failpoint;
use crate::queue::ErrorClass;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::storage::{Failure, FailureClass, KeyOutcome};

/// Runs a job to its end, under the lease it was claimed under. A panic is an attempt of its tasks, and is
/// survived.
pub async fn run(shared: Arc<Shared>, lease: Arc<Lease>, claims: Vec<Claim>) {
    let inner = tokio::spawn(work(shared.clone(), lease.clone(), claims.clone()));
    let Err(error) = inner.await else { return };
    tracing::error!(%error, tasks = claims.len(), "a job panicked");
    let outcomes = claims.into_iter().map(crashed).collect();
    let settled = {
        let shared = shared.clone();
        tokio::spawn(async move { settle::settle(&shared, &lease, outcomes).await })
    };
    if let Err(error) = settled.await {
        tracing::error!(%error, "settling a job that panicked panicked too");
        shared.doubt_claims();
    }
}

fn crashed(claim: Claim) -> Outcome {
    let crash = Remains::Failed(ErrorClass::Crash, "the job panicked".to_owned());
    let mut remaining: Vec<(String, Remains)> = claim
        .object_keys
        .iter()
        .map(|key| (key.clone(), crash.clone()))
        .collect();
    if remaining.is_empty() {
        remaining.push((String::new(), crash));
    }
    Outcome {
        claim,
        kept: Vec::new(),
        remaining,
    }
}

async fn work(shared: Arc<Shared>, lease: Arc<Lease>, claims: Vec<Claim>) {
    let (roots, claims): (Vec<Claim>, Vec<Claim>) = claims
        .into_iter()
        .partition(|claim| Kind::parse(&claim.kind) == Some(Kind::UserDelete));
    if !claims.is_empty() {
        let fates = delete_objects(&shared, &lease, &claims).await;
        let outcomes = claims
            .into_iter()
            .map(|claim| outcome(claim, &fates))
            .collect();
        settle::settle(&shared, &lease, outcomes).await;
    }
    for claim in roots {
        root::step(&shared, &lease, claim).await;
    }
}

/// What became of a key. Keys that are not in the map were not asked for.
#[derive(Clone, Debug)]
enum Fate {
    Gone,
    Kept,
    Failed(ErrorClass, String),
    Locked { wait: Duration, error: String },
}

async fn delete_objects(shared: &Shared, lease: &Lease, claims: &[Claim]) -> HashMap<String, Fate> {
    let mut seen = HashSet::new();
    let keys: Vec<String> = claims
        .iter()
        .flat_map(|claim| &claim.object_keys)
        .filter(|key| seen.insert(key.as_str()))
        .cloned()
        .collect();
    let mut fates = HashMap::with_capacity(keys.len());
    let mut rest = keys.as_slice();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(shared.pace.batch()));
        rest = after;
        let asked = tokio::select! {
            () = lease.ended() => None,
            () = shared.abort.cancelled() => None,
            asked = delete_chunk(shared, chunk) => Some(asked),
        };
        let Some(asked) = asked else {
            tracing::warn!(
                keys = chunk.len() + rest.len(),
                "stopped asking the store: the lease or the time for a shutdown is over"
            );
            break;
        };
        let out = asked
            .iter()
            .any(|(_, fate)| matches!(fate, Fate::Failed(ErrorClass::Outage, _)));
        fates.extend(asked);
        if out {
            break;
        }
    }
    fates
}

async fn delete_chunk(shared: &Shared, chunk: &[String]) -> Vec<(String, Fate)> {
    let pause = shared.pace.admit(chunk.len());
    pause.await;
    let protected = ask_for_protection(shared, chunk).await;
    let wanted: Vec<String> = chunk
        .iter()
        .filter(|key| !protected.contains(*key))
        .cloned()
        .collect();
    let mut fates: Vec<(String, Fate)> =
        protected.into_iter().map(|key| (key, Fate::Kept)).collect();
    if wanted.is_empty() {
        return fates;
    }
    failpoint::reach("keys-looked-at");
    let deletion = shared.store.delete(&wanted).await;
    failpoint::reach("objects-deleted");
    for request in &deletion.requests {
        shared.metrics.s3_requests.of(request.outcome).inc();
        shared
            .metrics
            .s3_request_duration
            .observe(request.duration.as_secs_f64());
    }
    adapt(shared, &deletion.outcomes);
    fates.extend(
        wanted
            .into_iter()
            .zip(deletion.outcomes)
            .map(|(key, outcome)| {
                let fate = match outcome {
                    KeyOutcome::Gone => Fate::Gone,
                    KeyOutcome::Failed(failure) => match lock_wait(&failure, Utc::now()) {
                        Some(wait) => Fate::Locked {
                            wait,
                            error: failure.to_string(),
                        },
                        None => Fate::Failed(class_of(failure.class), failure.to_string()),
                    },
                };
                (key, fate)
            }),
    );
    fates
}

/// Nothing is deleted without knowing what is live, so this waits for the database; the caller's lease
/// bounds it.
async fn ask_for_protection(shared: &Shared, keys: &[String]) -> HashSet<String> {
    for tries in 0.. {
        match with_timeout(STATEMENT_LIMIT, protected_keys(&shared.pool, keys)).await {
            Ok(protected) => return protected,
            Err(error) => {
                tracing::warn!(%error, "cannot ask which keys are live; nothing is deleted meanwhile");
                tokio::time::sleep(database_pause(tries)).await;
            }
        }
    }
    keys.iter().cloned().collect()
}

fn adapt(shared: &Shared, outcomes: &[KeyOutcome]) {
    let failures = || {
        outcomes.iter().filter_map(|outcome| match outcome {
            KeyOutcome::Failed(failure) => Some(failure),
            KeyOutcome::Gone => None,
        })
    };
    let with = |class| failures().find(|failure: &&Failure| failure.class == class);
    if let Some(outage) = with(FailureClass::Outage) {
        shared.gate.close(Instant::now());
        tracing::error!(error = %outage, "the store is out; this worker pauses and hands its tasks back");
        shared.status.report(Some(WorkerProblem::StoreOutage));
        return;
    }
    if shared.gate.open() {
        tracing::info!("the store answers again");
        shared.status.report(None);
    }
    if with(FailureClass::Throttle).is_some() {
        shared.pace.slow_down();
    } else {
        shared.pace.speed_up();
    }
}

fn outcome(claim: Claim, fates: &HashMap<String, Fate>) -> Outcome {
    let mut kept = Vec::new();
    let mut remaining = Vec::new();
    for key in &claim.object_keys {
        match fates.get(key) {
            Some(Fate::Gone) => {}
            Some(Fate::Kept) => kept.push(key.clone()),
            Some(Fate::Failed(class, error)) => {
                remaining.push((key.clone(), Remains::Failed(*class, error.clone())));
            }
            Some(Fate::Locked { wait, error }) => {
                let (wait, error) = (*wait, error.clone());
                remaining.push((key.clone(), Remains::Locked { wait, error }));
            }
            None => remaining.push((key.clone(), Remains::NotAsked)),
        }
    }
    Outcome {
        claim,
        kept,
        remaining,
    }
}

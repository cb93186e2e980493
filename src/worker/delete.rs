//! The second stage: asks the store to delete the objects of a batch, and returns the result of each key.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::ErrorKind;
use std::time::Instant;

use super::context::{Context, database_pauses};
use crate::cause::chain;
use crate::db::sqlstate::{self, Trouble};
use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::deletion::protection::{Protection, protected_keys};
use crate::failpoint;
use crate::queue::claim::Claim;
use crate::queue::lease::Lease;
use crate::storage::{Failure, KeyOutcome, ObjectRef, RequestRecord};
use crate::vocabulary::{ErrorClass, WorkerProblem};

/// So often the database may take too long to say which keys are live. Then the tasks fail, so that a person sees it.
const MAX_SLOW_ANSWERS: u32 = 3;

/// The result of one key.
#[derive(Clone, Debug)]
pub enum KeyResult {
    /// The object does not exist any more.
    Gone,
    /// A live image or an image of a restorable sample names it, so the store was not asked.
    Kept,
    /// The store did not delete it, or the database could not say whether it may be deleted.
    Failed(Failure),
}

/// Asks the store once to delete each key of these tasks. A key that is missing in the result was not sent to the
/// store, or its answer was not awaited, because the lease or the shutdown time was over, or the store is unreachable.
pub async fn delete(
    context: &Context,
    lease: &Lease,
    claims: &[Claim],
) -> HashMap<String, KeyResult> {
    let keys = distinct_keys(claims);
    let mut results = HashMap::with_capacity(keys.len());
    let mut rest = keys.as_slice();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(context.pace.batch()));
        rest = after;
        let answer = tokio::select! {
            () = lease.ended() => None,
            () = context.abort.cancelled() => None,
            answer = delete_chunk(context, chunk) => Some(answer),
        };
        let Some(answer) = answer else {
            tracing::warn!(
                keys = chunk.len() + rest.len(),
                "stopped asking the store: the lease or the time for a shutdown is over"
            );
            break;
        };
        let is_out = answer.iter().any(|(_, result)| {
            matches!(result, KeyResult::Failed(failure) if failure.class == ErrorClass::Outage)
        });
        results.extend(answer);
        if is_out {
            break;
        }
    }
    results
}

/// A key, and the entity whose deletion names it first.
struct KeyOfEntity<'a> {
    key: &'a str,
    entity_id: &'a str,
}

/// Each key of these tasks once.
fn distinct_keys(claims: &[Claim]) -> Vec<KeyOfEntity<'_>> {
    let mut seen = HashSet::new();
    let mut keys = Vec::new();
    for claim in claims {
        let entity_id = claim.entity_id.as_str();
        for key in &claim.object_keys {
            if seen.insert(key.as_str()) {
                keys.push(KeyOfEntity { key, entity_id });
            }
        }
    }
    keys
}

async fn delete_chunk(context: &Context, chunk: &[KeyOfEntity<'_>]) -> Vec<(String, KeyResult)> {
    context.pace.admit(chunk.len()).await;
    let protected = match ask_for_protection(context, chunk).await {
        Ok(protected) => protected,
        Err(failure) if failure.class == ErrorClass::Transient => {
            tracing::error!(error = %failure, "cannot ask which keys are live; these tasks fail, and nothing of them is deleted");
            return all_failed(chunk, failure);
        }
        Err(failure) => {
            tracing::error!(error = %failure, "this worker may not see all rows; it deletes nothing, pauses and tries again");
            context.gate.close(Instant::now());
            context.status.report(Some(WorkerProblem::HiddenRows));
            return all_failed(chunk, failure);
        }
    };
    let wanted = chunk
        .iter()
        .map(|key| key.key)
        .filter(|key| !protected.kept.contains(*key));
    let mut results: Vec<(String, KeyResult)> = Vec::with_capacity(chunk.len());
    let mut by_bucket: BTreeMap<Option<&str>, Vec<(&str, String)>> = BTreeMap::new();
    for name in wanted {
        let object = match protected.are_references {
            true => ObjectRef::parse(name),
            false => ObjectRef {
                bucket: None,
                key: name,
                is_outside: false,
            },
        };
        if object.is_outside {
            results.push((name.to_owned(), KeyResult::Failed(outside(object.key))));
        } else {
            let of_bucket = by_bucket.entry(object.bucket).or_default();
            of_bucket.push((name, object.key.to_owned()));
        }
    }
    for (bucket, named) in by_bucket {
        let (names, keys): (Vec<&str>, Vec<String>) = named.into_iter().unzip();
        failpoint::reach("keys-checked");
        let deletion = context.store_of(bucket).delete(&keys).await;
        failpoint::reach("objects-deleted");
        count(context, &deletion.requests);
        adapt(context, &deletion.outcomes);
        let of_store = deletion.outcomes.into_iter().map(|outcome| match outcome {
            KeyOutcome::Gone => KeyResult::Gone,
            KeyOutcome::Failed(failure) => KeyResult::Failed(failure),
        });
        results.extend(names.into_iter().map(str::to_owned).zip(of_store));
    }
    results.extend(protected.kept.into_iter().map(|key| (key, KeyResult::Kept)));
    results
}

fn all_failed(chunk: &[KeyOfEntity<'_>], failure: Failure) -> Vec<(String, KeyResult)> {
    let failed = KeyResult::Failed(failure);
    chunk
        .iter()
        .map(|key| (key.key.to_owned(), failed.clone()))
        .collect()
}

/// The erasure map does not allow the deletion of this key; a person corrects the row, and a retry reads it again.
fn outside(key: &str) -> Failure {
    let message = format!(
        "the key {key:?} is outside of what `within` of the erasure map allows; correct the row, then retry the task"
    );
    Failure::new(ErrorClass::Blocked, "OutsidePrefix", &message)
}

/// Waits for the database, because no key may be deleted before it is known which keys are live. The caller ends the
/// wait when the lease ends. If the answer takes too long again and again (a table is locked, or a key is named by very many
/// rows), this returns a failure of class `transient`, so that the tasks say so. If the database refuses the question (the role cannot see all rows, or a table was
/// changed), this returns a failure of class `outage`, because no key is at fault and a person must act.
async fn ask_for_protection(
    context: &Context,
    chunk: &[KeyOfEntity<'_>],
) -> Result<Protection, Failure> {
    let keys: Vec<String> = chunk.iter().map(|key| key.key.to_owned()).collect();
    let entities: Vec<String> = chunk.iter().map(|key| key.entity_id.to_owned()).collect();
    let mut pauses = database_pauses();
    let mut slow_answers = 0;
    loop {
        let usable_until = context.leases.current().usable_until();
        let protected = protected_keys(&context.pool, &keys, &entities);
        match with_timeout(STATEMENT_LIMIT, protected).await {
            Ok(protected) => return Ok(protected),
            Err(error) if sqlstate::trouble(&error) == Trouble::Refused => {
                // Readiness then says what no longer fits.
                context.status.drift.ask_for_look();
                let error = sqlstate::with_remedy(&error);
                return Err(Failure::new(ErrorClass::Outage, "RowsHidden", &error));
            }
            Err(error) => {
                // A time-out says nothing of this question if the heartbeat got no answer either.
                let is_alive = context.leases.current().usable_until() > usable_until;
                slow_answers += u32::from(is_too_slow(&error, is_alive));
                if slow_answers >= MAX_SLOW_ANSWERS {
                    let error = format!(
                        "the database did not say in time which keys are live: {}",
                        chain(&error)
                    );
                    return Err(Failure::new(
                        ErrorClass::Transient,
                        "LiveKeysUnknown",
                        &error,
                    ));
                }
                tracing::warn!(%error, "cannot ask which keys are live; nothing is deleted meanwhile");
                tokio::time::sleep(pauses.next_pause()).await;
            }
        }
    }
}

/// Whether the database could not answer this question in time, though it answers others (`is_alive`).
fn is_too_slow(error: &sqlx::Error, is_alive: bool) -> bool {
    let is_timed_out =
        matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::TimedOut);
    (is_timed_out && is_alive) || sqlstate::trouble(error) == Trouble::TooBig
}

fn count(context: &Context, requests: &[RequestRecord]) {
    let metrics = &context.metrics;
    for request in requests {
        metrics.s3_requests.of(request.outcome).inc();
        metrics
            .s3_request_duration
            .observe(request.duration.as_secs_f64());
    }
}

/// Adapts the pace and the gate to the answers of the store.
fn adapt(context: &Context, outcomes: &[KeyOutcome]) {
    let with = |class| {
        outcomes.iter().find_map(|outcome| match outcome {
            KeyOutcome::Failed(failure) if failure.class == class => Some(failure),
            KeyOutcome::Failed(_) | KeyOutcome::Gone => None,
        })
    };
    if let Some(outage) = with(ErrorClass::Outage) {
        context.gate.close(Instant::now());
        tracing::error!(error = %outage, "the store cannot be used; this worker pauses and releases its tasks");
        context.status.report(Some(WorkerProblem::StoreOutage));
        return;
    }
    if context.gate.open() {
        tracing::info!("the store answers again");
        context.status.report(None);
    }
    if with(ErrorClass::Throttle).is_some() {
        context.pace.slow_down();
    } else {
        context.pace.speed_up();
    }
}

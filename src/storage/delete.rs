//! Deletes keys, and says of each key whether it is gone.

use std::collections::{HashMap, HashSet};

use super::Store;
use super::batch::delete_targets;
use super::calls::{Calls, RequestRecord};
use super::classify::Failure;
use super::target::{Target, TargetResult, flaw_of};
use super::{uploads, versions};
use crate::vocabulary::ErrorClass;

/// What became of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOutcome {
    /// The store answered that nothing is left of it, including its versions. It may never have existed.
    Gone,
    /// Something may still be there.
    Failed(Failure),
}

/// What became of all keys.
#[derive(Debug, Default)]
pub struct Deletion {
    /// One outcome for each given key, in the same order. A key that was given twice has two.
    pub outcomes: Vec<KeyOutcome>,
    /// The requests that were sent.
    pub requests: Vec<RequestRecord>,
}

impl Store {
    /// Deletes objects with all of their versions and the open uploads under their keys, and says of
    /// each key whether it is gone.
    ///
    /// Made for at most [`MAX_KEYS_PER_REQUEST`](super::MAX_KEYS_PER_REQUEST) distinct keys. More
    /// are sent in several requests, one after the other. There is no error for the whole call: each key has its
    /// own, and a key that no answer names counts as a transient failure. After an outage, a throttle or a
    /// time-out no further requests are sent, and the remaining keys get the same failure. Dropping the future
    /// is safe, because deletions can be repeated.
    pub async fn delete(&self, keys: &[String]) -> Deletion {
        let mut outcomes: HashMap<&str, KeyOutcome> = HashMap::with_capacity(keys.len());
        let mut seen = HashSet::with_capacity(keys.len());
        let mut names: Vec<&str> = Vec::with_capacity(keys.len());
        for key in keys.iter().map(String::as_str) {
            if !seen.insert(key) {
                continue;
            }
            if let Some((code, message)) = flaw_of(key) {
                let failure = Failure::new(ErrorClass::Permanent, code, message);
                outcomes.insert(key, KeyOutcome::Failed(failure));
            } else if let Some(failure) = self.key_prefixes.refusal_of(key) {
                outcomes.insert(key, KeyOutcome::Failed(failure));
            } else {
                names.push(key);
            }
        }
        let calls = Calls::new(self);
        let found = delete_keys_and_uploads(&calls, &names).await;
        outcomes.extend(names.into_iter().zip(found));
        let outcomes = keys
            .iter()
            .map(|key| outcomes.get(key.as_str()).cloned())
            .map(|outcome| outcome.unwrap_or_else(|| KeyOutcome::Failed(Failure::not_asked())))
            .collect();
        Deletion {
            outcomes,
            requests: calls.into_records(),
        }
    }
}

/// Deletes distinct keys that can name objects. Uploads are aborted first: if one is completed meanwhile, it
/// becomes an object, and the objects are deleted afterwards.
async fn delete_keys_and_uploads(calls: &Calls<'_>, keys: &[&str]) -> Vec<KeyOutcome> {
    if keys.is_empty() {
        return Vec::new();
    }
    let versioned = match versions::versioning(calls).await {
        Ok(versioning) => versioning.is_kept(),
        Err(failure) => return vec![KeyOutcome::Failed(failure); keys.len()],
    };
    let mut open = uploads::abort_all(calls, keys).await;
    let outcomes = delete_keys(calls, keys, versioned).await;
    keys.iter()
        .zip(outcomes)
        .map(|(key, outcome)| match (outcome, open.remove(*key)) {
            (KeyOutcome::Gone, Some(failure)) => KeyOutcome::Failed(failure),
            (outcome, _) => outcome,
        })
        .collect()
}

/// Deletes the objects, with all versions if the bucket keeps versions.
async fn delete_keys(calls: &Calls<'_>, keys: &[&str], versioned: bool) -> Vec<KeyOutcome> {
    if versioned {
        let results = versions::delete_all(calls, keys).await;
        return results.into_iter().map(outcome_of).collect();
    }
    let targets: Vec<Target> = keys.iter().map(|key| Target::of_key(key)).collect();
    let results = delete_targets(calls, &targets).await;
    let hidden: Vec<&str> = keys
        .iter()
        .zip(&results)
        .filter(|(_, result)| matches!(result, TargetResult::Hidden(_)))
        .map(|(key, _)| *key)
        .collect();
    if !hidden.is_empty() {
        calls.store.capabilities.set_versioned();
    }
    let mut revealed = versions::delete_all(calls, &hidden).await.into_iter();
    results
        .into_iter()
        .map(|result| match result {
            TargetResult::Gone => KeyOutcome::Gone,
            TargetResult::Failed(failure) => KeyOutcome::Failed(failure),
            TargetResult::Hidden(_) => {
                outcome_of(revealed.next().unwrap_or_else(|| Err(Failure::not_asked())))
            }
        })
        .collect()
}

fn outcome_of(result: Result<(), Failure>) -> KeyOutcome {
    match result {
        Ok(()) => KeyOutcome::Gone,
        Err(failure) => KeyOutcome::Failed(failure),
    }
}

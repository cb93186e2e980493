//! Deleting many targets: multi-deletes where they work, halves where one key spoils a batch, single
//! deletions where nothing else works. Every loop ends: a batch is halved at most 10 times, and after
//! `MAX_SPLITS` refusals the rest is deleted one by one.

use futures::stream::{self, StreamExt as _};
use uuid::Uuid;

use super::calls::{Calls, Refusal, only};
use super::classify::{Failure, Remedy};
use super::target::{Target, TargetResult, fits_in_xml};
use crate::vocabulary::ErrorClass;

/// S3's limit for one DeleteObjects request (Amazon S3 API reference, "DeleteObjects").
pub const MAX_KEYS_PER_REQUEST: usize = 1_000;
/// Single deletions in flight at once in one round.
const SINGLE_CONCURRENCY: usize = 8;
/// Halvings in one round. One bad key of 1,000 takes 10; with more than a few bad ones, deleting one by
/// one is faster than finding them.
const MAX_SPLITS: usize = 64;

/// What came of each target, in the order asked. Targets must be distinct; more than 1,000 go in
/// several requests, one after the other.
pub(super) async fn delete_targets(calls: &Calls<'_>, targets: &[Target]) -> Vec<TargetResult> {
    let mut round = Round {
        calls,
        targets,
        results: vec![None; targets.len()],
        splits_left: MAX_SPLITS,
        bucket_tried: false,
    };
    let (batch, single): (Vec<usize>, Vec<usize>) = (0..targets.len()).partition(|&place| {
        fits_in_xml(&targets[place].key) && !calls.store.capabilities.batch_delete.is_unsupported()
    });
    for chunk in batch.chunks(MAX_KEYS_PER_REQUEST) {
        round.batch(chunk).await;
    }
    round.delete_one_by_one(&single).await;
    round.check_for_bucket_denial().await;
    round.finish()
}

struct Round<'a> {
    calls: &'a Calls<'a>,
    targets: &'a [Target],
    results: Vec<Option<TargetResult>>,
    splits_left: usize,
    bucket_tried: bool,
}

impl Round<'_> {
    fn settle(&mut self, place: usize, result: TargetResult) {
        self.results[place] = Some(result);
    }

    fn fail(&mut self, places: &[usize], failure: &Failure) {
        for &place in places {
            self.settle(place, TargetResult::Failed(failure.clone()));
        }
    }

    async fn batch(&mut self, places: &[usize]) {
        let mut waiting = vec![places];
        while let Some(places) = waiting.pop() {
            if let Some(failure) = self.calls.halted() {
                self.fail(places, &failure);
                continue;
            }
            if self.calls.store.capabilities.batch_delete.is_unsupported() {
                self.delete_one_by_one(places).await;
                continue;
            }
            let targets: Vec<Target> = places.iter().map(|&i| self.targets[i].clone()).collect();
            let refusal = match self.calls.delete_objects(&targets).await {
                Ok(results) => {
                    for (&place, result) in places.iter().zip(results) {
                        self.settle(place, result);
                    }
                    continue;
                }
                Err(refusal) => refusal,
            };
            match refusal.remedy {
                Remedy::SendMd5 => {
                    self.calls.store.capabilities.set_needs_md5();
                    waiting.push(places);
                }
                Remedy::OneByOne => {
                    self.calls.store.capabilities.batch_delete.set_unsupported();
                    waiting.push(places);
                }
                Remedy::Bisect => {
                    if let Some(halves) = self.bisect(places, refusal).await {
                        waiting.extend(halves);
                    }
                }
                Remedy::None => {
                    self.calls.note(&refusal.failure);
                    self.fail(places, &refusal.failure);
                }
            }
        }
    }

    /// One key may be at fault for a whole batch. Gives the halves to ask for next, if any.
    async fn bisect<'p>(
        &mut self,
        places: &'p [usize],
        refusal: Refusal,
    ) -> Option<[&'p [usize]; 2]> {
        if self.bucket_refuses().await {
            if let Some(failure) = self.calls.halted() {
                self.fail(places, &failure);
            }
            return None;
        }
        // Keys that XML cannot encode can still be sent in a URL: try the last two one by one.
        let unreadable = refusal.failure.class == ErrorClass::Permanent;
        if (unreadable && places.len() <= 2) || (places.len() > 1 && self.splits_left == 0) {
            self.delete_one_by_one(places).await;
            return None;
        }
        if places.len() == 1 {
            self.fail(places, &refusal.failure);
            return None;
        }
        self.splits_left -= 1;
        let (left, right) = places.split_at(places.len() / 2);
        Some([right, left])
    }

    async fn delete_one_by_one(&mut self, places: &[usize]) {
        let (calls, targets) = (self.calls, self.targets);
        let results: Vec<(usize, TargetResult)> = stream::iter(places.to_vec())
            .map(|place| async move {
                if let Some(failure) = calls.halted() {
                    return (place, TargetResult::Failed(failure));
                }
                let result = calls.delete_object(&targets[place]).await;
                if let TargetResult::Failed(failure) = &result {
                    calls.note(failure);
                }
                (place, result)
            })
            .buffer_unordered(SINGLE_CONCURRENCY)
            .collect()
            .await;
        for (place, result) in results {
            self.settle(place, result);
        }
    }

    /// AWS answers a missing permission with a denial of each key. If a key that never existed is denied
    /// too, it is the bucket's fault, and no task may pay for it with an attempt.
    async fn check_for_bucket_denial(&mut self) {
        let denied: Vec<usize> = (0..self.results.len())
            .filter(|&place| {
                matches!(&self.results[place], Some(TargetResult::Failed(failure)) if failure.is_denial())
            })
            .collect();
        if denied.is_empty() || self.calls.halted().is_some() {
            return;
        }
        if self.bucket_refuses().await
            && let Some(failure) = self.calls.halted()
        {
            self.fail(&denied, &failure);
        }
    }

    /// Deletes a key that never existed, once a round. A refusal ends the round.
    async fn bucket_refuses(&mut self) -> bool {
        if self.bucket_tried {
            return false;
        }
        self.bucket_tried = true;
        let versioned = self.targets.iter().any(|target| target.version.is_some());
        match refusal_of_unknown_key(self.calls, versioned).await {
            None => false,
            Some(failure) => {
                self.calls.note(&failure);
                // A temporary failure does not end the round, and is no sign of what the bucket refuses.
                failure.stops_the_round()
            }
        }
    }

    fn finish(self) -> Vec<TargetResult> {
        let halted = self.calls.halted();
        self.results
            .into_iter()
            .map(|result| match (result, &halted) {
                (Some(result), _) => result,
                (None, Some(failure)) => TargetResult::Failed(failure.clone()),
                (None, None) => TargetResult::Failed(Failure::not_asked()),
            })
            .collect()
    }
}

/// Deletes a key that never existed, in the way that works for this store. A denial is an outage: the
/// bucket refuses. Leaves nothing behind: with versions, it names one, so that no marker comes to be.
pub(super) async fn refusal_of_unknown_key(calls: &Calls<'_>, versioned: bool) -> Option<Failure> {
    let target = Target {
        key: unknown_key().into(),
        version: versioned.then(|| "null".to_owned()),
    };
    let result = delete_one(calls, &target).await;
    match result {
        TargetResult::Gone => None,
        TargetResult::Hidden(marker) => {
            // Versions are kept after all.
            calls.store.capabilities.set_versioned();
            let marker = Target {
                version: Some(marker.unwrap_or_else(|| "null".to_owned())),
                ..target
            };
            match delete_one(calls, &marker).await {
                TargetResult::Failed(failure) => Some(of_bucket(failure)),
                TargetResult::Gone | TargetResult::Hidden(_) => None,
            }
        }
        // Some stores know no version "null": that is no refusal by the bucket.
        TargetResult::Failed(failure) if versioned && failure.class == ErrorClass::Permanent => {
            None
        }
        TargetResult::Failed(failure) => Some(of_bucket(failure)),
    }
}

/// A key that never existed.
pub(super) fn unknown_key() -> String {
    format!("lethe-probe-{}", Uuid::new_v4())
}

async fn delete_one(calls: &Calls<'_>, target: &Target) -> TargetResult {
    if calls.store.capabilities.batch_delete.is_unsupported() {
        return calls.delete_object(target).await;
    }
    match calls.delete_objects(std::slice::from_ref(target)).await {
        Ok(results) => only(results),
        Err(Refusal {
            remedy: Remedy::SendMd5,
            ..
        }) => {
            calls.store.capabilities.set_needs_md5();
            match calls.delete_objects(std::slice::from_ref(target)).await {
                Ok(results) => only(results),
                Err(refusal) => TargetResult::Failed(refusal.failure),
            }
        }
        Err(Refusal {
            remedy: Remedy::OneByOne,
            ..
        }) => {
            calls.store.capabilities.batch_delete.set_unsupported();
            calls.delete_object(target).await
        }
        Err(refusal) => TargetResult::Failed(refusal.failure),
    }
}

/// What is refused of a key that never existed is refused of the bucket.
fn of_bucket(failure: Failure) -> Failure {
    match failure.class {
        ErrorClass::Blocked | ErrorClass::Permanent => Failure::new(
            ErrorClass::Outage,
            failure.code,
            &format!(
                "every deletion in this bucket is refused: {}",
                failure.message
            ),
        ),
        ErrorClass::Transient | ErrorClass::Throttle | ErrorClass::Outage | ErrorClass::Crash => {
            failure
        }
    }
}

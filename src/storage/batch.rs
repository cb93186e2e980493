//! Deletes many targets. It sends multi-deletes, halves a refused batch to find the bad key, and otherwise
//! deletes keys one by one. Every loop ends: after `MAX_SPLITS` halvings each waiting batch is still sent, but
//! one that is refused is deleted key by key.

use futures::stream::{self, StreamExt as _};

use super::calls::{Calls, Refusal, only};
use super::classify::{Failure, Remedy};
use super::target::{Target, TargetResult, fits_in_xml};
use crate::vocabulary::ErrorClass;

/// S3's limit for one DeleteObjects request (Amazon S3 API reference, "DeleteObjects").
pub const MAX_KEYS_PER_REQUEST: usize = 1_000;
/// Most single deletions that one call has in flight at the same time.
const SINGLE_CONCURRENCY: usize = 8;
/// Most halvings in one call. Finding one bad key among 1,000 takes 10. With many bad keys, deleting one by one
/// is faster.
const MAX_SPLITS: usize = 64;

/// Deletes the targets and returns one result for each, in the same order. Targets must be distinct. More than
/// 1,000 are sent in several requests, one after the other.
pub(super) async fn delete_targets(calls: &Calls<'_>, targets: &[Target]) -> Vec<TargetResult> {
    let mut call = DeleteCall {
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
        call.batch(chunk).await;
    }
    call.delete_one_by_one(&single).await;
    call.check_for_refusing_bucket().await;
    call.finish()
}

/// The state of one call of [`delete_targets`].
struct DeleteCall<'a> {
    calls: &'a Calls<'a>,
    targets: &'a [Target],
    results: Vec<Option<TargetResult>>,
    splits_left: usize,
    bucket_tried: bool,
}

impl DeleteCall<'_> {
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

    /// Handles a refused batch, in which one key may be at fault for all. Returns the halves to send next, or
    /// `None` if every key of the batch has been dealt with.
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
        // Keys that the store could not read in XML can still be sent in a URL: try the last two one by one.
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

    /// AWS answers a missing permission with a denial of each key, and a wrong endpoint may redirect each. If a key that
    /// never existed is refused too, the bucket refuses all deletions, so this must not count as an attempt of any task.
    async fn check_for_refusing_bucket(&mut self) {
        let refused: Vec<usize> = (0..self.results.len())
            .filter(|&place| {
                matches!(&self.results[place], Some(TargetResult::Failed(failure)) if failure.may_be_of_bucket())
            })
            .collect();
        if refused.is_empty() || self.calls.halted().is_some() {
            return;
        }
        if self.bucket_refuses().await
            && let Some(failure) = self.calls.halted()
        {
            self.fail(&refused, &failure);
        }
    }

    /// Checks once per call whether the bucket refuses every deletion, by deleting a random key. Later calls
    /// return false. True also stands for an outage, a throttle or a time-out: no further request is sent then.
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
                // Any other temporary failure says nothing about what the bucket refuses.
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

/// Deletes a key that never existed, in the way that works for this store. A denial is returned as an outage. In a
/// versioned bucket the request names a version, so that the store creates no delete marker. If the bucket was
/// not known to be versioned and a marker was created, it is deleted.
pub(super) async fn refusal_of_unknown_key(calls: &Calls<'_>, versioned: bool) -> Option<Failure> {
    let target = Target {
        key: calls.store.key_prefixes.unknown_key().into(),
        version: versioned.then(|| "null".to_owned()),
    };
    let result = delete_one(calls, &target).await;
    match result {
        TargetResult::Gone => None,
        TargetResult::Hidden(marker) => {
            // The store created a delete marker, so the bucket keeps versions after all.
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
        // Some stores do not know the version "null". That does not mean that the bucket refuses deletions.
        TargetResult::Failed(failure) if versioned && failure.class == ErrorClass::Permanent => {
            None
        }
        TargetResult::Failed(failure) => Some(of_bucket(failure)),
    }
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

/// If the store refuses to delete a key that never existed, it refuses every deletion in this bucket. So the
/// failure becomes an outage.
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

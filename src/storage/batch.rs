//! Deleting many targets: multi-deletes where they work, halves where one key spoils a batch, single
//! deletions where nothing else works. Every loop ends: a batch is halved at most 10 times deep, and
//! after `MOST_SPLITS` refusals the rest goes key by key.

use futures::stream::{self, StreamExt as _};
use uuid::Uuid;

use super::calls::{Calls, Refusal, not_asked};
use super::classify::{Failure, Remedy};
use super::target::{Fate, Target, fits_in_xml};
use crate::vocabulary::ErrorClass;

/// S3's limit for one DeleteObjects request (Amazon S3 API reference, "DeleteObjects").
pub const MAX_KEYS_PER_REQUEST: usize = 1_000;
/// Single deletions in flight at once in one round.
const SINGLE_CONCURRENCY: usize = 8;
/// Halvings in one round. One bad key of 1,000 takes 10; with more than a few bad ones, asking key by
/// key is cheaper than telling them apart.
const MOST_SPLITS: usize = 64;

/// What came of each target, in the order asked. Targets must be distinct; more than 1,000 go in
/// several requests, one after the other.
pub(super) async fn delete_targets(calls: &Calls<'_>, targets: &[Target]) -> Vec<Fate> {
    let mut round = Round {
        calls,
        targets,
        fates: vec![None; targets.len()],
        splits_left: MOST_SPLITS,
        bucket_tried: false,
    };
    let (batch, single): (Vec<usize>, Vec<usize>) = (0..targets.len())
        .partition(|&place| fits_in_xml(&targets[place].key) && !calls.store.learned.singles());
    for chunk in batch.chunks(MAX_KEYS_PER_REQUEST) {
        round.batch(chunk).await;
    }
    round.singles(&single).await;
    round.tell_bucket_from_key().await;
    round.finish()
}

struct Round<'a> {
    calls: &'a Calls<'a>,
    targets: &'a [Target],
    fates: Vec<Option<Fate>>,
    splits_left: usize,
    bucket_tried: bool,
}

impl Round<'_> {
    fn settle(&mut self, place: usize, fate: Fate) {
        self.fates[place] = Some(fate);
    }

    fn fail(&mut self, places: &[usize], failure: &Failure) {
        for &place in places {
            self.settle(place, Fate::Failed(failure.clone()));
        }
    }

    async fn batch(&mut self, places: &[usize]) {
        let mut waiting = vec![places];
        while let Some(places) = waiting.pop() {
            if let Some(failure) = self.calls.halted() {
                self.fail(places, &failure);
                continue;
            }
            if self.calls.store.learned.singles() {
                self.singles(places).await;
                continue;
            }
            let targets: Vec<Target> = places.iter().map(|&i| self.targets[i].clone()).collect();
            let refusal = match self.calls.delete_objects(&targets).await {
                Ok(fates) => {
                    for (&place, fate) in places.iter().zip(fates) {
                        self.settle(place, fate);
                    }
                    continue;
                }
                Err(refusal) => refusal,
            };
            match refusal.remedy {
                Remedy::SendMd5 => {
                    self.calls.store.learned.learn_md5();
                    waiting.push(places);
                }
                Remedy::Singles => {
                    self.calls.store.learned.learn_singles();
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
        // What XML cannot say, a URL may: the last two go singly instead of being told apart.
        let unreadable = refusal.failure.class == ErrorClass::Permanent;
        if (unreadable && places.len() <= 2) || (places.len() > 1 && self.splits_left == 0) {
            self.singles(places).await;
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

    async fn singles(&mut self, places: &[usize]) {
        let (calls, targets) = (self.calls, self.targets);
        let fates: Vec<(usize, Fate)> = stream::iter(places.to_vec())
            .map(|place| async move {
                if let Some(failure) = calls.halted() {
                    return (place, Fate::Failed(failure));
                }
                let fate = calls.delete_object(&targets[place]).await;
                if let Fate::Failed(failure) = &fate {
                    calls.note(failure);
                }
                (place, fate)
            })
            .buffer_unordered(SINGLE_CONCURRENCY)
            .collect()
            .await;
        for (place, fate) in fates {
            self.settle(place, fate);
        }
    }

    /// AWS answers a missing permission with a denial of each key. If a key that never existed is denied
    /// too, it is the bucket's fault, and no task may pay for it with an attempt.
    async fn tell_bucket_from_key(&mut self) {
        let denied: Vec<usize> = (0..self.fates.len())
            .filter(|&place| {
                matches!(&self.fates[place], Some(Fate::Failed(failure)) if failure.is_denial())
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
                // What passes by itself does not end the round, and says nothing of the bucket.
                failure.stops_the_round()
            }
        }
    }

    fn finish(self) -> Vec<Fate> {
        let halted = self.calls.halted();
        self.fates
            .into_iter()
            .map(|fate| match (fate, &halted) {
                (Some(fate), _) => fate,
                (None, Some(failure)) => Fate::Failed(failure.clone()),
                (None, None) => not_asked(),
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
    let fate = delete_one(calls, &target).await;
    match fate {
        Fate::Gone => None,
        Fate::Hidden(marker) => {
            // Versions are kept after all.
            calls.store.learned.learn_versioned();
            let marker = Target {
                version: Some(marker.unwrap_or_else(|| "null".to_owned())),
                ..target
            };
            match delete_one(calls, &marker).await {
                Fate::Failed(failure) => Some(of_bucket(failure)),
                Fate::Gone | Fate::Hidden(_) => None,
            }
        }
        // Some stores know no version "null": that says nothing of the bucket.
        Fate::Failed(failure) if versioned && failure.class == ErrorClass::Permanent => None,
        Fate::Failed(failure) => Some(of_bucket(failure)),
    }
}

/// A key that never existed.
pub(super) fn unknown_key() -> String {
    format!("lethe-probe-{}", Uuid::new_v4())
}

async fn delete_one(calls: &Calls<'_>, target: &Target) -> Fate {
    if calls.store.learned.singles() {
        return calls.delete_object(target).await;
    }
    match calls.delete_objects(std::slice::from_ref(target)).await {
        Ok(fates) => only(fates),
        Err(Refusal {
            remedy: Remedy::SendMd5,
            ..
        }) => {
            calls.store.learned.learn_md5();
            match calls.delete_objects(std::slice::from_ref(target)).await {
                Ok(fates) => only(fates),
                Err(refusal) => Fate::Failed(refusal.failure),
            }
        }
        Err(Refusal {
            remedy: Remedy::Singles,
            ..
        }) => {
            calls.store.learned.learn_singles();
            calls.delete_object(target).await
        }
        Err(refusal) => Fate::Failed(refusal.failure),
    }
}

fn only(fates: Vec<Fate>) -> Fate {
    fates.into_iter().next().unwrap_or_else(not_asked)
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

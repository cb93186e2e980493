//! One request at a time: DeleteObjects and DeleteObject, with what was learned of the store's dialect.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::Store;
use super::classify::{self, Failure, FailureClass, Remedy};
use super::coverage;
use super::target::{Fate, Target};
use super::wire::{ContentMd5, ReadToEnd};
use crate::vocabulary::S3Outcome;

/// One request as the metrics count it; the SDK's own retries are inside.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The S3 operation, as `DeleteObjects`.
    pub operation: &'static str,
    /// How it ended.
    pub outcome: S3Outcome,
    /// From before the first byte sent to after the last one read.
    pub duration: Duration,
}

/// The requests of one round of deletion.
pub(super) struct Calls<'a> {
    pub(super) store: &'a Store,
    records: Mutex<Vec<RequestRecord>>,
    halted: Mutex<Option<Failure>>,
}

/// A request that was refused as a whole.
pub(super) struct Refusal {
    pub(super) failure: Failure,
    pub(super) remedy: Remedy,
}

impl<'a> Calls<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self {
            store,
            records: Mutex::default(),
            halted: Mutex::default(),
        }
    }

    pub(super) fn into_records(self) -> Vec<RequestRecord> {
        self.records
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn record(&self, operation: &'static str, started: Instant, outcome: S3Outcome) {
        lock(&self.records).push(RequestRecord {
            operation,
            outcome,
            duration: started.elapsed(),
        });
    }

    /// The failure after which no further request of this round makes sense.
    pub(super) fn halted(&self) -> Option<Failure> {
        lock(&self.halted).clone()
    }

    /// Ends the round if the failure is of the kind that holds for all keys.
    pub(super) fn note(&self, failure: &Failure) {
        if failure.stops_the_round() {
            lock(&self.halted).get_or_insert_with(|| failure.clone());
        }
    }

    /// One DeleteObjects for at most 1,000 distinct targets.
    pub(super) async fn delete_objects(&self, targets: &[Target]) -> Result<Vec<Fate>, Refusal> {
        let body = multi_delete(targets).map_err(|failure| Refusal {
            failure,
            remedy: Remedy::None,
        })?;
        let learned = &self.store.learned;
        let with_md5 = learned.wants_md5();
        let (read_to_end, complete) = ReadToEnd::watch("DeleteResult");
        let call = self
            .store
            .client
            .delete_objects()
            .bucket(&*self.store.bucket)
            .delete(body)
            .customize()
            .interceptor(read_to_end);
        let call = if with_md5 {
            call.interceptor(ContentMd5)
        } else {
            call
        };
        let started = Instant::now();
        match call.send().await {
            Ok(answer) => {
                let (deleted, errors) = (answer.deleted(), answer.errors());
                let fates = coverage::fates(targets, deleted, errors, complete.get());
                let failed = |fate: &Fate| matches!(fate, Fate::Failed(_));
                let partial = fates.iter().any(failed);
                let outcome = if partial {
                    S3Outcome::Partial
                } else {
                    S3Outcome::Ok
                };
                self.record("DeleteObjects", started, outcome);
                Ok(fates)
            }
            Err(error) => {
                let failure = classify::of_sdk_error(&error);
                self.record("DeleteObjects", started, failure.class.into());
                let remedy = match classify::remedy_of(classify::status_of(&error), &failure) {
                    Remedy::SendMd5 if with_md5 => Remedy::Bisect,
                    remedy => remedy,
                };
                Err(Refusal { failure, remedy })
            }
        }
    }

    /// One DeleteObject, whose key travels in the URL.
    ///
    /// aws-sdk-s3 1.157 takes a key of white space alone for a missing one and builds no request; such a
    /// key travels in a multi-delete of its own.
    pub(super) async fn delete_object(&self, target: &Target) -> Fate {
        if target.key.trim().is_empty() {
            return self.delete_blank(target).await;
        }
        let started = Instant::now();
        let answer = self
            .store
            .client
            .delete_object()
            .bucket(&*self.store.bucket)
            .key(&*target.key)
            .set_version_id(target.version.clone())
            .send()
            .await;
        let fate = match answer {
            Ok(answer) if target.version.is_none() && answer.delete_marker() == Some(true) => {
                Fate::Hidden(answer.version_id().map(str::to_owned))
            }
            Ok(_) => Fate::Gone,
            Err(error) => {
                let failure = classify::of_sdk_error(&error);
                if matches!(failure.code.as_str(), "NoSuchKey" | "NoSuchVersion") {
                    Fate::Gone
                } else {
                    Fate::Failed(failure)
                }
            }
        };
        let outcome = match &fate {
            Fate::Failed(failure) => failure.class.into(),
            Fate::Gone | Fate::Hidden(_) => S3Outcome::Ok,
        };
        self.record("DeleteObject", started, outcome);
        fate
    }

    async fn delete_blank(&self, target: &Target) -> Fate {
        match self.delete_objects(std::slice::from_ref(target)).await {
            Ok(fates) => fates.into_iter().next().unwrap_or_else(not_asked),
            Err(refusal) if refusal.remedy == Remedy::None => Fate::Failed(refusal.failure),
            // No way is left to name it: not the store's outage, but this key's misfortune.
            Err(refusal) => Fate::Failed(Failure::new(
                FailureClass::Permanent,
                refusal.failure.code,
                "a key of white space alone, which this store takes in no way",
            )),
        }
    }
}

/// What no answer was found for, for want of a question.
pub(super) fn not_asked() -> Fate {
    Fate::Failed(Failure::new(
        FailureClass::Transient,
        "NotAsked",
        "the store was not asked for this key",
    ))
}

/// A verbose request: quiet ones name only the errors, and an empty answer would mean success.
fn multi_delete(targets: &[Target]) -> Result<Delete, Failure> {
    let objects = targets
        .iter()
        .map(|target| {
            ObjectIdentifier::builder()
                .key(&*target.key)
                .set_version_id(target.version.clone())
                .build()
        })
        .collect::<Result<Vec<_>, _>>();
    objects
        .and_then(|objects| {
            Delete::builder()
                .set_objects(Some(objects))
                .quiet(false)
                .build()
        })
        .map_err(|error| Failure::new(FailureClass::Permanent, "NotBuilt", &error.to_string()))
}

/// What is behind such a lock is replaced as a whole, so that a panic elsewhere leaves it sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Sends single requests and records them for the metrics. DeleteObjects and DeleteObject are sent in the dialect
//! of the store.

use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use parking_lot::Mutex;

use super::Store;
use super::classify::{self, Failure, Remedy};
use super::match_answers::match_answers;
use super::target::{Target, TargetResult};
use super::wire::{ContentMd5, ReadToEnd};
use crate::vocabulary::{ErrorClass, S3Outcome};

/// One request as the metrics count it. It includes the SDK's own retries.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// The S3 operation, as `DeleteObjects`.
    pub operation: &'static str,
    /// How it ended.
    pub outcome: S3Outcome,
    /// From before the first byte sent to after the last one read.
    pub duration: Duration,
}

/// The requests of one round. A round is one call of `Store::delete` or `Store::probe`.
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
        self.records.into_inner()
    }

    /// Sends a request and records how it ended.
    pub(super) async fn send<T>(
        &self,
        operation: &'static str,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.send_expecting(operation, |_| false, request).await
    }

    /// Does the same as [`send`](Self::send) for a request to which some failures are a valid answer, such as
    /// "not found". Those are recorded as successes.
    pub(super) async fn send_expecting<T>(
        &self,
        operation: &'static str,
        is_answer: impl Fn(&Failure) -> bool,
        request: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let started = Instant::now();
        let result = request.await;
        let outcome = match &result {
            Err(failure) if !is_answer(failure) => failure.class.into(),
            Ok(_) | Err(_) => S3Outcome::Ok,
        };
        self.record(operation, started, outcome);
        result
    }

    fn record(&self, operation: &'static str, started: Instant, outcome: S3Outcome) {
        self.records.lock().push(RequestRecord {
            operation,
            outcome,
            duration: started.elapsed(),
        });
    }

    /// Returns the failure that ended the round, if there was one. No further request makes sense then.
    pub(super) fn halted(&self) -> Option<Failure> {
        self.halted.lock().clone()
    }

    /// Ends the round if the failure would also meet all other keys.
    pub(super) fn note(&self, failure: &Failure) {
        if failure.stops_the_round() {
            self.halted.lock().get_or_insert_with(|| failure.clone());
        }
    }

    /// Sends one DeleteObjects for at most 1,000 distinct targets.
    pub(super) async fn delete_objects(
        &self,
        targets: &[Target],
    ) -> Result<Vec<TargetResult>, Refusal> {
        let body = multi_delete(targets).map_err(|failure| Refusal {
            failure,
            remedy: Remedy::None,
        })?;
        let with_md5 = self.store.capabilities.needs_md5();
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
                let results = match_answers(targets, deleted, errors, complete.get());
                let failed = |result: &TargetResult| matches!(result, TargetResult::Failed(_));
                let outcome = if results.iter().any(failed) {
                    S3Outcome::Partial
                } else {
                    S3Outcome::Ok
                };
                self.record("DeleteObjects", started, outcome);
                Ok(results)
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

    /// Sends one DeleteObject, which has its key in the URL.
    ///
    /// aws-sdk-s3 1.157 takes a key of white space alone for a missing one and builds no request. Such a key is
    /// sent in a multi-delete of its own.
    pub(super) async fn delete_object(&self, target: &Target) -> TargetResult {
        if target.key.trim().is_empty() {
            return self.delete_blank(target).await;
        }
        let request = async {
            let answer = self
                .store
                .client
                .delete_object()
                .bucket(&*self.store.bucket)
                .key(&*target.key)
                .set_version_id(target.version.clone())
                .send()
                .await;
            match answer.map_err(|error| classify::of_sdk_error(&error).of_one_key()) {
                Ok(answer) if target.version.is_none() && answer.delete_marker() == Some(true) => {
                    let marker = answer.version_id().map(str::to_owned);
                    Ok(TargetResult::Hidden(marker))
                }
                Ok(_) => Ok(TargetResult::Gone),
                Err(failure) if failure.is_missing_key() => Ok(TargetResult::Gone),
                Err(failure) => Err(failure),
            }
        };
        let result = self.send("DeleteObject", request).await;
        result.unwrap_or_else(TargetResult::Failed)
    }

    async fn delete_blank(&self, target: &Target) -> TargetResult {
        match self.delete_objects(std::slice::from_ref(target)).await {
            Ok(results) => only(results),
            Err(refusal) if refusal.remedy == Remedy::None => TargetResult::Failed(refusal.failure),
            // The store refuses this key and not all keys. There is no other way to send it.
            Err(refusal) => TargetResult::Failed(Failure::new(
                ErrorClass::Permanent,
                refusal.failure.code,
                "a key of white space alone, which this store accepts in no request",
            )),
        }
    }
}

/// The result of a request for one target.
pub(super) fn only(results: Vec<TargetResult>) -> TargetResult {
    let result = results.into_iter().next();
    result.unwrap_or_else(|| TargetResult::Failed(Failure::not_asked()))
}

/// Builds a verbose request. The answer to a quiet one names only the errors, so an empty answer would mean
/// success.
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
        .map_err(|error| Failure::new(ErrorClass::Permanent, "NotBuilt", &error.to_string()))
}

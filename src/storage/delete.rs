//! Deleting keys, and knowing of each whether it is gone: asked = deleted ∪ errors, key by key.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::stream::{self, StreamExt as _};
use uuid::Uuid;

use super::classify::{self, Failure, FailureClass, class_of_code};
use super::{Store, versions};

/// S3's limit for one DeleteObjects request (Amazon S3 API reference, "DeleteObjects").
pub const MAX_KEYS_PER_REQUEST: usize = 1_000;
/// S3's limit for a key, in bytes of UTF-8 (Amazon S3 user guide, "Naming Amazon S3 objects").
const MAX_KEY_BYTES: usize = 1_024;
/// Single deletes in flight at once.
const SINGLE_CONCURRENCY: usize = 8;

/// What became of a key.
#[derive(Clone, Debug)]
pub enum KeyOutcome {
    /// The store says that it is not there, any more or at all.
    Gone,
    /// It may still be there.
    Failed(Failure),
}

/// One request, for the metrics.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    /// `ok`, `partial` (some keys failed), or the class of the failure.
    pub outcome: &'static str,
    /// From the first byte sent to the last read, with the SDK's retries.
    pub duration: Duration,
}

/// What became of all keys.
#[derive(Debug, Default)]
pub struct Deletion {
    /// One for each key asked for, in its order.
    pub outcomes: Vec<KeyOutcome>,
    /// The requests that it took.
    pub requests: Vec<RequestRecord>,
}

impl Store {
    /// Deletes objects, with all of their versions. More than 1,000 keys go in several requests, one
    /// after the other. A key that was not answered for counts as a transient failure.
    pub async fn delete(&self, keys: &[String]) -> Deletion {
        let mut round = Round {
            store: self,
            fates: HashMap::new(),
            requests: Vec::new(),
        };
        let mut seen = HashSet::new();
        let (mut batch, mut singles) = (Vec::new(), Vec::new());
        for key in keys.iter().filter(|key| seen.insert(key.as_str())) {
            match way_of(key) {
                Way::Batch => batch.push(key.clone()),
                Way::Single => singles.push(key.clone()),
                Way::Never(reason) => round.fail(
                    key,
                    &Failure::new(FailureClass::Permanent, "InvalidKey", reason),
                ),
            }
        }
        if self.single_only() {
            singles.append(&mut batch);
        }
        for chunk in batch.chunks(MAX_KEYS_PER_REQUEST) {
            round.batch(chunk).await;
        }
        round.singles(&singles).await;
        round.finish(keys).await
    }
}

enum Way {
    Batch,
    /// XML 1.0 has no way to carry it; a URL has.
    Single,
    Never(&'static str),
}

fn way_of(key: &str) -> Way {
    if key.is_empty() {
        return Way::Never("an empty key names no object");
    }
    if key.len() > MAX_KEY_BYTES {
        return Way::Never("a key has at most 1,024 bytes");
    }
    // A parser turns \r into \n, and tabs and line breaks may be folded.
    if key
        .chars()
        .any(|c| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}'))
    {
        return Way::Single;
    }
    Way::Batch
}

/// One call of `delete`.
struct Round<'a> {
    store: &'a Store,
    fates: HashMap<String, KeyOutcome>,
    requests: Vec<RequestRecord>,
}

impl Round<'_> {
    fn fail(&mut self, key: &str, failure: &Failure) {
        self.fates
            .insert(key.to_owned(), KeyOutcome::Failed(failure.clone()));
    }

    /// Deletes keys in one request; a refusal as a whole that may be one key's fault is bisected.
    async fn batch(&mut self, keys: &[String]) {
        // Each entry was half of a refused batch; at most log2(1,000) deep.
        let mut waiting: Vec<&[String]> = vec![keys];
        while let Some(keys) = waiting.pop() {
            let refusal = match self.request(keys).await {
                Ok(()) => continue,
                Err(refusal) => refusal,
            };
            if refusal.class == FailureClass::Permanent || refusal.class == FailureClass::Blocked {
                if is_unsupported(&refusal) {
                    self.store
                        .learned
                        .single_only
                        .store(true, Ordering::Relaxed);
                    self.singles(keys).await;
                } else if keys.len() > 1 {
                    let (left, right) = keys.split_at(keys.len() / 2);
                    waiting.push(right);
                    waiting.push(left);
                } else {
                    self.refused(&keys[0], refusal).await;
                }
            } else if is_unsupported(&refusal) {
                self.store
                    .learned
                    .single_only
                    .store(true, Ordering::Relaxed);
                self.singles(keys).await;
            } else {
                for key in keys {
                    self.fail(key, &refusal);
                }
                if refusal.class == FailureClass::Outage {
                    for key in waiting.drain(..).flatten() {
                        self.fail(key, &refusal);
                    }
                }
            }
        }
    }

    /// One key was refused. If a key that never existed is refused too, it is not the key's fault.
    async fn refused(&mut self, key: &str, refusal: Failure) {
        let refusal = if refusal.class == FailureClass::Blocked && self.bucket_refuses().await {
            Failure {
                class: FailureClass::Outage,
                ..refusal
            }
        } else {
            refusal
        };
        self.fail(key, &refusal);
    }

    async fn bucket_refuses(&mut self) -> bool {
        let probe = [format!("lethe-probe-{}", Uuid::new_v4())];
        let refused = self.request(&probe).await.is_err();
        let refused_key = matches!(self.fates.remove(&probe[0]), Some(KeyOutcome::Failed(_)));
        refused || refused_key
    }

    /// One DeleteObjects. An error is about the request as a whole.
    async fn request(&mut self, keys: &[String]) -> Result<(), Failure> {
        let objects = keys
            .iter()
            .map(|key| ObjectIdentifier::builder().key(key).build())
            .collect::<Result<Vec<_>, _>>();
        let delete = objects
            .and_then(|objects| {
                Delete::builder()
                    .set_objects(Some(objects))
                    .quiet(false)
                    .build()
            })
            .map_err(|error| {
                Failure::new(FailureClass::Permanent, "NotBuilt", &error.to_string())
            })?;
        let started = Instant::now();
        let answer = self
            .store
            .client
            .delete_objects()
            .bucket(&*self.store.bucket)
            .delete(delete)
            .send()
            .await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let failure = classify::of_sdk_error(&error);
                self.record(failure.class.as_str(), started);
                return Err(failure);
            }
        };
        let asked: HashSet<&str> = keys.iter().map(String::as_str).collect();
        for deleted in answer.deleted() {
            let Some(key) = deleted.key().filter(|key| asked.contains(key)) else {
                continue;
            };
            if deleted.delete_marker() == Some(true) {
                self.store
                    .learned
                    .seen_marker
                    .store(true, Ordering::Relaxed);
            }
            self.fates.insert(key.to_owned(), KeyOutcome::Gone);
        }
        for error in answer.errors() {
            let Some(key) = error.key().filter(|key| asked.contains(key)) else {
                continue;
            };
            let code = error.code().unwrap_or("Unknown");
            if code == "NoSuchKey" {
                self.fates.insert(key.to_owned(), KeyOutcome::Gone);
            } else {
                let message = error.message().unwrap_or("the store gave no reason");
                self.fail(key, &Failure::new(class_of_code(code), code, message));
            }
        }
        let partial = keys
            .iter()
            .any(|key| !matches!(self.fates.get(key), Some(KeyOutcome::Gone)));
        self.record(if partial { "partial" } else { "ok" }, started);
        Ok(())
    }

    async fn singles(&mut self, keys: &[String]) {
        let store = self.store;
        let answers: Vec<_> = stream::iter(keys.to_vec())
            .map(|key| async move {
                let started = Instant::now();
                let answer = store
                    .client
                    .delete_object()
                    .bucket(&*store.bucket)
                    .key(&key)
                    .send()
                    .await;
                (key, started.elapsed(), answer)
            })
            .buffer_unordered(SINGLE_CONCURRENCY)
            .collect()
            .await;
        for (key, duration, answer) in answers {
            let outcome = match answer {
                Ok(answer) => {
                    if answer.delete_marker() == Some(true) {
                        store.learned.seen_marker.store(true, Ordering::Relaxed);
                    }
                    self.fates.insert(key, KeyOutcome::Gone);
                    "ok"
                }
                Err(error) => {
                    let failure = classify::of_sdk_error(&error);
                    if failure.code == "NoSuchKey" {
                        self.fates.insert(key, KeyOutcome::Gone);
                        "ok"
                    } else {
                        let class = failure.class.as_str();
                        self.fail(&key, &failure);
                        class
                    }
                }
            };
            self.requests.push(RequestRecord { outcome, duration });
        }
    }

    /// Deals with versions, and answers for every key asked.
    async fn finish(mut self, keys: &[String]) -> Deletion {
        if versions::are_kept(self.store).await {
            let gone: Vec<String> = self
                .fates
                .iter()
                .filter(|(_, fate)| matches!(fate, KeyOutcome::Gone))
                .map(|(key, _)| key.clone())
                .collect();
            for key in gone {
                let started = Instant::now();
                if let Err(failure) = versions::delete_all(self.store, &key).await {
                    self.record(failure.class.as_str(), started);
                    self.fail(&key, &failure);
                } else {
                    self.record("ok", started);
                }
            }
        }
        let unanswered = Failure::new(
            FailureClass::Transient,
            "NotAnswered",
            "the store's answer does not name this key",
        );
        let outcomes = keys
            .iter()
            .map(|key| match self.fates.get(key) {
                Some(fate) => fate.clone(),
                None => KeyOutcome::Failed(unanswered.clone()),
            })
            .collect();
        Deletion {
            outcomes,
            requests: self.requests,
        }
    }

    fn record(&mut self, outcome: &'static str, started: Instant) {
        self.requests.push(RequestRecord {
            outcome,
            duration: started.elapsed(),
        });
    }
}

/// The server knows no DeleteObjects.
fn is_unsupported(failure: &Failure) -> bool {
    matches!(
        failure.code.as_str(),
        "NotImplemented" | "MethodNotAllowed" | "Http501" | "Http405"
    )
}

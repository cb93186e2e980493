//! The third stage: computes the outcome of each task from the results of its keys. It does no I/O.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::delete::KeyResult;
use crate::queue::backoff::RetryPolicy;
use crate::queue::claim::Claim;
use crate::queue::settle::Verdict;
use crate::storage::Failure;
use crate::vocabulary::ErrorClass;

/// The longest wait for a locked key. A lock may be lifted or shortened before its end date, and a task that is
/// tried once a day shows that the lock still exists.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The clocks of a store and a worker may differ by this much; S3 refuses requests of clocks that differ more
/// (Amazon S3 API reference, "Error responses", RequestTimeTooSkewed). A lock that ended less than this ago may
/// still be valid by the store's clock, so its key is tried again soon.
const CLOCK_SKEW: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
/// The wait lasts this much longer than the lock.
const LOCK_MARGIN: Duration = Duration::from_secs(60);

/// Why a key remains.
#[derive(Clone, Debug, PartialEq)]
pub enum Remains {
    /// A shutdown, the end of the lease or an outage came before the store's answer.
    NotAsked,
    /// The store did not delete it, the database refused the task's settle, or the batch panicked.
    Failed(ErrorClass, String),
    /// The store keeps it until a known date. `wait` ends `LOCK_MARGIN` after that date, or after a day if that is
    /// sooner.
    Locked { wait: Duration, error: String },
}

/// A claimed task with its verdict. A key of the claim that is in neither `kept` nor `remaining` is deleted.
#[derive(Clone, Debug)]
pub struct TaskOutcome {
    /// The task.
    pub claim: Claim,
    /// Keys that a live image or an image of a restorable sample names.
    pub kept: Vec<String>,
    /// Keys whose deletion is not confirmed.
    pub remaining: Vec<(String, Remains)>,
    /// The task's next status.
    pub verdict: Verdict,
}

impl TaskOutcome {
    /// Builds the outcome from the results of the task's keys.
    fn of_keys(
        claim: Claim,
        results: &HashMap<String, KeyResult>,
        policy: RetryPolicy,
        now: DateTime<Utc>,
    ) -> Self {
        let mut kept = Vec::new();
        let mut remaining = Vec::new();
        for key in &claim.object_keys {
            match results.get(key) {
                Some(KeyResult::Gone) => {}
                Some(KeyResult::Kept) => kept.push(key.clone()),
                Some(KeyResult::Failed(failure)) => {
                    remaining.push((key.clone(), Remains::of_failure(failure, now)));
                }
                None => remaining.push((key.clone(), Remains::NotAsked)),
            }
        }
        let verdict = verdict(&remaining, claim.attempts, policy);
        Self {
            claim,
            kept,
            remaining,
            verdict,
        }
    }

    /// The outcome of a task that was not worked on. All keys remain, and the attempt is not counted.
    pub fn untouched(claim: Claim) -> Self {
        Self::with_all_keys(claim, &Remains::NotAsked, Verdict::RELEASED)
    }

    /// The attempt failed, but not because of one of its keys. All keys remain. An outage gives the attempt back.
    pub fn failed(claim: Claim, class: ErrorClass, error: &str, policy: RetryPolicy) -> Self {
        let remains = Remains::Failed(class, error.to_owned());
        let verdict = match class {
            ErrorClass::Outage => Verdict::Released {
                delay: Duration::ZERO,
                error: Some((class, error.to_owned())),
            },
            _ => Verdict::failed(class, error.to_owned(), claim.attempts, policy),
        };
        Self::with_all_keys(claim, &remains, verdict)
    }

    /// The outcome of the root of an erasure that has no keys.
    pub fn without_keys(claim: Claim, verdict: Verdict) -> Self {
        Self {
            claim,
            kept: Vec::new(),
            remaining: Vec::new(),
            verdict,
        }
    }

    fn with_all_keys(claim: Claim, remains: &Remains, verdict: Verdict) -> Self {
        let keys = claim.object_keys.iter();
        Self {
            remaining: keys.map(|key| (key.clone(), remains.clone())).collect(),
            kept: Vec::new(),
            claim,
            verdict,
        }
    }

    /// The keys whose deletion the store confirmed, in the task's order.
    pub fn gone(&self) -> impl Iterator<Item = &str> {
        let left: HashSet<&str> = self
            .remaining
            .iter()
            .map(|(key, _)| key)
            .chain(&self.kept)
            .map(String::as_str)
            .collect();
        self.claim
            .object_keys
            .iter()
            .map(String::as_str)
            .filter(move |key| !left.contains(key))
    }
}

impl Remains {
    fn of_failure(failure: &Failure, now: DateTime<Utc>) -> Self {
        match lock_wait(failure, now) {
            Some(wait) => Self::Locked {
                wait,
                error: failure.to_string(),
            },
            None => Self::Failed(failure.class, failure.to_string()),
        }
    }
}

/// Computes the outcome of each task from the results of its keys.
pub fn decide(
    claims: Vec<Claim>,
    results: &HashMap<String, KeyResult>,
    policy: RetryPolicy,
) -> Vec<TaskOutcome> {
    let now = Utc::now();
    claims
        .into_iter()
        .map(|claim| TaskOutcome::of_keys(claim, results, policy, now))
        .collect()
}

/// How long to wait before a locked key is tried again: until `LOCK_MARGIN` after the lock's end date, at most a
/// day. None if the store gave no date, or one more than `CLOCK_SKEW` ago.
fn lock_wait(failure: &Failure, now: DateTime<Utc>) -> Option<Duration> {
    let ahead = failure.retry_at? - now;
    if failure.class != ErrorClass::Blocked || ahead < -CLOCK_SKEW {
        return None;
    }
    let ahead = ahead.to_std().unwrap_or_default();
    Some((ahead + LOCK_MARGIN).min(MAX_LOCK_WAIT))
}

/// Summary of why keys remain.
#[derive(Default)]
struct Summary<'a> {
    not_asked: bool,
    /// The failure most likely to pass (lowest rank); the task shows this one.
    failure: Option<(ErrorClass, &'a str)>,
    /// The lock that ends first.
    lock: Option<(Duration, &'a str)>,
}

impl<'a> Summary<'a> {
    fn of(remaining: &'a [(String, Remains)]) -> Self {
        let mut summary = Self::default();
        for (_, remains) in remaining {
            match remains {
                Remains::NotAsked => summary.not_asked = true,
                Remains::Locked { wait, error } => {
                    if summary.lock.is_none_or(|(first, _)| *wait < first) {
                        summary.lock = Some((*wait, error));
                    }
                }
                Remains::Failed(class, error) => {
                    if summary
                        .failure
                        .is_none_or(|(seen, _)| rank(*class) < rank(seen))
                    {
                        summary.failure = Some((*class, error));
                    }
                }
            }
        }
        summary
    }

    /// The class and the error that the task shows. A key locked until a date is preferred to a key that is
    /// refused.
    fn error(&self) -> Option<(ErrorClass, &'a str)> {
        match (self.lock, self.failure) {
            (Some((_, error)), None) => Some((ErrorClass::Blocked, error)),
            (Some((_, error)), Some((class, _))) if rank(class) >= rank(ErrorClass::Blocked) => {
                Some((ErrorClass::Blocked, error))
            }
            (_, failure) => failure,
        }
    }
}

/// The verdict of a task. The task is dead only if every remaining key can never succeed, or is still refused at
/// the last attempt. Otherwise it is tried again.
///
/// A key locked until a date never makes the task dead. The task is failed with class `blocked`, and is tried
/// again after that date or after a day, whichever comes first. If another key is refused without a date and
/// attempts are left, it is tried sooner. Each try still counts as an attempt. After the date, `max_attempts`
/// applies again. A legal hold has no date, so it is an ordinary refusal.
fn verdict(remaining: &[(String, Remains)], attempts: i32, policy: RetryPolicy) -> Verdict {
    let summary = Summary::of(remaining);
    let Some((class, error)) = summary.error() else {
        return if summary.not_asked {
            Verdict::RELEASED
        } else {
            Verdict::Completed
        };
    };
    let error = match remaining.len() {
        1 => error.to_owned(),
        total => format!("{error} ({total} objects remain)"),
    };
    if summary.not_asked || class == ErrorClass::Outage {
        return Verdict::Released {
            delay: Duration::ZERO,
            error: Some((class, error)),
        };
    }
    match summary.lock {
        Some((wait, _)) if class == ErrorClass::Blocked => {
            let refused = summary.failure.map(|(class, _)| class);
            let tried_sooner =
                refused == Some(ErrorClass::Blocked) && attempts < policy.max_attempts;
            let delay = if tried_sooner {
                policy.backoff.random_delay(attempts).min(wait)
            } else {
                wait
            };
            Verdict::Failed {
                delay,
                class,
                error,
            }
        }
        _ => Verdict::failed(class, error, attempts, policy),
    }
}

/// Orders failures: the one most likely to pass has the lowest rank, and the task shows that one.
const fn rank(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Outage => 0,
        ErrorClass::Throttle => 1,
        ErrorClass::Transient => 2,
        ErrorClass::Crash => 3,
        ErrorClass::Blocked => 4,
        ErrorClass::Permanent => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::backoff::Backoff;
    use crate::vocabulary::{TaskId, TaskKind};

    const POLICY: RetryPolicy = RetryPolicy {
        backoff: Backoff {
            base: Duration::from_secs(5),
            max: Duration::from_secs(3600),
        },
        max_attempts: 8,
    };

    fn verdict_of(attempts: i32, remaining: &[Remains]) -> Verdict {
        let remaining: Vec<(String, Remains)> = remaining
            .iter()
            .map(|remains| ("key".to_owned(), remains.clone()))
            .collect();
        verdict(&remaining, attempts, POLICY)
    }

    fn claim(kind: TaskKind, keys: &[&str]) -> Claim {
        Claim {
            id: TaskId(1),
            kind,
            lane: 0,
            entity_id: String::new(),
            user_id: "user_a".into(),
            object_keys: keys.iter().map(|&key| key.to_owned()).collect(),
            row_type: None,
            phase: None,
            attempts: 1,
            lease_token: 1,
            scheduled_at: chrono::DateTime::UNIX_EPOCH,
            parent_id: None,
            trace_parent: None,
            waited_seconds: 0.0,
        }
    }

    fn failed(class: ErrorClass) -> Remains {
        Remains::Failed(class, class.as_str().to_owned())
    }

    #[test]
    fn nothing_left_is_completed() {
        assert_eq!(verdict_of(1, &[]), Verdict::Completed);
    }

    #[test]
    fn a_task_that_was_not_worked_on_is_released_even_without_keys() {
        for claim in [
            claim(TaskKind::UserDelete, &[]),
            claim(TaskKind::SampleDelete, &["a"]),
        ] {
            let outcome = TaskOutcome::untouched(claim);
            assert_eq!(outcome.verdict, Verdict::RELEASED);
            assert_eq!(outcome.gone().count(), 0);
        }
    }

    #[test]
    fn a_crash_of_a_task_without_keys_gives_it_none() {
        let root = claim(TaskKind::UserDelete, &[]);
        let outcome = TaskOutcome::failed(root, ErrorClass::Crash, "the batch panicked", POLICY);
        assert!(matches!(outcome.verdict, Verdict::Failed { .. }));
        assert_eq!(outcome.remaining, []);
    }

    #[test]
    fn a_blocked_key_kills_only_at_the_last_attempt() {
        let blocked = [failed(ErrorClass::Blocked)];
        assert!(matches!(verdict_of(7, &blocked), Verdict::Failed { .. }));
        assert!(matches!(verdict_of(8, &blocked), Verdict::Dead { .. }));
    }

    #[test]
    fn throttling_and_transient_failures_never_kill() {
        for class in [ErrorClass::Throttle, ErrorClass::Transient] {
            let remaining = [failed(class), failed(ErrorClass::Blocked)];
            assert!(matches!(verdict_of(99, &remaining),
                Verdict::Failed { class: found, .. } if found == class));
        }
    }

    #[test]
    fn an_impossible_key_is_dead_at_once() {
        let remaining = [failed(ErrorClass::Permanent)];
        assert!(matches!(verdict_of(1, &remaining), Verdict::Dead { .. }));
    }

    #[test]
    fn an_outage_and_a_shutdown_give_the_attempt_back() {
        for remains in [failed(ErrorClass::Outage), Remains::NotAsked] {
            let remaining = [failed(ErrorClass::Blocked), remains];
            assert!(matches!(
                verdict_of(99, &remaining),
                Verdict::Released { .. }
            ));
        }
    }

    fn locked(wait_s: u64) -> Remains {
        Remains::Locked {
            wait: Duration::from_secs(wait_s),
            error: "locked".to_owned(),
        }
    }

    #[test]
    fn a_lock_with_a_date_waits_for_it_and_never_kills() {
        let remaining = [locked(7_200), locked(9_000), failed(ErrorClass::Permanent)];
        for attempts in [1, 8, 99] {
            let found = verdict_of(attempts, &remaining);
            let Verdict::Failed {
                delay,
                class,
                error,
            } = found
            else {
                panic!("{found:?}");
            };
            assert_eq!(delay, Duration::from_secs(7_200));
            assert_eq!(class, ErrorClass::Blocked);
            assert_eq!(error, "locked (3 objects remain)");
        }
    }

    #[test]
    fn other_keys_do_not_wait_for_a_lock_as_long_as_they_may_be_tried() {
        let delay = |attempts, class| {
            let remaining = [locked(80_000), failed(class)];
            match verdict_of(attempts, &remaining) {
                Verdict::Failed { delay, .. } => delay,
                other => panic!("{other:?}"),
            }
        };
        assert!(delay(3, ErrorClass::Blocked) <= POLICY.backoff.max);
        assert_eq!(delay(8, ErrorClass::Blocked), Duration::from_secs(80_000));
        assert!(delay(99, ErrorClass::Transient) <= POLICY.backoff.max);
        let remaining = [locked(80_000), failed(ErrorClass::Outage)];
        assert!(matches!(
            verdict_of(99, &remaining),
            Verdict::Released { .. }
        ));
    }

    #[test]
    fn the_wait_ends_a_little_after_the_date_and_within_a_day() {
        let now = DateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let wait = |ahead_s: i64| {
            let mut failure = Failure::new(ErrorClass::Blocked, "AccessDenied", "locked");
            failure.retry_at = Some(now + chrono::TimeDelta::seconds(ahead_s));
            lock_wait(&failure, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(3_600), Some(3_660));
        assert_eq!(wait(-10), Some(60));
        assert_eq!(wait(-901), None);
        assert_eq!(wait(10 * 365 * 86_400), Some(86_400));
        let undated = Failure::new(ErrorClass::Blocked, "AccessDenied", "no");
        assert_eq!(lock_wait(&undated, now), None);
    }
}

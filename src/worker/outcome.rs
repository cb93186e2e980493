//! From what became of each key to what becomes of the task. Pure.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::queue::ErrorClass;
use crate::queue::backoff::Backoff;
use crate::queue::claim::Claim;
use crate::queue::settle::Verdict;
use crate::storage::{Failure, FailureClass};

/// The longest wait for a lock's end. A lock may be lifted or shortened before its date, and somebody
/// should see that it is still there.
const LONGEST_LOCK_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// How far the clocks of a store and a worker may be apart: S3 refuses requests of clocks further off
/// (Amazon S3 API reference, "Error responses", RequestTimeTooSkewed). A lock is tried so often while it
/// may have ended by one of the two.
const CLOCK_SKEW: chrono::TimeDelta = chrono::TimeDelta::minutes(15);
const LOCK_MARGIN: Duration = Duration::from_secs(60);

/// A released task is taken up again by whoever is next, after so long.
const RELEASE_DELAY: Duration = Duration::ZERO;

/// Why a key remains.
#[derive(Clone, Debug, PartialEq)]
pub enum Remains {
    /// The store was not asked: a shutdown, or the lease ended.
    NotAsked,
    /// The store did not delete it.
    Failed(ErrorClass, String),
    /// The store keeps it until a known time, which is so far off.
    Locked { wait: Duration, error: String },
}

/// A claimed task after its objects were dealt with. Keys that stand in neither list are gone.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The task.
    pub claim: Claim,
    /// Keys that a live image names.
    pub kept: Vec<String>,
    /// Keys that are not known to be gone.
    pub remaining: Vec<(String, Remains)>,
}

impl Outcome {
    /// The keys that the store confirmed to be gone, in the task's order.
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

/// The class of the queue for a failure of the store.
pub const fn class_of(class: FailureClass) -> ErrorClass {
    match class {
        FailureClass::Transient => ErrorClass::Transient,
        FailureClass::Throttle => ErrorClass::Throttle,
        FailureClass::Outage => ErrorClass::Outage,
        FailureClass::Blocked => ErrorClass::Blocked,
        FailureClass::Permanent => ErrorClass::Permanent,
    }
}

/// How long a refused key is not worth a try, if the store named an end: to a little after the date, at
/// most a day. A date that is long past says nothing.
pub fn lock_wait(failure: &Failure, now: DateTime<Utc>) -> Option<Duration> {
    let ahead = failure.retry_at? - now;
    if failure.class != FailureClass::Blocked || ahead < -CLOCK_SKEW {
        return None;
    }
    let ahead = ahead.to_std().unwrap_or_default();
    Some((ahead + LOCK_MARGIN).min(LONGEST_LOCK_WAIT))
}

/// What becomes of the task. One key that may still succeed keeps it alive; only keys that cannot
/// succeed, or were refused to the last attempt, make it `dead`.
///
/// A lock with a date is no such refusal, however many attempts were made: the task is `failed`, class
/// `blocked`, and its next try is the date (or a day from now, if that is sooner). Its attempts are
/// counted as ever, so that it shows how often it was tried; once the date has passed, the usual limit
/// holds. A legal hold has no date, and is a refusal.
pub fn verdict(outcome: &Outcome, backoff: Backoff, max_attempts: i32) -> Verdict {
    let mut worst: Option<(ErrorClass, &str)> = None;
    let mut not_asked = false;
    let mut lock: Option<(Duration, &str)> = None;
    for (_, remains) in &outcome.remaining {
        match remains {
            Remains::NotAsked => not_asked = true,
            Remains::Locked { wait, error } => {
                if lock.is_none_or(|(shortest, _)| *wait < shortest) {
                    lock = Some((*wait, error));
                }
            }
            Remains::Failed(class, error) => {
                if worst.is_none_or(|(seen, _)| rank(*class) < rank(seen)) {
                    worst = Some((*class, error));
                }
            }
        }
    }
    let refused = worst.map(|(class, _)| class);
    // A key that waits for a date has more hope than one that is refused.
    if let Some((_, error)) = lock
        && refused.is_none_or(|class| rank(class) >= rank(ErrorClass::Blocked))
    {
        worst = Some((ErrorClass::Blocked, error));
    }
    let Some((class, error)) = worst else {
        return if not_asked {
            Verdict::Continued {
                delay: RELEASE_DELAY,
                error: None,
            }
        } else {
            Verdict::Completed
        };
    };
    let total = outcome.remaining.len();
    let error = if total > 1 {
        format!("{error} ({total} objects remain)")
    } else {
        error.to_owned()
    };
    let attempts = outcome.claim.attempts;
    match class {
        ErrorClass::Outage => Verdict::Continued {
            delay: RELEASE_DELAY,
            error: Some((class, error)),
        },
        _ if not_asked => Verdict::Continued {
            delay: RELEASE_DELAY,
            error: Some((class, error)),
        },
        ErrorClass::Blocked if let Some((wait, _)) = lock => {
            let tried_sooner = refused == Some(ErrorClass::Blocked) && attempts < max_attempts;
            let delay = if tried_sooner {
                backoff.random_delay(attempts).min(wait)
            } else {
                wait
            };
            Verdict::Failed {
                delay,
                class,
                error,
            }
        }
        ErrorClass::Permanent => Verdict::Dead { class, error },
        _ if class.can_kill() && attempts >= max_attempts => Verdict::Dead { class, error },
        _ => Verdict::Failed {
            delay: backoff.random_delay(attempts),
            class,
            error,
        },
    }
}

/// Which failure speaks for the task: the one with the most hope first.
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

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(5),
        max: Duration::from_secs(3600),
    };

    fn outcome(attempts: i32, remaining: &[Remains]) -> Outcome {
        let claim = Claim {
            id: 1,
            kind: "sample-delete".to_owned(),
            lane: 0,
            entity_id: String::new(),
            user_id: String::new(),
            object_keys: Vec::new(),
            attempts,
            lease_token: 1,
            scheduled_at: chrono::DateTime::UNIX_EPOCH,
            parent_id: None,
            waited_seconds: 0.0,
        };
        let remaining = remaining
            .iter()
            .map(|r| ("key".to_owned(), r.clone()))
            .collect();
        Outcome {
            claim,
            kept: Vec::new(),
            remaining,
        }
    }

    fn failed(class: ErrorClass) -> Remains {
        Remains::Failed(class, class.as_str().to_owned())
    }

    #[test]
    fn nothing_left_is_completed() {
        assert_eq!(verdict(&outcome(1, &[]), BACKOFF, 8), Verdict::Completed);
    }

    #[test]
    fn a_blocked_key_kills_only_at_the_last_attempt() {
        let blocked = [failed(ErrorClass::Blocked)];
        assert!(matches!(
            verdict(&outcome(7, &blocked), BACKOFF, 8),
            Verdict::Failed { .. }
        ));
        assert!(matches!(
            verdict(&outcome(8, &blocked), BACKOFF, 8),
            Verdict::Dead { .. }
        ));
    }

    #[test]
    fn throttling_and_transient_failures_never_kill() {
        for class in [ErrorClass::Throttle, ErrorClass::Transient] {
            let remaining = [failed(class), failed(ErrorClass::Blocked)];
            assert!(matches!(verdict(&outcome(99, &remaining), BACKOFF, 8),
                Verdict::Failed { class: found, .. } if found == class));
        }
    }

    #[test]
    fn an_impossible_key_is_dead_at_once() {
        let remaining = [failed(ErrorClass::Permanent)];
        assert!(matches!(
            verdict(&outcome(1, &remaining), BACKOFF, 8),
            Verdict::Dead { .. }
        ));
    }

    #[test]
    fn an_outage_and_a_shutdown_give_the_attempt_back() {
        for remains in [failed(ErrorClass::Outage), Remains::NotAsked] {
            let remaining = [failed(ErrorClass::Blocked), remains];
            assert!(matches!(
                verdict(&outcome(99, &remaining), BACKOFF, 8),
                Verdict::Continued { .. }
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
            let found = verdict(&outcome(attempts, &remaining), BACKOFF, 8);
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
            match verdict(&outcome(attempts, &remaining), BACKOFF, 8) {
                Verdict::Failed { delay, .. } => delay,
                other => panic!("{other:?}"),
            }
        };
        assert!(delay(3, ErrorClass::Blocked) <= BACKOFF.max);
        assert_eq!(delay(8, ErrorClass::Blocked), Duration::from_secs(80_000));
        assert!(delay(99, ErrorClass::Transient) <= BACKOFF.max);
        let remaining = [locked(80_000), failed(ErrorClass::Outage)];
        assert!(matches!(
            verdict(&outcome(99, &remaining), BACKOFF, 8),
            Verdict::Continued { .. }
        ));
    }

    #[test]
    fn the_wait_ends_a_little_after_the_date_and_within_a_day() {
        let now = DateTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let wait = |ahead_s: i64| {
            let mut failure = Failure::new(FailureClass::Blocked, "AccessDenied", "locked");
            failure.retry_at = Some(now + chrono::TimeDelta::seconds(ahead_s));
            lock_wait(&failure, now).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(3_600), Some(3_660));
        assert_eq!(wait(-10), Some(60));
        assert_eq!(wait(-901), None);
        assert_eq!(wait(10 * 365 * 86_400), Some(86_400));
        let undated = Failure::new(FailureClass::Blocked, "AccessDenied", "no");
        assert_eq!(lock_wait(&undated, now), None);
    }
}

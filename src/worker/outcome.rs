//! From what became of each key to what becomes of the task. Pure.

use std::collections::HashSet;
use std::time::Duration;

use crate::queue::ErrorClass;
use crate::queue::backoff::Backoff;
use crate::queue::claim::Claim;
use crate::queue::settle::Verdict;
use crate::storage::FailureClass;

/// A released task is taken up again by whoever is next, after so long.
const RELEASE_DELAY: Duration = Duration::ZERO;

/// Why a key remains.
#[derive(Clone, Debug, PartialEq)]
pub enum Remains {
    /// The store was not asked: a shutdown, or the lease ended.
    NotAsked,
    /// The store did not delete it.
    Failed(ErrorClass, String),
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

/// What becomes of the task. One key that may still succeed keeps it alive; only keys that cannot
/// succeed, or were refused to the last attempt, make it `dead`.
pub fn verdict(outcome: &Outcome, backoff: Backoff, max_attempts: i32) -> Verdict {
    let mut worst: Option<(ErrorClass, &str)> = None;
    let mut not_asked = false;
    for (_, remains) in &outcome.remaining {
        match remains {
            Remains::NotAsked => not_asked = true,
            Remains::Failed(class, error) => {
                if worst.is_none_or(|(seen, _)| rank(*class) < rank(seen)) {
                    worst = Some((*class, error));
                }
            }
        }
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
}

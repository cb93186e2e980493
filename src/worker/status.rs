//! What a worker reports of itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::map::drift::DriftState;
use crate::vocabulary::{UserId, WorkerProblem};

/// A worker whose every task failed for so long says that it makes no progress.
const NO_PROGRESS_LIMIT: Duration = Duration::from_secs(60);

/// What a worker reports of itself, for `/health/ready` and the metrics.
#[derive(Debug, Default)]
pub struct WorkerStatus {
    problem: Mutex<Option<WorkerProblem>>,
    /// Whether the database still fits the erasure map.
    pub drift: Arc<DriftState>,
    /// The failed tasks since a task last got on.
    failures: Mutex<Option<Failures>>,
}

/// Failed tasks among which no other got on.
#[derive(Debug)]
struct Failures {
    first: Instant,
    last: Instant,
    user: UserId,
    /// Whether they are of more than one user. What fails for one user only shows on that user's tasks.
    are_of_several: bool,
}

impl WorkerStatus {
    /// The status of a worker that stops claiming while the database does not fit the erasure map, as this says.
    #[must_use]
    pub fn of(drift: Arc<DriftState>) -> Self {
        Self {
            drift,
            ..Self::default()
        }
    }

    /// Why the worker does no work at the moment. None when it works.
    #[must_use]
    pub fn problem(&self) -> Option<WorkerProblem> {
        let problem = *self.problem.lock();
        problem.or_else(|| {
            self.is_stuck(Instant::now())
                .then_some(WorkerProblem::NoProgress)
        })
    }

    pub(super) fn report(&self, problem: Option<WorkerProblem>) {
        *self.problem.lock() = problem;
    }

    /// Takes note that tasks were settled: whether one of them got on, and the users of those that failed.
    pub(super) fn settled<'u>(&self, got_on: bool, failed: impl Iterator<Item = &'u UserId>) {
        if got_on {
            *self.failures.lock() = None;
            return;
        }
        for user in failed {
            self.failed(user, Instant::now());
        }
    }

    fn failed(&self, user: &UserId, now: Instant) {
        let mut failures = self.failures.lock();
        match failures.as_mut() {
            Some(failures) => {
                failures.last = now;
                failures.are_of_several |= failures.user != *user;
            }
            None => {
                *failures = Some(Failures {
                    first: now,
                    last: now,
                    user: user.clone(),
                    are_of_several: false,
                });
            }
        }
    }

    fn is_stuck(&self, now: Instant) -> bool {
        self.failures.lock().as_ref().is_some_and(|failures| {
            failures.are_of_several
                && now.duration_since(failures.first) > NO_PROGRESS_LIMIT
                && now.duration_since(failures.last) < NO_PROGRESS_LIMIT
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails a task of each of these users, and another one of the last user `later`. Whether the worker is stuck then.
    fn is_stuck_after(users: &[&str], later: Duration, now: Duration) -> bool {
        let status = WorkerStatus::default();
        let begun = Instant::now();
        let user = |user: &str| UserId::from(user.to_owned());
        for id in users {
            status.failed(&user(id), begun);
        }
        status.failed(&user(users.last().unwrap()), begun + later);
        status.is_stuck(begun + now)
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn tasks_of_several_users_that_fail_for_more_than_a_minute_are_no_progress() {
        let users = ["user_a", "user_b"];
        assert!(is_stuck_after(&users, seconds(50), seconds(61)));
        assert!(!is_stuck_after(&users, seconds(50), seconds(60)), "early");
        // Nothing was tried lately.
        assert!(!is_stuck_after(&users, seconds(50), seconds(111)), "stale");
    }

    #[test]
    fn the_tasks_of_one_user_are_that_users_trouble() {
        assert!(!is_stuck_after(&["user_a"], seconds(50), seconds(61)));
    }
}

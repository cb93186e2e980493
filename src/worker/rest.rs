//! The verdict of a task whose keys were all answered for, from what is left of its rows.

use std::collections::HashMap;
use std::time::Duration;

use super::decide::TaskOutcome;
use crate::deletion::remove::{RemovedRows, Rest, TaskRest};
use crate::queue::backoff::RetryPolicy;
use crate::queue::settle::Verdict;
use crate::vocabulary::{ErrorClass, TaskId};

/// How long an erasure sleeps while its parts work. The last part wakes it earlier.
const PARTS_WAIT: Duration = Duration::from_secs(60);

/// A task as it was committed.
#[derive(Debug)]
pub struct SettledTask {
    /// Its verdict is the one that was written.
    pub outcome: TaskOutcome,
    pub removed: RemovedRows,
    /// It runs alone from now on, because its rows are slow or held.
    pub to_bulk: bool,
}

/// Joins the outcomes with what is left of their rows.
pub fn settled_tasks(
    outcomes: &[&TaskOutcome],
    rests: Vec<TaskRest>,
    policy: RetryPolicy,
) -> Vec<SettledTask> {
    let mut rests: HashMap<TaskId, TaskRest> =
        rests.into_iter().map(|rest| (rest.task, rest)).collect();
    outcomes
        .iter()
        .filter_map(|outcome| {
            let rest = rests.remove(&outcome.claim.id)?;
            let mut outcome = (*outcome).clone();
            outcome.verdict = verdict(&rest.rest, outcome.claim.attempts, policy);
            Some(SettledTask {
                outcome,
                removed: rest.removed,
                to_bulk: matches!(rest.rest, Rest::Held(_)),
            })
        })
        .collect()
}

/// The verdict of a task of which this is left.
pub fn verdict(rest: &Rest, attempts: i32, policy: RetryPolicy) -> Verdict {
    match rest {
        Rest::Nothing => Verdict::Completed,
        Rest::More => Verdict::RELEASED,
        Rest::Parts => Verdict::Released {
            delay: PARTS_WAIT,
            error: None,
        },
        Rest::Held(table) => Verdict::failed(
            ErrorClass::Transient,
            format!("another transaction holds a row of {table}, or added one"),
            attempts,
            policy,
        ),
        Rest::Stays(table) => Verdict::failed(
            ErrorClass::Blocked,
            format!(
                "a row of {table} is still there, though nothing refused its DELETE and nobody holds it: \
                 a trigger or a policy of the application keeps it"
            ),
            attempts,
            policy,
        ),
    }
}

//! What must always hold, and what must be seen at least once.

use stateright::Property;

use super::Lethe;
use super::design::Limits;
use super::state::{Fate, Phase, Restore, State, Status, Task};

pub const OBJECTS_FIRST: &str = "rows go only when their object is gone";
pub const ONE_HOLDER: &str = "the fence accepts one holder of a task at most";
pub const STALE_WRITE: &str = "a claim that another replaced changes nothing";
pub const ENDED_ONCE: &str = "a claim ends once at most";
pub const NOT_ASKED_LATE: &str = "the store is not asked for a claim that is over";
pub const RESTORED_LIVES: &str = "a restored sample keeps its object";
pub const ATTEMPTS: &str = "attempts go down only when the holder gives its claim back";
pub const FORWARD: &str = "tokens only grow, and a final status stays";
pub const LOST_STAYS_LOST: &str = "a lost worker renews nothing";
pub const DONE_IS_PROVED: &str = "completed means that object and rows are gone";
pub const NOTHING_LOST: &str = "when nothing is left to happen, every task has ended";

pub fn always() -> Vec<Property<Lethe>> {
    vec![
        Property::always(OBJECTS_FIRST, |_, state: &State| {
            all(state, |index, task| {
                task.rows_exist || !task.object_exists || state.is_named_by_another(index)
            })
        }),
        Property::always(ONE_HOLDER, |lethe: &Lethe, state: &State| {
            (0..state.tasks.len()).all(|task| holders(lethe, state, task) <= 1)
        }),
        Property::always(STALE_WRITE, |_, state: &State| !state.seen.stale_write),
        Property::always(ENDED_ONCE, |_, state: &State| !state.seen.ended_twice),
        Property::always(NOT_ASKED_LATE, |_, state: &State| {
            !state.seen.asked_after_end
        }),
        Property::always(RESTORED_LIVES, |_, state: &State| {
            each(state, |task| {
                task.restore != Restore::Done || (task.object_exists && task.rows_exist)
            })
        }),
        Property::always(ATTEMPTS, |_, state: &State| !state.seen.attempts_lost),
        Property::always(FORWARD, |_, state: &State| !state.seen.went_back),
        Property::always(LOST_STAYS_LOST, |_, state: &State| !state.seen.revived),
        Property::always(DONE_IS_PROVED, |_, state: &State| {
            all(state, |index, task| {
                let object_is_left = task.object_exists && !state.is_named_by_another(index);
                task.status != Status::Completed || !(object_is_left || task.rows_exist)
            })
        }),
        Property::always(NOTHING_LOST, |lethe: &Lethe, state: &State| {
            !lethe.is_at_rest(state) || state.is_over()
        }),
    ]
}

/// Without these the rest would hold for a model in which nothing happens.
pub fn sometimes(limits: &Limits) -> Vec<Property<Lethe>> {
    if limits.shared_key {
        return sometimes_of_one_key();
    }
    vec![
        Property::sometimes("a task is completed", |_, state: &State| {
            any(state, |task| task.status == Status::Completed)
        }),
        Property::sometimes("a task is dead", |_, state: &State| {
            any(state, |task| task.status == Status::Dead)
        }),
        Property::sometimes("a sample is restored", |_, state: &State| {
            any(state, |task| {
                task.status == Status::Cancelled && task.restore == Restore::Done
            })
        }),
        Property::sometimes("a task is rescued", |_, state: &State| {
            any(state, |task| task.status == Status::Failed && task.crashed)
        }),
        Property::sometimes("a rescued task is completed", |_, state: &State| {
            any(state, |task| {
                task.status == Status::Completed && task.attempts > 1
            })
        }),
        Property::sometimes(
            "a process that still runs has lost its lease",
            |_, state: &State| {
                state
                    .workers
                    .iter()
                    .enumerate()
                    .any(|(worker, process)| process.up && state.row((worker, process.boot)).lost)
            },
        ),
        Property::sometimes(
            "a worker goes on under a new id with an old claim",
            |_, state: &State| {
                let jobs = state.workers.iter().filter_map(|w| Some((w.boot, w.job?)));
                jobs.into_iter().any(|(boot, job)| job.boot < boot)
            },
        ),
        Property::sometimes(
            "the fence refuses a claim that another replaced",
            |lethe: &Lethe, state: &State| {
                state
                    .workers
                    .iter()
                    .filter_map(|worker| worker.job)
                    .any(|job| {
                        matches!(job.phase, Phase::Over(_))
                            && job.token < state.tasks[job.task].token
                            && !state.fence_accepts(&lethe.design, &job)
                    })
            },
        ),
        Property::sometimes(
            "the fence refuses a settle whose commit was not heard of",
            |lethe: &Lethe, state: &State| {
                state
                    .workers
                    .iter()
                    .filter_map(|worker| worker.job)
                    .any(|job| {
                        let task = &state.tasks[job.task];
                        job.token == task.token
                            && task.status == Status::Completed
                            && !state.fence_accepts(&lethe.design, &job)
                    })
            },
        ),
        Property::sometimes("a settle meets a held row", |_, state: &State| {
            is_over_with(state, Fate::Held)
        }),
        Property::sometimes("a late request meets a later claim", |_, state: &State| {
            any(state, |task| {
                task.late_request && task.token > 1 && task.status == Status::Running
            })
        }),
    ]
}

/// What must be seen where two samples share a key.
fn sometimes_of_one_key() -> Vec<Property<Lethe>> {
    vec![
        Property::sometimes("a key is kept for another sample", |_, state: &State| {
            is_over_with(state, Fate::Kept)
        }),
        Property::sometimes("both samples go, and the object with them", |_, state| {
            each(state, |task| task.status == Status::Completed)
        }),
        Property::sometimes(
            "one sample is restored and the other goes",
            |_, state: &State| {
                any(state, |task| task.restore == Restore::Done)
                    && any(state, |task| task.status == Status::Completed)
            },
        ),
    ]
}

fn is_over_with(state: &State, fate: Fate) -> bool {
    let mut jobs = state.workers.iter().filter_map(|worker| worker.job);
    jobs.any(|job| job.phase == Phase::Over(fate))
}

fn each(state: &State, holds: impl Fn(&Task) -> bool) -> bool {
    state.tasks.iter().all(holds)
}

fn all(state: &State, holds: impl Fn(usize, &Task) -> bool) -> bool {
    let mut tasks = state.tasks.iter().enumerate();
    tasks.all(|(index, task)| holds(index, task))
}

fn any(state: &State, holds: impl Fn(&Task) -> bool) -> bool {
    state.tasks.iter().any(holds)
}

fn holders(lethe: &Lethe, state: &State, task: usize) -> usize {
    let jobs = state.workers.iter().filter_map(|worker| worker.job);
    jobs.filter(|job| job.task == task && state.fence_accepts(&lethe.design, job))
        .count()
}

//! What can happen next, and what it changes. A statement or a transaction of the database is one step.

use super::design::{Design, Expiry, LEASE_TICKS, Limits, SKEW_TICKS};
use super::state::{Beat, Fate, Job, Phase, Restore, Row, State, Status, Task};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A tick passes; the clock of one worker may miss it.
    Tick {
        missed_by: Option<usize>,
    },
    /// The heartbeat renews the worker's row (`heartbeat.sql`).
    Beat(usize),
    /// The heartbeat's answer comes. If the row is lost, the worker re-registers under a new id.
    ReceiveAnswer(usize),
    /// `claim.sql`; the worker may not hear that it has claimed.
    Claim {
        worker: usize,
        task: usize,
        heard: bool,
    },
    /// The job asks the database which keys are live (`protected_keys.sql`).
    AskDatabase(usize),
    /// The job sends DeleteObjects.
    AskStore(usize),
    /// The request takes effect.
    StoreDeletes(usize),
    /// The store says that the object is gone.
    StoreAnswers(usize),
    /// The store refuses, or says nothing in time; the request may take effect later.
    StoreRefuses(usize),
    /// The lease is over: nothing more is asked, and nobody waits for what is on its way.
    StopAsking(usize),
    /// A request that nobody waits for takes effect.
    LateDelete {
        task: usize,
    },
    /// The transaction of the settle; the worker may not hear that it was committed, and tries again.
    Settle {
        worker: usize,
        heard: bool,
    },
    /// The settle finds that another transaction holds a row.
    MeetHeldRow(usize),
    /// Rows whose lease is over are lost (`heartbeat.sql`).
    MarkLost {
        rescuer: usize,
    },
    /// A lost worker's task is taken from it (`lost_tasks.sql`, `rescue.sql`).
    Rescue {
        rescuer: usize,
        task: usize,
    },
    /// A worker gives back a task that its row holds and that it knows nothing of.
    ReleaseStray {
        worker: usize,
        task: usize,
    },
    Crash(usize),
    /// The process starts again, under a new id.
    Restart(usize),
    /// A restore looks at the task, and locks it.
    BeginRestore {
        task: usize,
    },
    CommitRestore {
        task: usize,
    },
}

const WORKERS: [usize; 2] = [0, 1];

/// What will happen by itself, sooner or later, unless something else comes before it.
pub fn due(design: &Design, state: &State, steps: &mut Vec<Step>) {
    for (index, task) in state.tasks.iter().enumerate() {
        if task.late_request {
            steps.push(Step::LateDelete { task: index });
        }
        if task.restore == Restore::Open {
            steps.push(Step::CommitRestore { task: index });
        }
    }
    for worker in WORKERS {
        due_of_worker(design, state, worker, steps);
    }
    // Only the time itself is left to wait for: a row that nobody renews any more must expire.
    if steps.is_empty() && awaits_expiry(state) {
        steps.push(Step::Tick { missed_by: None });
    }
    for worker in WORKERS {
        let process = &state.workers[worker];
        if !process.up {
            continue;
        }
        let row = state.row((worker, process.boot));
        if process.beat.is_some() {
            steps.push(Step::ReceiveAnswer(worker));
        } else if row.lost || row.expires_in < LEASE_TICKS || process.lease_left < LEASE_TICKS {
            steps.push(Step::Beat(worker));
        }
    }
}

fn due_of_worker(design: &Design, state: &State, worker: usize, steps: &mut Vec<Step>) {
    let process = &state.workers[worker];
    if !process.up {
        return steps.push(Step::Restart(worker));
    }
    if let Some(Phase::Asked(false)) = process.job.map(|job| job.phase) {
        steps.push(Step::StoreDeletes(worker));
    }
    if let Some(job) = process.job {
        due_of_job(design, state, worker, &job, steps);
    }
    if !process.lease_is_usable(design) {
        return;
    }
    if state
        .rows
        .iter()
        .flatten()
        .any(|row| is_expired(design, worker, row))
    {
        steps.push(Step::MarkLost { rescuer: worker });
    }
    for task in 0..state.tasks.len() {
        if process.job.is_none() && can_claim(design, state, worker, task) {
            steps.push(Step::Claim {
                worker,
                task,
                heard: true,
            });
        }
        let running = &state.tasks[task];
        let Some(owner) = running.owner else { continue };
        if state.row(owner).lost {
            steps.push(Step::Rescue {
                rescuer: worker,
                task,
            });
        }
        if design.releases_strays && is_stray(state, worker, task) {
            steps.push(Step::ReleaseStray { worker, task });
        }
    }
}

fn due_of_job(design: &Design, state: &State, worker: usize, job: &Job, steps: &mut Vec<Step>) {
    let process = &state.workers[worker];
    let may_ask = process.job_may_ask(design, &begun(design, process.boot, *job));
    match job.phase {
        Phase::Claimed if may_ask => steps.push(Step::AskDatabase(worker)),
        Phase::Unprotected if may_ask => steps.push(Step::AskStore(worker)),
        Phase::Asked(true) => steps.push(Step::StoreAnswers(worker)),
        Phase::Over(_) => steps.push(Step::Settle {
            worker,
            heard: true,
        }),
        _ => {}
    }
    if !may_ask && !matches!(job.phase, Phase::Over(_)) {
        steps.push(Step::StopAsking(worker));
    }
}

/// What a user, chance or the machine may do.
pub fn possible(design: &Design, state: &State, steps: &mut Vec<Step>) {
    if state.tasks[0].restore == Restore::NotAsked && is_untouched(&state.tasks[0]) {
        steps.push(Step::BeginRestore { task: 0 });
    }
    if state.ticks_left > 0 {
        steps.push(Step::Tick { missed_by: None });
    }
    if state.faults_left == 0 {
        return;
    }
    for worker in WORKERS {
        let process = &state.workers[worker];
        if !process.up {
            continue;
        }
        steps.push(Step::Crash(worker));
        if state.stall_left && state.ticks_left > 0 {
            steps.push(Step::Tick {
                missed_by: Some(worker),
            });
        }
        match process.job.map(|job| job.phase) {
            Some(Phase::Asked(_)) => steps.push(Step::StoreRefuses(worker)),
            Some(Phase::Over(fate)) => {
                steps.push(Step::Settle {
                    worker,
                    heard: false,
                });
                if fate == Fate::Gone {
                    steps.push(Step::MeetHeldRow(worker));
                }
            }
            Some(_) => {}
            None => {
                for task in 0..state.tasks.len() {
                    if can_claim(design, state, worker, task) {
                        steps.push(Step::Claim {
                            worker,
                            task,
                            heard: false,
                        });
                        // The claimer does not look at its own lease; the database does.
                        if !process.lease_is_usable(design) {
                            steps.push(Step::Claim {
                                worker,
                                task,
                                heard: true,
                            });
                        }
                    }
                }
            }
        }
    }
}

/// The state after a step.
pub fn after(design: &Design, limits: &Limits, before: &State, step: Step) -> State {
    let mut state = before.clone();
    if is_fault(design, before, step) {
        state.faults_left -= 1;
    }
    match step {
        Step::Tick { missed_by } => tick(&mut state, missed_by),
        Step::Beat(worker) => beat(design, &mut state, worker),
        Step::ReceiveAnswer(worker) => receive_answer(design, &mut state, worker),
        Step::Claim {
            worker,
            task,
            heard,
        } => claim(&mut state, worker, task, heard),
        Step::AskDatabase(worker) => ask_database(design, &mut state, worker),
        Step::AskStore(worker) => ask_store(&mut state, worker),
        Step::StoreDeletes(worker) => {
            let task = job(&state, worker).task;
            state.delete_object(task);
            set_phase(&mut state, worker, Phase::Asked(true));
        }
        Step::StoreAnswers(worker) => set_phase(&mut state, worker, Phase::Over(Fate::Gone)),
        Step::StoreRefuses(worker) => abandon(&mut state, worker, Fate::Refused),
        Step::StopAsking(worker) => abandon(&mut state, worker, Fate::NotAsked),
        Step::LateDelete { task } => {
            state.delete_object(task);
            state.tasks[task].late_request = false;
        }
        Step::Settle { worker, heard } => settle(design, limits, &mut state, worker, heard),
        Step::MeetHeldRow(worker) => set_phase(&mut state, worker, Phase::Over(Fate::Held)),
        Step::MarkLost { rescuer } => {
            for row in state.rows.iter_mut().flatten() {
                if is_expired(design, rescuer, row) {
                    *row = Row::LOST;
                }
            }
        }
        Step::Rescue { task, .. } => {
            let task = &mut state.tasks[task];
            let last = task.attempts >= limits.max_attempts;
            end(task, if last { Status::Dead } else { Status::Failed });
            task.crashed = true;
        }
        Step::ReleaseStray { task, .. } => release(&mut state.tasks[task]),
        Step::Crash(worker) => crash(&mut state, worker),
        Step::Restart(worker) => {
            state.workers[worker].up = true;
            register(&mut state, worker);
        }
        Step::BeginRestore { task } => state.tasks[task].restore = Restore::Open,
        Step::CommitRestore { task } => {
            let task = &mut state.tasks[task];
            if is_untouched(task) {
                task.status = Status::Cancelled;
            }
            task.restore = Restore::Done;
        }
    }
    watch(before, step, &mut state);
    forget_rows(&mut state);
    state
}

fn is_fault(design: &Design, state: &State, step: Step) -> bool {
    match step {
        Step::Tick { missed_by } => missed_by.is_some(),
        Step::Claim { worker, heard, .. } => {
            !heard || !state.workers[worker].lease_is_usable(design)
        }
        Step::Settle { heard, .. } => !heard,
        Step::StoreRefuses(_) | Step::MeetHeldRow(_) | Step::Crash(_) => true,
        _ => false,
    }
}

fn is_untouched(task: &Task) -> bool {
    task.status == Status::Pending && task.token == 0
}

fn is_expired(design: &Design, rescuer: usize, row: &Row) -> bool {
    let ahead = match design.expiry {
        Expiry::Database => 0,
        Expiry::Rescuer => SKEW_TICKS[rescuer],
    };
    !row.lost && row.expires_in - ahead <= 0
}

/// A locked row is skipped.
fn can_claim(design: &Design, state: &State, worker: usize, task: usize) -> bool {
    let row = state.row((worker, state.workers[worker].boot));
    let task = &state.tasks[task];
    if design.restore_locks && task.restore == Restore::Open {
        return false;
    }
    !row.lost && row.expires_in > 0 && matches!(task.status, Status::Pending | Status::Failed)
}

/// A task that this worker's row holds, and of which the worker knows nothing.
fn is_stray(state: &State, worker: usize, task: usize) -> bool {
    state.tasks[task].owner == Some((worker, state.workers[worker].boot))
        && !state.holds(worker, task)
}

/// A task is held by a row that is neither lost nor renewed by anybody.
fn awaits_expiry(state: &State) -> bool {
    state
        .tasks
        .iter()
        .filter_map(|task| task.owner)
        .any(|owner| {
            let row = state.row(owner);
            let (worker, boot) = owner;
            let renewed = state.workers[worker].up && state.workers[worker].boot == boot;
            !row.lost && row.expires_in > 0 && !renewed
        })
}

fn tick(state: &mut State, missed_by: Option<usize>) {
    state.ticks_left = state.ticks_left.saturating_sub(1);
    for row in state.rows.iter_mut().flatten() {
        row.expires_in = (row.expires_in - 1).max(0);
    }
    for (index, process) in state.workers.iter_mut().enumerate() {
        if missed_by == Some(index) {
            state.stall_left = false;
            continue;
        }
        process.lease_left = (process.lease_left - 1).max(0);
        if let Some(beat) = &mut process.beat {
            beat.age = (beat.age + 1).min(LEASE_TICKS);
        }
    }
}

fn beat(design: &Design, state: &mut State, worker: usize) {
    let boot = state.workers[worker].boot;
    let row = &mut state.rows[worker][boot];
    let renewed = !(row.lost && design.lost_stays_lost);
    if renewed {
        *row = Row::NEW;
    }
    state.workers[worker].beat = Some(Beat { renewed, age: 0 });
}

fn receive_answer(design: &Design, state: &mut State, worker: usize) {
    match state.workers[worker].beat.take() {
        Some(beat) if beat.renewed => {
            let age = if design.counts_from_sending {
                beat.age
            } else {
                0
            };
            state.workers[worker].lease_left = LEASE_TICKS - age;
        }
        Some(_) => register(state, worker),
        None => {}
    }
}

/// Rows of earlier boots that hold nothing are all the same: nobody will ever look at them again.
fn forget_rows(state: &mut State) {
    for worker in WORKERS {
        for boot in 0..state.workers[worker].boot {
            if state
                .tasks
                .iter()
                .all(|task| task.owner != Some((worker, boot)))
            {
                state.rows[worker][boot] = Row::LOST;
            }
        }
    }
}

fn register(state: &mut State, worker: usize) {
    state.rows[worker].push(Row::NEW);
    state.workers[worker].boot = state.rows[worker].len() - 1;
    state.workers[worker].lease_left = LEASE_TICKS;
}

fn claim(state: &mut State, worker: usize, index: usize, heard: bool) {
    let boot = state.workers[worker].boot;
    let task = &mut state.tasks[index];
    task.status = Status::Running;
    task.owner = Some((worker, boot));
    task.token += 1;
    task.attempts += 1;
    if heard {
        state.workers[worker].job = Some(Job {
            task: index,
            token: task.token,
            boot,
            phase: Phase::Claimed,
        });
    }
}

/// The job as it is when it begins.
fn begun(design: &Design, boot: usize, mut job: Job) -> Job {
    if job.phase == Phase::Claimed && !design.keeps_claims_lease {
        job.boot = boot;
    }
    job
}

fn ask_database(design: &Design, state: &mut State, worker: usize) {
    let mut job = begun(design, state.workers[worker].boot, job(state, worker));
    let protected = design.restorable_protects && is_protected(state, job.task);
    let task = &mut state.tasks[job.task];
    job.phase = if task.restore == Restore::Done || protected {
        Phase::Over(Fate::Kept)
    } else {
        Phase::Unprotected
    };
    if !design.objects_first && task.restore != Restore::Done {
        task.rows_exist = false;
    }
    state.workers[worker].job = Some(job);
}

/// A sample that is live again, or that a restore would bring back, names the same key.
fn is_protected(state: &State, of: usize) -> bool {
    let mut others = state.tasks.iter().enumerate();
    state.shared_key
        && others.any(|(index, task)| {
            index != of && (is_untouched(task) || task.restore == Restore::Done)
        })
}

fn ask_store(state: &mut State, worker: usize) {
    if !state.is_live(&job(state, worker)) {
        state.seen.asked_after_end = true;
    }
    set_phase(state, worker, Phase::Asked(false));
}

fn abandon(state: &mut State, worker: usize, fate: Fate) {
    let job = job(state, worker);
    if job.phase == Phase::Asked(false) {
        state.tasks[job.task].late_request = true;
    }
    set_phase(state, worker, Phase::Over(fate));
}

fn settle(design: &Design, limits: &Limits, state: &mut State, worker: usize, heard: bool) {
    let job = job(state, worker);
    if state.fence_accepts(design, &job)
        && let Phase::Over(fate) = job.phase
    {
        let task = &mut state.tasks[job.task];
        match fate {
            Fate::Gone => {
                // A hard delete takes only what is soft-deleted.
                task.rows_exist &= task.restore == Restore::Done;
                end(task, Status::Completed);
                task.crashed = false;
            }
            // The rows of a sample that is live again stay with their object.
            Fate::Kept => {
                task.rows_exist &= task.restore == Restore::Done;
                end(task, Status::Completed);
            }
            Fate::Held if design.held_rows_fail => {
                end(task, Status::Failed);
                task.crashed = false;
            }
            Fate::Held => end(task, Status::Completed),
            Fate::NotAsked => release(task),
            Fate::Refused => {
                let last = task.attempts >= limits.max_attempts;
                end(task, if last { Status::Dead } else { Status::Failed });
                task.crashed = false;
            }
        }
    }
    if heard {
        state.workers[worker].job = None;
    }
}

fn end(task: &mut Task, status: Status) {
    task.status = status;
    task.owner = None;
}

fn release(task: &mut Task) {
    end(task, Status::Pending);
    task.attempts = task.attempts.saturating_sub(1);
}

fn crash(state: &mut State, worker: usize) {
    if let Some(job) = state.workers[worker].job
        && job.phase == Phase::Asked(false)
    {
        state.tasks[job.task].late_request = true;
    }
    let process = &mut state.workers[worker];
    process.up = false;
    process.lease_left = 0;
    process.beat = None;
    process.job = None;
}

fn job(state: &State, worker: usize) -> Job {
    state.workers[worker]
        .job
        .expect("only a worker with a job takes this step")
}

fn set_phase(state: &mut State, worker: usize, phase: Phase) {
    let job = job(state, worker);
    state.workers[worker].job = Some(Job { phase, ..job });
}

/// Compares before and after, whatever rules the design has.
fn watch(before: &State, step: Step, state: &mut State) {
    for (index, (old, new)) in before.tasks.iter().zip(&state.tasks).enumerate() {
        if let Step::Settle { worker, .. } = step
            && let Some(job) = before.workers[worker].job.filter(|job| job.task == index)
            && old != new
        {
            state.seen.stale_write |= job.token < old.token;
            state.seen.ended_twice |= job.token == old.token && old.status != Status::Running;
        }
        let released = match step {
            Step::Settle { worker, .. } => before.holds(worker, index),
            Step::ReleaseStray { worker, task } => task == index && is_stray(before, worker, task),
            _ => false,
        };
        state.seen.attempts_lost |= new.attempts < old.attempts && !released;
        state.seen.went_back |=
            new.token < old.token || (old.status.is_final() && new.status != old.status);
    }
    for (old, new) in before.rows.iter().zip(&state.rows) {
        let mut rows = old.iter().zip(new);
        state.seen.revived |= rows.any(|(old, new)| old.lost && old != new);
    }
}

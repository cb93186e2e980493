//! The database, the store, and what each worker's process knows.

use stateright::Representative;

use super::design::{Design, Fence, LEASE_TICKS, Limits};

/// A worker's row: which worker, and which of its boots.
pub type Id = (usize, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    Pending,
    Running,
    Failed,
    Completed,
    Dead,
    Cancelled,
}

impl Status {
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Dead | Self::Cancelled)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restore {
    NotAsked,
    /// The transaction has looked at the task and found it untouched.
    Open,
    Done,
}

/// A task, its sample's rows and its one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub status: Status,
    pub owner: Option<Id>,
    pub token: u8,
    pub attempts: u8,
    /// `error_class = 'crash'`.
    pub crashed: bool,
    pub rows_exist: bool,
    pub restore: Restore,
    pub object_exists: bool,
    /// A request that nobody waits for any more may still take effect.
    pub late_request: bool,
}

/// A row of `cleanup_workers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row {
    /// `expires_at` less the database's now; over at 0.
    pub expires_in: i8,
    pub lost: bool,
}

impl Row {
    pub const NEW: Self = Self {
        expires_in: LEASE_TICKS,
        lost: false,
    };
    pub const LOST: Self = Self {
        expires_in: 0,
        lost: true,
    };
}

/// What became of a task's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fate {
    Gone,
    /// A live image names it.
    Kept,
    NotAsked,
    Refused,
    /// The object is gone, and another transaction holds a row.
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    Claimed,
    /// The database said that no live image names the key.
    Unprotected,
    /// A request is on its way; whether it has taken effect.
    Asked(bool),
    /// To be settled.
    Over(Fate),
}

/// A claim in the hands of a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Job {
    pub task: usize,
    pub token: u8,
    /// The boot whose lease the job looks at.
    pub boot: usize,
    pub phase: Phase,
}

/// A beat whose answer is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Beat {
    pub renewed: bool,
    /// Ticks since it was sent, by the worker's clock.
    pub age: i8,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker {
    pub up: bool,
    /// Its row is this one.
    pub boot: usize,
    /// For how long its lease stands, by its own monotonic clock.
    pub lease_left: i8,
    pub beat: Option<Beat>,
    pub job: Option<Job>,
}

impl Worker {
    pub const fn lease_is_usable(&self, design: &Design) -> bool {
        self.lease_left > design.margin_ticks
    }

    /// The lease of an earlier boot ended before the new row was written.
    pub fn job_may_ask(&self, design: &Design, job: &Job) -> bool {
        job.boot == self.boot && self.lease_is_usable(design)
    }
}

/// What an onlooker who sees everything has seen go wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// A write for a claim that a later claim replaced changed the task.
    pub stale_write: bool,
    /// A claim that had ended was ended again.
    pub ended_twice: bool,
    /// The store was asked for a claim that was over.
    pub asked_after_end: bool,
    /// `attempts` went down, and not by the holder's release.
    pub attempts_lost: bool,
    /// A token went down, or a final status was left.
    pub went_back: bool,
    /// A lost row was renewed.
    pub revived: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub tasks: Vec<Task>,
    pub rows: [Vec<Row>; 2],
    pub workers: [Worker; 2],
    pub ticks_left: u8,
    pub faults_left: u8,
    /// A worker's clock may fall behind by the margin, and no more.
    pub stall_left: bool,
    /// One object for all tasks.
    pub shared_key: bool,
    pub seen: Seen,
}

impl State {
    pub fn new(limits: &Limits) -> Self {
        let task = Task {
            status: Status::Pending,
            owner: None,
            token: 0,
            attempts: 0,
            crashed: false,
            rows_exist: true,
            restore: Restore::NotAsked,
            object_exists: true,
            late_request: false,
        };
        let worker = Worker {
            up: true,
            boot: 0,
            lease_left: LEASE_TICKS,
            beat: None,
            job: None,
        };
        Self {
            tasks: vec![task; limits.tasks],
            rows: [vec![Row::NEW], vec![Row::NEW]],
            workers: [worker.clone(), worker],
            ticks_left: limits.ticks,
            faults_left: limits.faults,
            stall_left: true,
            shared_key: limits.shared_key,
            seen: Seen::default(),
        }
    }

    /// The store deletes the object of a task, and with it that of every task of the same key.
    pub fn delete_object(&mut self, of: usize) {
        for (index, task) in self.tasks.iter_mut().enumerate() {
            task.object_exists &= index != of && !self.shared_key;
        }
    }

    /// Whether the rows of another sample name the object of this task.
    pub fn is_named_by_another(&self, of: usize) -> bool {
        let mut others = self.tasks.iter().enumerate();
        self.shared_key && others.any(|(index, task)| index != of && task.rows_exist)
    }

    pub fn row(&self, (worker, boot): Id) -> Row {
        self.rows[worker][boot]
    }

    /// Whether the database would let this job end its claim.
    pub fn fence_accepts(&self, design: &Design, job: &Job) -> bool {
        let task = &self.tasks[job.task];
        match design.fence {
            Fence::Token => task.status == Status::Running && task.token == job.token,
            Fence::Status => task.status == Status::Running,
            Fence::Nothing => true,
        }
    }

    /// Whether the job's claim is the task's present one, whatever the fence looks at.
    pub fn is_live(&self, job: &Job) -> bool {
        let task = &self.tasks[job.task];
        task.status == Status::Running && task.token == job.token
    }

    pub fn holds(&self, worker: usize, task: usize) -> bool {
        self.workers[worker]
            .job
            .is_some_and(|job| job.task == task && self.is_live(&job))
    }

    /// Every task has ended, and nobody holds or awaits anything.
    pub fn is_over(&self) -> bool {
        self.workers.iter().all(|worker| worker.job.is_none())
            && self.tasks.iter().all(|task| {
                task.status.is_final() && !task.late_request && task.restore != Restore::Open
            })
    }
}

/// The two workers do the same things, so a state and its mirror image are explored as one.
impl Representative for State {
    fn representative(&self) -> Self {
        let mut state = self.clone();
        let [first, second] = [0, 1].map(|worker| (&self.workers[worker], &self.rows[worker]));
        if second < first {
            state.workers.swap(0, 1);
            state.rows.swap(0, 1);
            for (worker, _) in state
                .tasks
                .iter_mut()
                .filter_map(|task| task.owner.as_mut())
            {
                *worker = 1 - *worker;
            }
        }
        state
    }
}

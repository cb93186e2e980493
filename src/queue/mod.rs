//! The queue: claim, lease, fence, settle, rescue. It knows PostgreSQL and nothing of what a task does.

pub mod backoff;
pub mod claim;
pub mod due;
pub mod lease;
pub mod listen;
pub mod prune;
pub mod rescue;
pub mod settle;

/// The NOTIFY channel that wakes sleeping workers.
pub const CHANNEL: &str = "cleanup_tasks";

/// Which line a task stands in. Lines are claimed apart, so that bulk work cannot make small work wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A sample, a small user, the next step of an erasure.
    Small,
    /// Parts of a large erasure, samples with many images.
    Bulk,
    /// Tasks whose worker vanished twice in a row: taken one at a time.
    Quarantine,
}

impl Lane {
    /// All lanes, in the order in which a worker looks at them.
    pub const ALL: [Self; 3] = [Self::Small, Self::Bulk, Self::Quarantine];

    /// The value of `cleanup_tasks.lane`.
    #[must_use]
    pub const fn number(self) -> i16 {
        match self {
            Self::Small => 0,
            Self::Bulk => 1,
            Self::Quarantine => 2,
        }
    }
}

/// Why an attempt did not complete its task: `cleanup_tasks.error_class`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ErrorClass {
    /// Will pass: 5xx, time-outs, broken connections, answers that do not cover every key.
    Transient,
    /// The store asks for a slower pace. Never leads to `dead`.
    Throttle,
    /// The store or its configuration is at fault, not the task. Uses up no attempt.
    Outage,
    /// This key is refused: access denied, object lock.
    Blocked,
    /// No retry can help: the key is no key.
    Permanent,
    /// The worker vanished.
    Crash,
}

impl ErrorClass {
    /// The value of `cleanup_tasks.error_class`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttle => "throttle",
            Self::Outage => "outage",
            Self::Blocked => "blocked",
            Self::Permanent => "permanent",
            Self::Crash => "crash",
        }
    }

    /// Whether failures of this class end in `dead` when the attempts are used up.
    #[must_use]
    pub const fn can_kill(self) -> bool {
        matches!(self, Self::Blocked | Self::Permanent | Self::Crash)
    }
}

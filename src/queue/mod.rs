//! The queue: claim, lease, fence, settle, rescue, prune. It knows PostgreSQL and the words of a task, and
//! nothing of what a task does: user, keys and parent are columns to it.

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
    /// All lanes, in the order in which a worker claims from them.
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

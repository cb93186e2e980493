//! The queue: claim, lease, fence, settle, rescue, prune. It knows PostgreSQL and the vocabulary of a task, but not
//! what a task does: user, keys and parent are only columns here.

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

/// The part of the queue that a task belongs to. Each lane is claimed with a limit of its own, so that bulk work
/// cannot delay small work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A sample, a small user, the next step of an erasure.
    Small,
    /// Parts of a large erasure, samples with many images.
    Bulk,
    /// Tasks whose worker vanished twice in a row. A worker runs only one of them at a time.
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

//! What is said of a task.

use super::macros::words;

words! {
    /// Where a task is. `failed` is tried again at `scheduledAt`; `dead` waits for a person.
    pub enum TaskStatus {
        /// It waits for its first attempt, or was released and waits for another.
        Pending = "pending",
        /// A worker holds it.
        Running = "running",
        /// An attempt failed. The next one is made at `scheduled_at`.
        Failed = "failed",
        /// Each key was answered for and each row is gone.
        Completed = "completed",
        /// All attempts are used up, or no attempt can help. A person must look.
        Dead = "dead",
        /// The deletion was taken back before cleanup began.
        Cancelled = "cancelled",
    }
}

words! {
    /// What a task does. A newer version may add others.
    pub enum TaskKind {
        /// Deletes one sample with its images.
        SampleDelete = "sample-delete",
        /// Deletes one image of a sample that stays.
        ImageDelete = "image-delete",
        /// Deletes one row of another type of the erasure map, with what hangs on it.
        EntityDelete = "entity-delete",
        /// Erases a user: plans the parts, waits for them, removes what is left.
        UserDelete = "user-delete",
        /// Deletes at most 1,000 objects of a larger deletion, and their rows.
        UserDeletePart = "user-delete-part",
    }
}

words! {
    /// What a deletion is about.
    pub enum EntityType {
        /// A person with everything that is theirs.
        User = "user",
        /// A group of samples.
        Collection = "collection",
        /// A sample with its images.
        Sample = "sample",
        /// One image.
        SampleImage = "sample-image",
    }
}

words! {
    /// Why an attempt did not complete its task. Only `blocked`, `permanent` and `crash` lead to `dead`.
    pub enum ErrorClass {
        /// It will pass: 5xx, time-outs, broken connections, answers that do not cover every key.
        Transient = "transient",
        /// The store asks for a slower pace.
        Throttle = "throttle",
        /// The store or its configuration is at fault, not the task. No attempt is used up.
        Outage = "outage",
        /// This key or row is refused, others are not: access denied, object lock, a constraint.
        Blocked = "blocked",
        /// No retry can help: an object cannot have this name.
        Permanent = "permanent",
        /// The worker vanished.
        Crash = "crash",
    }
}

impl ErrorClass {
    /// Whether failures of this class end in `dead` when the attempts are used up.
    #[must_use]
    pub const fn leads_to_dead(self) -> bool {
        matches!(self, Self::Blocked | Self::Permanent | Self::Crash)
    }
}

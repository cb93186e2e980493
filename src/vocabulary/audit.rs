//! What is said of an entry of the audit trail.

use super::macros::words;

words! {
    /// What an entry of the audit trail records. A newer version may add others.
    pub enum AuditEvent {
        /// Somebody asked for the erasure of a user.
        UserDeletionRequested = "user-deletion-requested",
        /// Somebody asked for the deletion of a sample.
        SampleDeletionRequested = "sample-deletion-requested",
        /// Somebody asked for the deletion of an image.
        ImageDeletionRequested = "image-deletion-requested",
        /// Somebody asked for the deletion of a row of another type.
        EntityDeletionRequested = "entity-deletion-requested",
        /// A sample was restored before its cleanup began.
        SampleRestored = "sample-restored",
        /// A row of another type was restored before its cleanup began.
        EntityRestored = "entity-restored",
        /// A task ended with nothing left.
        TaskCompleted = "task-completed",
        /// A task did a part of its work and was released. (The word is older than the name.)
        TaskReleased = "task-continued",
        /// An attempt failed.
        TaskFailed = "task-failed",
        /// The last attempt failed, or no attempt can help.
        TaskDead = "task-dead",
        /// A person asked for another attempt.
        TaskRetried = "task-retried",
        /// A person stopped all claiming.
        CleanupPaused = "cleanup-paused",
        /// A person ended the pause.
        CleanupResumed = "cleanup-resumed",
        /// A person released an erasure that the limit held.
        ErasureReleased = "erasure-released",
        /// A person took an erasure back that had not begun.
        ErasureCancelled = "erasure-cancelled",
        /// Nothing of a user is left.
        UserErased = "user-erased",
    }
}

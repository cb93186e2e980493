//! What is said of a user's erasure.

use super::macros::words;

words! {
    /// How far an erasure is.
    pub enum ErasureStatus {
        /// It waits for a person, because too many users are being erased at once.
        Held = "held",
        /// It is being worked on, or tried again.
        InProgress = "in-progress",
        /// A dead task waits for a person: see `parked` in the receipt.
        Incomplete = "incomplete",
        /// Nothing is left.
        Complete = "complete",
        /// It was taken back before it began: the user is live again.
        Cancelled = "cancelled",
    }
}

words! {
    /// What is known of a user.
    pub enum UserStatus {
        /// There is no such user, and no erasure was ever asked for.
        Unknown = "unknown",
        /// The user is there and is not deleted.
        Live = "live",
        /// The user is deleted. Something of theirs is left.
        Deleted = "deleted",
        /// The user was erased. Nothing of theirs is left.
        Erased = "erased",
    }
}

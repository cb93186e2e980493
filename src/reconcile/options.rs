//! How reconciliation is done.

use std::time::Duration;

use super::clerk_api::ClerkBackend;

/// How rows that were deleted without a task are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileOptions {
    /// Between two passes on the database; `None` if there are to be none.
    pub interval: Option<Duration>,
    /// Most users that are taken within a day, in percent of all.
    pub max_user_share: u32,
    /// A soft-deleted sample can be restored for this long.
    pub grace_period: Duration,
    /// Clerk's Backend API, if its key is known. Always given with `clerk_interval`.
    pub clerk: Option<ClerkBackend>,
    /// Between two comparisons with Clerk; `None` if the workers are not to compare.
    pub clerk_interval: Option<Duration>,
    /// Whether the workers' comparison deletes.
    pub clerk_apply: bool,
}

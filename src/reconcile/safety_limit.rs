//! The safety limit: a pass that would delete data of too many users at once is more likely a mistake (a bad
//! statement, the key of another Clerk instance, a backup of another day) than a wish. It deletes nothing.

use std::fmt;
use std::time::Duration;

use sqlx::PgPool;

use crate::db::transaction::begin;

/// This many users are always allowed, or a small database could never be reconciled.
pub const ALWAYS_ALLOWED_USERS: u64 = 10;
/// Users who lost a sample, an image or everything to reconciliation within this time count too, so that many small
/// passes cannot do what one large pass may not.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// How many users may lose data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SafetyLimit {
    /// In percent of all users.
    pub max_user_share: u32,
}

/// The users who would lose data.
#[derive(Clone, Debug, Default)]
pub struct AffectedUsers {
    /// How many there are; at least so many if `is_capped`.
    pub count: u64,
    /// There may be more: counting them ended at a limit of its own. Only a limit of 100 % allows that.
    pub is_capped: bool,
    /// Those of whom it is known who they are, so that nobody counts twice who lost something before.
    pub known: Vec<String>,
}

impl AffectedUsers {
    /// So many users, of whom none lost anything before.
    #[must_use]
    pub fn counted(count: u64) -> Self {
        Self {
            count,
            ..Self::default()
        }
    }
}

/// Whether a pass may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitCheck {
    /// It may.
    Allowed,
    /// It may not: a person must look.
    Stopped(TooManyUsers),
}

/// The numbers behind a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyUsers {
    /// Users who would lose data now, at least.
    pub found: u64,
    /// Other users who lost data to reconciliation within the last day.
    pub recent: u64,
    /// All users.
    pub users: u64,
    /// The share that is allowed, in percent.
    pub max_user_share: u32,
}

impl fmt::Display for TooManyUsers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "it would delete data of {} of {} users, after {} within the last 24 hours; the limit is {} % \
             (RECONCILE_MAX_USER_SHARE), or {ALWAYS_ALLOWED_USERS} users. Nothing was deleted",
            self.found, self.users, self.recent, self.max_user_share
        )
    }
}

impl SafetyLimit {
    /// Whether these users may lose data.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn check(
        self,
        pool: &PgPool,
        affected: &AffectedUsers,
    ) -> Result<LimitCheck, sqlx::Error> {
        let found = affected.count;
        if found == 0 {
            return Ok(LimitCheck::Allowed);
        }
        let mut tx = begin(pool).await?;
        let recent = sqlx::query_file_scalar!(
            "sql/reconcile/recent_users.sql",
            WINDOW.as_secs_f64(),
            &affected.known
        )
        .fetch_one(&mut *tx)
        .await?
        .unsigned_abs();
        let deleted = match affected.is_capped && self.max_user_share < 100 {
            true => u64::MAX,
            false => found.saturating_add(recent),
        };
        let Some(needed) = self.users_needed(deleted) else {
            return Ok(LimitCheck::Allowed);
        };
        let users = sqlx::query_file_scalar!(
            "sql/reconcile/count_users.sql",
            i64::try_from(needed).unwrap_or(i64::MAX)
        )
        .fetch_one(&mut *tx)
        .await?
        .unsigned_abs();
        tx.commit().await?;
        if users >= needed {
            return Ok(LimitCheck::Allowed);
        }
        Ok(LimitCheck::Stopped(TooManyUsers {
            found,
            recent,
            users,
            max_user_share: self.max_user_share,
        }))
    }

    /// How many users there must be for `deleted` to be no more than the share. `None` if it does not matter.
    /// Users are counted no further than this.
    fn users_needed(self, deleted: u64) -> Option<u64> {
        if deleted <= ALWAYS_ALLOWED_USERS {
            return None;
        }
        match u64::from(self.max_user_share) {
            0 => Some(u64::MAX),
            // All users may lose data. Those who did are no longer there to be counted.
            100.. => None,
            share => Some(deleted.saturating_mul(100).div_ceil(share)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(max_user_share: u32, deleted: u64) -> Option<u64> {
        SafetyLimit { max_user_share }.users_needed(deleted)
    }

    #[test]
    fn a_share_is_allowed_to_the_last_user_and_no_further() {
        assert_eq!(needed(5, 50), Some(1000));
        assert_eq!(needed(5, 51), Some(1020));
        assert_eq!(needed(3, 100), Some(3334));
        assert_eq!(needed(99, 99), Some(100));
        assert_eq!(needed(100, 5000), None);
        assert_eq!(needed(0, 11), Some(u64::MAX));
    }

    #[test]
    fn ten_users_are_always_allowed() {
        assert_eq!(needed(0, 10), None);
        assert_eq!(needed(5, 11), Some(220));
    }
}

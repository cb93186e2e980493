//! The break: what would take too many users at once is more likely a mistake (a bad statement, a wrong
//! key, a backup of another day) than a wish.

use std::fmt;
use std::time::Duration;

use sqlx::PgPool;

use crate::db::transaction::begin;

/// So many users are always allowed, or a small database could never be reconciled.
pub const ALWAYS_ALLOWED_USERS: u64 = 10;
/// What was taken within this time counts too, so that many small passes are not more than one large one.
const TAKEN_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// How many users may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// In percent of all users.
    pub max_user_share: u32,
}

/// Too many users would be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Users that would be taken now.
    pub found: u64,
    /// Users that were taken within the last day.
    pub taken: u64,
    /// All users there are.
    pub users: u64,
    /// The share that is allowed, in percent.
    pub max_user_share: u32,
}

impl fmt::Display for Stopped {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "it would take {} of {} users, and has taken {} within the last 24 hours; {} % \
             (RECONCILE_MAX_USER_SHARE), or {ALWAYS_ALLOWED_USERS} users, are allowed. Nothing was taken",
            self.found, self.users, self.taken, self.max_user_share
        )
    }
}

impl Limit {
    /// Whether `found` users more may be taken.
    ///
    /// # Errors
    /// When the database cannot be asked.
    pub async fn check(
        self,
        pool: &PgPool,
        found: u64,
    ) -> Result<Result<(), Stopped>, sqlx::Error> {
        if found == 0 {
            return Ok(Ok(()));
        }
        let mut transaction = begin(pool).await?;
        let taken =
            sqlx::query_file_scalar!("sql/reconcile/taken_users.sql", TAKEN_WITHIN.as_secs_f64())
                .fetch_one(&mut *transaction)
                .await?
                .unsigned_abs();
        let Some(needed) = self.users_needed(found.saturating_add(taken)) else {
            return Ok(Ok(()));
        };
        let users = sqlx::query_file_scalar!(
            "sql/reconcile/count_users.sql",
            i64::try_from(needed).unwrap_or(i64::MAX)
        )
        .fetch_one(&mut *transaction)
        .await?
        .unsigned_abs();
        transaction.commit().await?;
        if users >= needed {
            return Ok(Ok(()));
        }
        Ok(Err(Stopped {
            found,
            taken,
            users,
            max_user_share: self.max_user_share,
        }))
    }

    /// How many users there must be for `taken` to be no more than the share; none if it does not matter.
    /// Users are counted no further than this.
    fn users_needed(self, taken: u64) -> Option<u64> {
        if taken <= ALWAYS_ALLOWED_USERS {
            return None;
        }
        match u64::from(self.max_user_share) {
            0 => Some(u64::MAX),
            share => Some(taken.saturating_mul(100).div_ceil(share)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(max_user_share: u32, taken: u64) -> Option<u64> {
        Limit { max_user_share }.users_needed(taken)
    }

    #[test]
    fn a_share_is_allowed_to_the_last_user_and_no_further() {
        assert_eq!(needed(5, 50), Some(1000));
        assert_eq!(needed(5, 51), Some(1020));
        assert_eq!(needed(3, 100), Some(3334));
        assert_eq!(needed(100, 5000), Some(5000));
        assert_eq!(needed(0, 11), Some(u64::MAX));
    }

    #[test]
    fn ten_users_are_always_allowed() {
        assert_eq!(needed(0, 10), None);
        assert_eq!(needed(5, 11), Some(220));
    }
}

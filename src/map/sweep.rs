//! After a map grew: the users who were erased under an earlier one, and of whom the new one finds something.

use std::collections::BTreeMap;

use sqlx::types::Json;
use sqlx::{PgConnection, query_file, query_file_scalar};

use crate::vocabulary::UserId;

/// Users that one statement looks at.
const PAGE: i64 = 200;

/// What a look at all erased users found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sweep {
    /// Users with a tombstone.
    pub erased: u64,
    /// Of these, those of whom something is left, and who are not being erased.
    pub users: Vec<UserId>,
    /// Of these, those who are being erased at the moment.
    pub under_way: u64,
    /// Rows that are left, by type and by what the map does with them: `delete`, `detach` or `keep`.
    pub rows: BTreeMap<(String, String), i64>,
}

/// Looks at every user with a tombstone, and changes nothing. `progress` is called with the number of users looked at.
///
/// # Errors
/// Those of the database.
pub async fn find(
    connection: &mut PgConnection,
    progress: impl Fn(u64),
) -> Result<Sweep, sqlx::Error> {
    let mut sweep = Sweep::default();
    let mut last = String::new();
    loop {
        let page = query_file!("sql/map/sweep_page.sql", last, PAGE)
            .fetch_all(&mut *connection)
            .await?;
        let Some(end) = page.last() else {
            return Ok(sweep);
        };
        end.user_id.as_str().clone_into(&mut last);
        for user in page {
            sweep.erased += 1;
            if user.is_open {
                sweep.under_way += 1;
                continue;
            }
            let Some(Json(left)) = user.left else {
                continue;
            };
            sweep.users.push(user.user_id);
            for (of_type, action, rows) in left {
                *sweep.rows.entry((of_type, action)).or_default() += rows;
            }
        }
        progress(sweep.erased);
    }
}

/// Asks for the erasure of these users, one transaction each, under the limit of erasures. `progress` is called after
/// each. Returns how many were asked for; the map does not allow the others (`ids` and `never`).
///
/// # Errors
/// Those of the database. The users before were asked for; to run it again is harmless.
pub async fn erase(
    connection: &mut PgConnection,
    users: &[UserId],
    actor: &str,
    progress: impl Fn(),
) -> Result<u64, sqlx::Error> {
    let mut asked = 0;
    for user in users {
        let task = query_file_scalar!("sql/map/sweep_user.sql", user.as_str(), actor)
            .fetch_one(&mut *connection)
            .await?;
        asked += u64::from(task.is_some());
        progress();
    }
    Ok(asked)
}

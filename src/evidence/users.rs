//! One user: whether there is such a one, and what is theirs.

use std::collections::BTreeMap;

use poem_openapi::{Object, types::Example};
use sqlx::{PgConnection, PgExecutor, query_file, query_file_scalar};

use crate::tasks::{EXAMPLE_USER, example_time};
use crate::vocabulary::{Timestamp, UserId, UserStatus};

/// What is known of a user, and what is theirs.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct User {
    pub user_id: String,
    /// Whether there is or was a row of this user. Look at it before an erasure: a mistyped id is not known.
    pub known: bool,
    pub status: UserStatus,
    /// When the row was soft-deleted.
    pub deleted_at: Option<Timestamp>,
    /// When the erasure was asked for.
    pub requested_at: Option<Timestamp>,
    /// Who asked for it.
    pub requested_by: Option<String>,
    pub counts: UserCounts,
}

/// Rows that belong to a user, deleted or not.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase")]
pub struct UserCounts {
    /// By the type that the erasure map gives them.
    pub rows: BTreeMap<String, i64>,
    /// Tasks that are not finished.
    pub open_tasks: i64,
}

impl Example for User {
    fn example() -> Self {
        Self {
            user_id: EXAMPLE_USER.into(),
            known: true,
            status: UserStatus::Deleted,
            deleted_at: Some(example_time().into()),
            requested_at: Some(example_time().into()),
            requested_by: Some("clerk:user.deleted".into()),
            counts: UserCounts {
                rows: example_counts(),
                open_tasks: 1,
            },
        }
    }
}

/// Numbers of rows by type, from JSON.
pub(super) fn counts_by_type(counts: &serde_json::Value) -> BTreeMap<String, i64> {
    let counts = counts.as_object().into_iter().flatten();
    counts
        .map(|(of_type, rows)| (of_type.clone(), rows.as_i64().unwrap_or_default()))
        .collect()
}

/// For the documentation.
pub(super) fn example_counts() -> BTreeMap<String, i64> {
    [
        ("users", 1),
        ("collections", 2),
        ("samples", 4),
        ("sampleImages", 12),
    ]
    .map(|(of_type, rows)| (of_type.to_owned(), rows))
    .into()
}

/// What is known of this user.
///
/// # Errors
/// Those of the database.
pub async fn user(connection: &mut PgConnection, user_id: &UserId) -> Result<User, sqlx::Error> {
    let known = is_user_known(connection, user_id).await?;
    let row = query_file!("sql/evidence/user.sql", user_id.as_str())
        .fetch_one(connection)
        .await?;
    let counts = UserCounts {
        rows: counts_by_type(&row.rows),
        open_tasks: row.open_tasks,
    };
    let anything_left = row.has_row || counts.rows.values().any(|rows| *rows > 0);
    let is_deleted = row.requested_at.is_some() || row.deleted_at.is_some();
    let status = match (is_deleted, anything_left || counts.open_tasks > 0) {
        (true, true) => UserStatus::Deleted,
        (true, false) => UserStatus::Erased,
        (false, _) if row.has_row => UserStatus::Live,
        (false, _) => UserStatus::Unknown,
    };
    Ok(User {
        user_id: user_id.to_string(),
        known,
        status,
        deleted_at: row.deleted_at,
        requested_at: row.requested_at,
        requested_by: row.requested_by,
        counts,
    })
}

/// Whether there is a row of this user, or was one that an erasure removed.
///
/// # Errors
/// Those of the database.
pub async fn is_user_known(
    connection: &mut PgConnection,
    user_id: &UserId,
) -> Result<bool, sqlx::Error> {
    query_file_scalar!("sql/evidence/user_known.sql", user_id.as_str())
        .fetch_one(connection)
        .await
}

/// Whether this can be the id of a user: by the erasure map, or because such a user was erased under an earlier one.
///
/// # Errors
/// Of the database.
pub async fn is_user_id(
    executor: impl PgExecutor<'_>,
    user_id: &UserId,
) -> Result<bool, sqlx::Error> {
    query_file_scalar!("sql/evidence/is_user_id.sql", user_id.as_str())
        .fetch_one(executor)
        .await
}

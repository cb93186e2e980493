//! The search for rows without a task, in batches that follow an index: soft-deleted users and rows that may be deleted
//! alone, without an open task, and users of whom rows are there again although they were erased.

use std::collections::{BTreeMap, HashSet};

use sqlx::postgres::{PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Transaction, Type};

use super::safety_limit::AffectedUsers;
use super::{PassContext, ReconcileError};
use crate::db::transaction::begin;
use crate::vocabulary::EntityType;

/// How many users, samples and images each one pass handles at most. The next pass follows at once.
const MAX_CANDIDATES: u64 = 10_000;
/// How many different owners of samples and images are remembered. Above this it is not known how many there are, and
/// the safety limit stops the pass.
const MAX_OWNERS: usize = 100_000;
/// The type of users in every map.
const USER: &str = EntityType::User.as_str();

/// A row that should have a task and has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The type that the erasure map gives it.
    pub entity_type: String,
    /// Its id, as text.
    pub id: String,
    /// Its owner; of a user the user.
    pub user_id: String,
}

/// How many there are of each type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// How many of this type.
    #[must_use]
    pub fn of(&self, entity_type: &str) -> u64 {
        self.0.get(entity_type).copied().unwrap_or_default()
    }

    /// Each type of which there are some, with their number.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0
            .iter()
            .map(|(of_type, count)| (of_type.as_str(), *count))
    }

    /// How many of all types.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn add(&mut self, entity_type: &str, count: u64) {
        if count > 0 {
            *self.0.entry(entity_type.to_owned()).or_default() += count;
        }
    }
}

/// All rows without a task.
#[derive(Clone, Debug, Default)]
pub struct Candidates {
    /// The first of each type: users, then samples, then images.
    pub first: Vec<Candidate>,
    /// How many there are in all.
    pub counts: Counts,
    owners: HashSet<String>,
}

impl Candidates {
    /// The users who lose data.
    pub(super) fn affected_users(&self) -> AffectedUsers {
        let listed: HashSet<&str> = self.ids(USER).collect();
        let owners = self.owners.iter().map(String::as_str);
        let others: Vec<&str> = owners.filter(|owner| !listed.contains(owner)).collect();
        AffectedUsers {
            count: self.counts.of(USER) + others.len() as u64,
            is_capped: self.owners.len() >= MAX_OWNERS,
            known: listed
                .into_iter()
                .chain(others)
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The ids of the first of this type.
    pub fn ids<'s>(&'s self, entity_type: &'s str) -> impl Iterator<Item = &'s str> {
        self.first
            .iter()
            .filter(move |one| one.entity_type == entity_type)
            .map(|one| one.id.as_str())
    }

    /// Whether there are more than one pass handles.
    pub(super) fn has_more(&self) -> bool {
        self.counts.total() > self.first.len() as u64
    }

    fn add(&mut self, entity_type: &str, rows: impl Iterator<Item = (String, String)>) {
        for (id, user_id) in rows {
            if entity_type != USER
                && self.owners.len() < MAX_OWNERS
                && !self.owners.contains(&user_id)
            {
                self.owners.insert(user_id.clone());
            }
            if self.counts.of(entity_type) < MAX_CANDIDATES {
                self.first.push(Candidate {
                    entity_type: entity_type.to_owned(),
                    id,
                    user_id,
                });
            }
            self.counts.add(entity_type, 1);
        }
    }
}

/// Finds every row without a task. Changes nothing.
///
/// # Errors
/// When the database is away or refuses, or the pass has to end.
pub(super) async fn find(context: PassContext<'_>) -> Result<Candidates, ReconcileError> {
    let mut candidates = Candidates::default();
    Search::SoftDeleted(USER)
        .run(context, &mut candidates)
        .await?;
    Search::Tombstoned.run(context, &mut candidates).await?;
    let mut tx = begin(context.pool).await?;
    let types = sqlx::query_file_scalar!("sql/reconcile/types.sql")
        .fetch_all(&mut *tx)
        .await?;
    tx.commit().await?;
    for of_type in types {
        Search::SoftDeleted(&of_type)
            .run(context, &mut candidates)
            .await?;
    }
    Ok(candidates)
}

#[derive(Clone, Copy)]
enum Search<'t> {
    /// Rows of this type that are soft-deleted.
    SoftDeleted(&'t str),
    /// Users of whom rows are there again.
    Tombstoned,
}

impl Search<'_> {
    async fn run(
        self,
        context: PassContext<'_>,
        candidates: &mut Candidates,
    ) -> Result<(), ReconcileError> {
        let of_type = match self {
            Self::Tombstoned => USER,
            Self::SoftDeleted(of_type) => of_type,
        };
        let mut after = Cursor::default();
        loop {
            context.keep().await?;
            let mut tx = begin(context.pool).await?;
            let batch = self.next_batch(&mut tx, &after).await?;
            tx.commit().await?;
            let Some(last_id) = batch.last_id else {
                return Ok(());
            };
            after = Cursor {
                deleted_at: batch.last_at,
                id: Some(last_id),
            };
            candidates.add(of_type, batch.ids.into_iter().zip(batch.user_ids));
        }
    }

    async fn next_batch(
        self,
        tx: &mut Transaction<'_, Postgres>,
        after: &Cursor,
    ) -> Result<CandidatePage, sqlx::Error> {
        let id = after.id.as_deref();
        match self {
            Self::Tombstoned => {
                sqlx::query_file_as!(CandidatePage, "sql/reconcile/tombstoned_users.sql", id)
                    .fetch_one(&mut **tx)
                    .await
            }
            Self::SoftDeleted(of_type) => {
                sqlx::query_file_as!(
                    CandidatePage,
                    "sql/reconcile/soft_deleted.sql",
                    of_type,
                    after.deleted_at as Option<DeletedAt>,
                    id
                )
                .fetch_one(&mut **tx)
                .await
            }
        }
    }
}

/// One batch as its query returns it: the candidates, and the last row, which need not be a candidate.
struct CandidatePage {
    last_at: Option<DeletedAt>,
    last_id: Option<String>,
    ids: Vec<String>,
    user_ids: Vec<String>,
}

/// The last row that was read; the next batch begins behind it.
#[derive(Default)]
struct Cursor {
    deleted_at: Option<DeletedAt>,
    id: Option<String>,
}

/// A `timestamptz` as PostgreSQL sends it: microseconds, of which the least stands for `-infinity`. Decoding
/// that as a date panics, and rounding it to a date ([`crate::vocabulary::Timestamp`]) would make the next
/// batch skip rows.
#[derive(Clone, Copy)]
struct DeletedAt(i64);

impl Type<Postgres> for DeletedAt {
    fn type_info() -> PgTypeInfo {
        <chrono::DateTime<chrono::Utc> as Type<Postgres>>::type_info()
    }
}

impl<'r> Decode<'r, Postgres> for DeletedAt {
    fn decode(value: PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        let bytes = value.as_bytes()?.try_into()?;
        Ok(Self(i64::from_be_bytes(bytes)))
    }
}

impl Encode<'_, Postgres> for DeletedAt {
    fn encode_by_ref(
        &self,
        buffer: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        <i64 as Encode<Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(owners: &[&str]) -> impl Iterator<Item = (String, String)> {
        let rows: Vec<(String, String)> = owners
            .iter()
            .map(|owner| ((*owner).to_owned(), (*owner).to_owned()))
            .collect();
        rows.into_iter()
    }

    #[test]
    fn a_user_counts_once_with_all_of_their_samples() {
        let mut found = Candidates::default();
        found.add(USER, rows(&["user_a", "user_b"]));
        found.add("sample", rows(&["user_b", "user_c", "user_c"]));
        assert_eq!(found.affected_users().count, 3);
        assert!(!found.affected_users().is_capped);
        assert_eq!(found.counts.of(USER), 2);
        assert_eq!(found.counts.of("sample"), 3);
    }

    #[test]
    fn candidates_above_the_maximum_of_one_pass_are_counted_all_the_same() {
        let mut found = Candidates::default();
        let users = (0..MAX_CANDIDATES + 5).map(|n| (format!("user_{n}"), format!("user_{n}")));
        found.add(USER, users);
        assert_eq!(found.first.len() as u64, MAX_CANDIDATES);
        assert_eq!(found.affected_users().count, MAX_CANDIDATES + 5);
        assert!(found.has_more());
    }

    #[test]
    fn owners_above_the_maximum_are_not_taken_for_all() {
        let mut found = Candidates::default();
        let owners = (0..MAX_OWNERS + 5).map(|n| (n.to_string(), format!("user_{n}")));
        found.add("sample", owners);
        assert!(found.affected_users().is_capped);
    }
}

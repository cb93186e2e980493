//! After a restore: finds the users who had been erased and are there again. Receipts that were exported before the
//! loss say who it was, and so do the tombstones that the restored database still has.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::{PgConnection, PgPool, query_file, query_file_scalar};

use super::body::{Body, Hash, hex};
use super::key::SubjectKey;
use crate::deletion::requests::delete_user;
use crate::vocabulary::UserId;

/// Users or tombstones that one statement reads.
const PAGE: i64 = 2_000;

/// The subjects of the receipts of an export, by the id of the key.
#[derive(Debug, Clone, Default)]
pub struct Subjects {
    by_key: HashMap<String, HashSet<String>>,
}

impl Subjects {
    /// Takes the subject of a verified receipt.
    pub fn add(&mut self, body: &Body) {
        let subjects = self.by_key.entry(body.key_id.clone()).or_default();
        subjects.insert(body.subject.clone());
    }

    /// The number of subjects; a user who was erased twice with two keys counts twice.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_key.values().map(HashSet::len).sum()
    }
}

/// Who would be erased again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Returned {
    /// Users in the database who have a receipt or a tombstone, and are not being erased.
    pub users: Vec<UserId>,
    /// Of these, how many have a receipt.
    pub by_receipt: u64,
    /// Of these, how many have a tombstone.
    pub by_tombstone: u64,
    /// Users in the database who are being erased already.
    pub under_way: u64,
    /// Subjects whose users have no row, and a tombstone that keeps them away.
    pub still_erased: u64,
    /// Subjects that belong to no user and no tombstone of this database.
    pub unknown: u64,
    /// The ids of keys whose subjects cannot be computed: neither the database nor the configuration has them.
    pub missing_keys: BTreeSet<String>,
    /// The number of users that were compared.
    pub compared: u64,
}

/// Compares all users and tombstones of the database with the receipts. `progress` is called with the number of users
/// compared so far. It changes nothing.
///
/// # Errors
/// Those of the database.
pub async fn find(
    connection: &mut PgConnection,
    receipts: &Subjects,
    keys: &HashMap<String, SubjectKey>,
    progress: impl Fn(u64),
) -> Result<Returned, sqlx::Error> {
    let mut returned = Returned::default();
    let mut matching = Matching {
        known: Vec::new(),
        found: HashSet::new(),
    };
    for (id, subjects) in &receipts.by_key {
        match keys.get(id) {
            Some(key) => matching.known.push((key, subjects)),
            None => {
                returned.missing_keys.insert(id.clone());
            }
        }
    }
    let mut last = String::new();
    loop {
        let page = query_file!("sql/receipts/users.sql", last, PAGE)
            .fetch_all(&mut *connection)
            .await?;
        let Some(end) = page.last() else { break };
        last.clone_from(&end.id);
        for user in page {
            returned.compared += 1;
            let has_receipt = matching.has(&user.id);
            if !has_receipt && !user.has_tombstone {
                continue;
            }
            if user.is_open {
                returned.under_way += 1;
                continue;
            }
            returned.by_receipt += u64::from(has_receipt);
            returned.by_tombstone += u64::from(user.has_tombstone);
            returned.users.push(user.id.into());
        }
        progress(returned.compared);
    }
    count_tombstones(connection, &mut matching, &mut returned).await?;
    let missing: usize = returned
        .missing_keys
        .iter()
        .filter_map(|id| receipts.by_key.get(id))
        .map(HashSet::len)
        .sum();
    let unknown = receipts.count() - missing - matching.found.len();
    returned.unknown = u64::try_from(unknown).unwrap_or(u64::MAX);
    Ok(returned)
}

/// The receipts whose subjects can be computed, and those that were found.
struct Matching<'a> {
    known: Vec<(&'a SubjectKey, &'a HashSet<String>)>,
    found: HashSet<Hash>,
}

impl Matching<'_> {
    /// Whether one of the receipts is this user's.
    fn has(&mut self, user_id: &str) -> bool {
        let mut has = false;
        for (key, subjects) in &self.known {
            let subject = key.of(user_id.as_bytes());
            if subjects.contains(&hex(&subject)) {
                self.found.insert(subject);
                has = true;
            }
        }
        has
    }
}

async fn count_tombstones(
    connection: &mut PgConnection,
    matching: &mut Matching<'_>,
    returned: &mut Returned,
) -> Result<(), sqlx::Error> {
    let mut last = String::new();
    loop {
        let page = query_file!("sql/receipts/tombstones.sql", last, PAGE)
            .fetch_all(&mut *connection)
            .await?;
        let Some(end) = page.last() else {
            return Ok(());
        };
        last.clone_from(&end.user_id);
        for tombstone in page {
            let has_receipt = matching.has(&tombstone.user_id);
            returned.still_erased += u64::from(has_receipt && tombstone.is_gone);
        }
    }
}

/// What was asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// Erasures that were accepted.
    pub accepted: u64,
    /// Of these, those that wait because ERASURE_LIMIT_PER_HOUR allows no more.
    pub held: u64,
    /// Users whom the erasure map does not allow to be erased (`ids` and `never`).
    pub refused: u64,
}

/// Asks for the erasure of these users, one transaction each. `progress` is called after each.
///
/// # Errors
/// Those of the database. The users before were asked for; to run it again is harmless.
pub async fn apply(
    pool: &PgPool,
    users: &[UserId],
    actor: &str,
    progress: impl Fn(),
) -> Result<Asked, sqlx::Error> {
    let mut asked = Asked::default();
    let mut tasks = Vec::new();
    for user in users {
        match delete_user(pool, user, actor, None).await? {
            Some(task) => tasks.push(task.0),
            None => {
                asked.refused += 1;
                tracing::warn!(user_id = %user, "the erasure map does not allow this user to be erased (`ids` and `never`)");
            }
        }
        progress();
    }
    asked.accepted = tasks.len() as u64;
    let held = query_file_scalar!("sql/receipts/held.sql", &tasks)
        .fetch_one(pool)
        .await?;
    asked.held = held.unsigned_abs();
    Ok(asked)
}

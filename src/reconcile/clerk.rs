//! The comparison with Clerk: a webhook that never came leaves a user here that Clerk no longer has.
//!
//! Clerk is asked for the users here by id, 99 at a time, together with a reference user that it is known to
//! have: an answer without that one is empty, cut off or from another instance, and ends the comparison.
//! There is no paging over all of Clerk's users, which could shift meanwhile, and only the missing users are
//! kept in memory.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::clerk_api::{ClerkApi, ClerkError};
use super::enqueue::{EnqueueReason, EnqueueResult, enqueue};
use super::lease::PassResult;
use super::safety_limit::{AffectedUsers, LimitCheck, SafetyLimit};
use super::{Candidate, PassContext, ReconcileError};
use crate::db::transaction::begin;
use crate::vocabulary::EntityType;

/// Younger users are not compared: Clerk's list may lag behind their creation.
const MIN_AGE: Duration = Duration::from_secs(60);
/// How many users one comparison confirms one by one, and erases. The next comparison follows at once.
const MAX_USERS: usize = 10_000;
/// Clerk's ids have some thirty characters.
const MAX_ID_LENGTH: usize = 64;

/// How a comparison works.
#[derive(Clone, Copy, Debug)]
pub struct ClerkPass {
    /// How many users may be erased.
    pub limit: SafetyLimit,
    /// Erase the users that Clerk no longer has, instead of only reporting them.
    pub apply: bool,
}

/// How a comparison went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClerkReport {
    /// Live users that Clerk was asked about.
    pub compared: u64,
    /// Live users that are too young to be compared.
    pub too_young: u64,
    /// Live users whose id Clerk cannot have made; they are left alone.
    pub not_of_clerk: u64,
    /// Users that Clerk's lists left out.
    pub not_listed: u64,
    /// Users that Clerk no longer has, each confirmed by a request of its own.
    pub missing: Vec<String>,
    /// Erasures that were enqueued.
    pub users_enqueued: u64,
    /// Users whose erasure the database refused; the log says why.
    pub refused: u64,
    /// There are more than one comparison handles.
    pub more: bool,
    /// Why no user was confirmed or erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl ClerkReport {
    /// The part that is stored for all processes to read.
    #[must_use]
    pub fn result(&self, apply: bool) -> PassResult {
        PassResult {
            found: self.missing.len() as u64,
            enqueued: self.users_enqueued,
            stopped: self.stopped.clone(),
            more: apply && self.more && self.users_enqueued > 0,
            ..PassResult::default()
        }
    }
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClerkProgress {
    /// Users compared so far, and how many of them Clerk's lists left out.
    Compared(u64, u64),
    /// How many of the users that were left out are confirmed, and of how many.
    Confirmed(u64, u64),
    /// How many of the missing users are handled, and of how many.
    Handled(u64, u64),
}

/// Compares, and with [`ClerkPass::apply`] enqueues the erasure of the users that Clerk no longer has.
///
/// # Errors
/// When Clerk's answers cannot be relied on: nothing was deleted then. When the database is away or refuses,
/// or the pass has to end: erasures that were enqueued by then stay.
pub async fn run(
    context: PassContext<'_>,
    api: &ClerkApi,
    pass: ClerkPass,
    progress: impl Fn(ClerkProgress),
) -> Result<ClerkReport, ReconcileError> {
    let created_before: DateTime<Utc> =
        sqlx::query_file_scalar!("sql/reconcile/now.sql", MIN_AGE.as_secs_f64())
            .fetch_one(context.pool)
            .await?;
    let mut comparison = Comparison {
        context,
        api,
        created_before,
        progress: &progress,
        reference_user: api.oldest_user().await?,
        report: ClerkReport::default(),
    };
    let not_listed = comparison.compare().await?;
    let check = pass
        .limit
        .check(
            context.pool,
            &AffectedUsers::counted(comparison.report.not_listed),
        )
        .await?;
    if let LimitCheck::Stopped(why) = check {
        comparison.report.stopped = Some(why.to_string());
        return Ok(comparison.report);
    }
    comparison.confirm(not_listed).await?;
    if pass.apply {
        comparison.erase_missing().await?;
    }
    Ok(comparison.report)
}

struct Comparison<'a, Progress> {
    context: PassContext<'a>,
    api: &'a ClerkApi,
    created_before: DateTime<Utc>,
    progress: &'a Progress,
    reference_user: String,
    report: ClerkReport,
}

impl<Progress: Fn(ClerkProgress)> Comparison<'_, Progress> {
    /// The live users that Clerk's lists leave out.
    async fn compare(&mut self) -> Result<Vec<String>, ReconcileError> {
        let mut not_listed = Vec::new();
        let mut after = String::new();
        loop {
            self.context.keep().await?;
            let mut tx = begin(self.context.pool).await?;
            let batch =
                sqlx::query_file!("sql/reconcile/live_users.sql", after, self.created_before)
                    .fetch_one(&mut *tx)
                    .await?;
            tx.commit().await?;
            let Some(last_id) = batch.last_id else {
                return Ok(not_listed);
            };
            let erasable = batch.erasable.into_iter();
            let live: Vec<String> = erasable.filter(|id| is_clerks(id)).collect();
            let all = u64::try_from(batch.live).unwrap_or_default();
            self.report.not_of_clerk += all - live.len() as u64;
            self.report.too_young += batch.too_young.unsigned_abs();
            if !live.is_empty() {
                let listed = self.listed(&live).await?;
                self.report.compared += live.len() as u64;
                for id in live.into_iter().filter(|id| !listed.contains(id)) {
                    self.report.not_listed += 1;
                    if not_listed.len() < MAX_USERS {
                        not_listed.push(id);
                    } else {
                        self.report.more = true;
                    }
                }
                let report = &self.report;
                (self.progress)(ClerkProgress::Compared(report.compared, report.not_listed));
            }
            after = last_id;
        }
    }

    /// Which of these users Clerk lists. If the reference user was deleted in Clerk meanwhile, another one is
    /// chosen and the same question is asked once more.
    async fn listed(&mut self, ids: &[String]) -> Result<HashSet<String>, ClerkError> {
        for is_last in [false, true] {
            let mut asked: Vec<&str> = ids.iter().map(String::as_str).collect();
            if !asked.contains(&self.reference_user.as_str()) {
                asked.push(&self.reference_user);
            }
            let listed = self.api.known_of(&asked).await?;
            if listed.contains(&self.reference_user) {
                return Ok(listed);
            }
            if !is_last {
                self.reference_user = self.api.oldest_user().await?;
            }
        }
        Err(ClerkError::Incomplete)
    }

    /// Asks Clerk for each of these users alone, and first for the reference user, which that kind of request
    /// has to find too.
    async fn confirm(&mut self, not_listed: Vec<String>) -> Result<(), ReconcileError> {
        if not_listed.is_empty() {
            return Ok(());
        }
        if !self.api.has_user(&self.reference_user).await? {
            return Err(ClerkError::Incomplete.into());
        }
        let all = not_listed.len() as u64;
        for (done, id) in (1..).zip(not_listed) {
            self.context.keep().await?;
            if self.api.has_user(&id).await? {
                tracing::warn!(
                    user_id = id,
                    "Clerk's list left out a user that Clerk has; the user is kept"
                );
            } else {
                self.report.missing.push(id);
            }
            (self.progress)(ClerkProgress::Confirmed(done, all));
        }
        Ok(())
    }

    async fn erase_missing(&mut self) -> Result<(), ReconcileError> {
        let reason = EnqueueReason::MissingInClerk {
            created_before: self.created_before,
        };
        let all = self.report.missing.len() as u64;
        for (done, id) in (1..).zip(&self.report.missing) {
            let candidate = Candidate {
                entity_type: EntityType::User.to_string(),
                id: id.clone(),
                user_id: id.clone(),
            };
            match enqueue(self.context, &candidate, reason).await? {
                EnqueueResult::Enqueued => self.report.users_enqueued += 1,
                EnqueueResult::Refused => self.report.refused += 1,
                EnqueueResult::NotNeeded => {}
            }
            (self.progress)(ClerkProgress::Handled(done, all));
        }
        Ok(())
    }
}

/// Whether Clerk can have made this id, which `ids` of the erasure map allows. Rows of the application's own, of a test
/// or of an import are not Clerk's, so they cannot be missing there.
fn is_clerks(id: &str) -> bool {
    (1..=MAX_ID_LENGTH).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clerks_ids_are_compared() {
        assert!(is_clerks("user_2abcDEF") && is_clerks("user_seed_1"));
        for id in ["", "user_a&limit=1", "user_\u{e4}", &"user_".repeat(20)] {
            assert!(!is_clerks(id), "{id}");
        }
    }
}

//! The comparison with Clerk: a webhook that never came leaves a user here whom Clerk no longer has.
//!
//! The users here are asked for by id, 99 at a time, together with one whom Clerk is known to have: an answer
//! without that one is empty, cut or of another instance, and ends the comparison. There are no pages over
//! all of Clerk's users that could shift meanwhile, and no more than the missing ones is kept in memory.

use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::clerk_api::{ClerkApi, ClerkError};
use super::database::try_often;
use super::limit::{Limit, Stopped};
use super::turn::Ended;
use super::{Context, ReconcileError};
use crate::db::transaction::begin;

/// Younger users are not compared: Clerk's list may lag behind their creation.
const LEAST_AGE: Duration = Duration::from_secs(60);
/// Most users that one comparison asks about one by one, and takes; the next one follows at once.
const MOST_TAKEN: usize = 10_000;
/// Clerk's ids have some thirty characters.
const LONGEST_ID: usize = 64;

/// What a comparison does.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What may be taken at once.
    pub limit: Limit,
    /// Delete the users that Clerk no longer has; else only report them.
    pub apply: bool,
}

/// How a comparison went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Live users that Clerk was asked about.
    pub compared: u64,
    /// Live users that are too young to be compared.
    pub too_young: u64,
    /// Live users whose id is none of Clerk's; they are left alone.
    pub not_of_clerk: u64,
    /// Users that the lists left out.
    pub not_listed: u64,
    /// Users that Clerk no longer has, each confirmed by a second, direct look.
    pub missing: Vec<String>,
    /// Erasures that were written.
    pub users_enqueued: u64,
    /// Users that the database refused to take, and said why in the log.
    pub refused: u64,
    /// There are more than one comparison takes.
    pub more: bool,
    /// Why nobody was asked for directly, and nothing was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl Report {
    /// What everybody is told of it.
    #[must_use]
    pub fn ended(&self, apply: bool) -> Ended {
        Ended {
            found: self.missing.len() as u64,
            enqueued: self.users_enqueued,
            stopped: self.stopped.clone(),
            failed: None,
            more: apply && self.more && self.users_enqueued > 0,
            is_approved: false,
        }
    }
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many users were compared, and so many of them were not listed.
    Compared(u64, u64),
    /// So many of so many that were not listed were asked for directly.
    Confirmed(u64, u64),
    /// So many of so many that are missing were dealt with.
    Taken(u64, u64),
}

/// Compares, and with [`Options::apply`] writes the erasures of those that Clerk no longer has.
///
/// # Errors
/// When Clerk gives no answer that can be relied on: nothing was deleted then. When the database is away or
/// refuses, or the pass has to end; what was enqueued by then stays.
pub async fn run(
    context: Context<'_>,
    api: &ClerkApi,
    options: Options,
    progress: impl Fn(Progress),
) -> Result<Report, ReconcileError> {
    let younger_than: DateTime<Utc> =
        sqlx::query_file_scalar!("sql/reconcile/now.sql", LEAST_AGE.as_secs_f64())
            .fetch_one(context.pool)
            .await?;
    let mut report = Report::default();
    let mut voucher = api.oldest_user().await?;
    let not_listed = compare(
        context,
        api,
        younger_than,
        &mut voucher,
        &mut report,
        &progress,
    )
    .await?;
    let stopped = options.limit.check(context.pool, report.not_listed).await?;
    if let Err(stopped) = stopped {
        report.stopped = Some(Stopped::to_string(&stopped));
        return Ok(report);
    }
    confirm(context, api, &voucher, not_listed, &mut report, &progress).await?;
    if options.apply {
        take(context, younger_than, &mut report, &progress).await?;
    }
    Ok(report)
}

/// Those of the live users that the lists leave out.
async fn compare(
    context: Context<'_>,
    api: &ClerkApi,
    younger_than: DateTime<Utc>,
    voucher: &mut String,
    report: &mut Report,
    progress: &impl Fn(Progress),
) -> Result<Vec<String>, ReconcileError> {
    let mut not_listed = Vec::new();
    let mut after = String::new();
    loop {
        context.keep().await?;
        let mut transaction = begin(context.pool).await?;
        let bite = sqlx::query_file!("sql/reconcile/live_users.sql", after, younger_than)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let Some(last_id) = bite.last_id else {
            return Ok(not_listed);
        };
        let all = bite.live.len();
        let live: Vec<String> = bite.live.into_iter().filter(|id| is_clerks(id)).collect();
        report.not_of_clerk += (all - live.len()) as u64;
        report.too_young += bite.too_young.unsigned_abs();
        if !live.is_empty() {
            let known = listed(api, &live, voucher).await?;
            report.compared += live.len() as u64;
            for id in live.into_iter().filter(|id| !known.contains(id)) {
                report.not_listed += 1;
                if not_listed.len() < MOST_TAKEN {
                    not_listed.push(id);
                } else {
                    report.more = true;
                }
            }
            progress(Progress::Compared(report.compared, report.not_listed));
        }
        after = last_id;
    }
}

/// Which of these the list has. The voucher may have been deleted in Clerk meanwhile: then there is another,
/// and the same is asked once more.
async fn listed(
    api: &ClerkApi,
    ids: &[String],
    voucher: &mut String,
) -> Result<HashSet<String>, ClerkError> {
    for is_last in [false, true] {
        let mut asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        if !asked.contains(&voucher.as_str()) {
            asked.push(voucher);
        }
        let known = api.known_of(&asked).await?;
        if known.contains(voucher) {
            return Ok(known);
        }
        if !is_last {
            *voucher = api.oldest_user().await?;
        }
    }
    Err(ClerkError::Incomplete)
}

/// The second look, at each user alone. Before, the direct look itself has to know the voucher.
async fn confirm(
    context: Context<'_>,
    api: &ClerkApi,
    voucher: &str,
    not_listed: Vec<String>,
    report: &mut Report,
    progress: &impl Fn(Progress),
) -> Result<(), ReconcileError> {
    if not_listed.is_empty() {
        return Ok(());
    }
    if !api.has_user(voucher).await? {
        return Err(ClerkError::Incomplete.into());
    }
    let all = not_listed.len() as u64;
    for (looked_at, id) in (1..).zip(not_listed) {
        context.keep().await?;
        if api.has_user(&id).await? {
            tracing::warn!(user_id = id, "Clerk's list left out a user whom it has");
        } else {
            report.missing.push(id);
        }
        progress(Progress::Confirmed(looked_at, all));
    }
    Ok(())
}

async fn take(
    context: Context<'_>,
    younger_than: DateTime<Utc>,
    report: &mut Report,
    progress: &impl Fn(Progress),
) -> Result<(), ReconcileError> {
    let missing = std::mem::take(&mut report.missing);
    let all = missing.len() as u64;
    for (taken, id) in (1..).zip(&missing) {
        context.keep().await?;
        match try_often(async || enqueue(context, id, younger_than).await).await? {
            Ok(true) => report.users_enqueued += 1,
            Ok(false) => {}
            Err(error) => {
                report.refused += 1;
                tracing::error!(user_id = id, %error, "reconciliation cannot take a user");
            }
        }
        progress(Progress::Taken(taken, all));
    }
    report.missing = missing;
    Ok(())
}

/// One user, one transaction; true if a task was written.
async fn enqueue(
    context: Context<'_>,
    user: &str,
    younger_than: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let mut transaction = begin(context.pool).await?;
    sqlx::query_file!("sql/reconcile/lock_user.sql", user)
        .fetch_one(&mut *transaction)
        .await?;
    let task =
        sqlx::query_file_scalar!("sql/reconcile/enqueue_missing_user.sql", user, younger_than)
            .fetch_optional(&mut *transaction)
            .await?;
    transaction.commit().await?;
    if let Some(task_id) = task {
        tracing::warn!(
            user_id = user,
            task_id,
            "Clerk no longer has this user; erasing"
        );
    }
    Ok(task.is_some())
}

/// What Clerk cannot know cannot be missing there: a row of the application's own, of a test, of an import.
fn is_clerks(id: &str) -> bool {
    id.starts_with("user_")
        && id.len() <= LONGEST_ID
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
        for id in [
            "",
            "admin",
            "usr_1",
            "user_a&limit=1",
            "user_\u{e4}",
            &"user_".repeat(20),
        ] {
            assert!(!is_clerks(id), "{id}");
        }
    }
}

//! `lethe reconcile`: runs by hand the pass that the workers run on a timer, and without --apply only reports.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::cause;
use crate::db::sqlstate::{Meaning, meaning};
use crate::reconcile::clerk::{self, ClerkPass, ClerkProgress, ClerkReport};
use crate::reconcile::clerk_api::{ClerkApi, ClerkBackend, Patience};
use crate::reconcile::database::{self, DatabasePass, DatabaseReport};
use crate::reconcile::lease::PassResult;
use crate::reconcile::options::ReconcileOptions;
use crate::reconcile::safety_limit::SafetyLimit;
use crate::reconcile::{Candidates, Counts, LeaderLease, PassContext, ReconcileError};
use crate::vocabulary::{EntityType, ReconcileSource};

/// How many users, samples and images a report names before it only counts them.
const MAX_NAMED: usize = 20;
/// The shortest time between two plain lines about the progress.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// The time between two pictures of the spinner.
const TICK: Duration = Duration::from_millis(100);
/// A spinner of indicatif: `⠋ compared 1200 users, 3 not listed`.
const SPINNER: &str = "{spinner} {msg}";
/// What a report names, in this order.
const NAMES: [(&str, &str); 3] = [
    ("user", EntityType::User.as_str()),
    ("sample", EntityType::Sample.as_str()),
    ("image", EntityType::SampleImage.as_str()),
];

/// Why a reconciliation by hand failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileCommandError {
    /// Another process has the lease.
    #[error("another reconciliation is under way; try again when it is done")]
    UnderWay,
    /// The tables are not there.
    #[error("the database is not migrated; run `lethe migrate`")]
    NotMigrated,
    /// The pass did not reach its end.
    #[error(transparent)]
    Failed(ReconcileError),
    /// JSON could not be made.
    #[error("the report cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl From<ReconcileError> for ReconcileCommandError {
    fn from(error: ReconcileError) -> Self {
        match &error {
            ReconcileError::Database(refusal) if meaning(refusal) == Meaning::NotMigrated => {
                Self::NotMigrated
            }
            _ => Self::Failed(error),
        }
    }
}

impl From<sqlx::Error> for ReconcileCommandError {
    fn from(error: sqlx::Error) -> Self {
        ReconcileError::Database(error).into()
    }
}

/// What a reconciliation by hand prints, and whether it did everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconcileOutput {
    /// For standard output.
    pub text: String,
    /// False if the safety limit stopped it, or the database refused rows.
    pub is_done: bool,
}

/// One run of the command.
pub struct ReconcileRun<'a> {
    /// The database.
    pub pool: &'a PgPool,
    /// Limits and the grace period.
    pub config: &'a ReconcileOptions,
    /// Where this process runs.
    pub worker: String,
    /// Write the tasks, instead of only reporting.
    pub apply: bool,
    /// Print JSON.
    pub json: bool,
    /// Ends the pass before its next step.
    pub stop: &'a CancellationToken,
}

impl ReconcileRun<'_> {
    /// Compares the rows with the queue.
    ///
    /// # Errors
    /// When the pass does not reach its end.
    pub async fn with_database(&self) -> Result<ReconcileOutput, ReconcileCommandError> {
        if self.apply {
            let lease = self.acquire_lease(ReconcileSource::Database).await?;
            let pass = DatabasePass {
                limit: self.limit(),
                grace_period: self.config.grace_period,
            };
            let run = database::run(self.context(Some(&lease)), pass);
            let run = lease.hold(self.pool, run).await;
            let result = run.as_ref().map(DatabaseReport::result);
            self.release(lease, result).await?;
            return self.database_output(&run?, None);
        }
        let (report, candidates) = database::dry_run(self.context(None), self.limit()).await?;
        self.database_output(&report, Some(&candidates))
    }

    /// Compares the users with Clerk.
    ///
    /// # Errors
    /// When the pass does not reach its end; no user was erased because Clerk left something out.
    pub async fn with_clerk(
        &self,
        backend: ClerkBackend,
    ) -> Result<ReconcileOutput, ReconcileCommandError> {
        let api = ClerkApi::new(backend, Patience::default(), self.stop.clone())
            .map_err(ReconcileError::from)?;
        let pass = ClerkPass {
            limit: self.limit(),
            apply: self.apply,
        };
        let lease = match self.apply {
            true => Some(self.acquire_lease(ReconcileSource::Clerk).await?),
            false => None,
        };
        let screen = Screen::new();
        let context = self.context(lease.as_ref());
        let run = clerk::run(context, &api, pass, |progress| screen.show(progress));
        let run = match &lease {
            Some(lease) => lease.hold(self.pool, run).await,
            None => run.await,
        };
        screen.clear();
        if let Some(lease) = lease {
            let result = run.as_ref().map(|report| report.result(true));
            self.release(lease, result).await?;
        }
        self.clerk_output(&run?)
    }

    fn limit(&self) -> SafetyLimit {
        SafetyLimit {
            max_user_share: self.config.max_user_share,
        }
    }

    fn context<'b>(&'b self, lease: Option<&'b LeaderLease>) -> PassContext<'b> {
        PassContext {
            pool: self.pool,
            lease,
            stop: self.stop,
        }
    }

    async fn acquire_lease(
        &self,
        source: ReconcileSource,
    ) -> Result<LeaderLease, ReconcileCommandError> {
        LeaderLease::acquire(self.pool, source, &self.worker, Duration::ZERO)
            .await?
            .acquired()
            .ok_or(ReconcileCommandError::UnderWay)
    }

    async fn release(
        &self,
        lease: LeaderLease,
        result: Result<PassResult, &ReconcileError>,
    ) -> Result<(), ReconcileCommandError> {
        let mut result = result.unwrap_or_else(|error| PassResult {
            failed: Some(cause::chain(error)),
            ..PassResult::default()
        });
        result.is_approved = result.stopped.is_none() && result.failed.is_none();
        lease.release(self.pool, &result).await?;
        Ok(())
    }

    fn database_output(
        &self,
        report: &DatabaseReport,
        candidates: Option<&Candidates>,
    ) -> Result<ReconcileOutput, ReconcileCommandError> {
        let is_done = report.stopped.is_none() && report.refused == 0;
        if self.json {
            let text = serde_json::to_string_pretty(&self.database_json(report, candidates))?;
            return Ok(ReconcileOutput { text, is_done });
        }
        let names = names(&report.found);
        let count = |counts: &Counts| {
            let counts: Vec<String> = names
                .iter()
                .map(|(name, of_type)| format!("{} {name}s", counts.of(of_type)))
                .collect();
            match counts.split_last() {
                Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
                _ => counts.concat(),
            }
        };
        let mut text = format!(
            "{} are soft-deleted, or are back after their erasure, and have no task",
            count(&report.found)
        );
        if let Some(candidates) = candidates {
            for (name, entity_type) in &names {
                let ids = candidates.ids(entity_type);
                add_ids(&mut text, name, ids, report.found.of(entity_type));
            }
        }
        match &report.stopped {
            Some(stopped) => add_stopped(&mut text, stopped),
            None if self.apply => {
                let _ = write!(text, "\nenqueued {}", count(&report.enqueued));
                add_rest(&mut text, report.refused, report.more);
            }
            None if report.found.total() > 0 => {
                text.push_str("\nnothing was changed; --apply enqueues their deletion");
            }
            None => {}
        }
        Ok(ReconcileOutput { text, is_done })
    }

    fn database_json(
        &self,
        report: &DatabaseReport,
        candidates: Option<&Candidates>,
    ) -> serde_json::Value {
        let mut value = json!({
            "applied": self.apply,
            "more": report.more,
            "refused": report.refused,
        });
        if let Some(stopped) = &report.stopped {
            value["stopped"] = json!(stopped);
        }
        for (name, entity_type) in names(&report.found) {
            value[format!("{name}sFound")] = json!(report.found.of(entity_type));
            value[format!("{name}sEnqueued")] = json!(report.enqueued.of(entity_type));
            if let Some(candidates) = candidates {
                value[format!("{name}s")] = candidates.ids(entity_type).collect();
            }
        }
        value
    }

    fn clerk_output(&self, report: &ClerkReport) -> Result<ReconcileOutput, ReconcileCommandError> {
        let is_done = report.stopped.is_none() && report.refused == 0;
        if self.json {
            let mut value = serde_json::to_value(report)?;
            value["applied"] = json!(self.apply);
            let text = serde_json::to_string_pretty(&value)?;
            return Ok(ReconcileOutput { text, is_done });
        }
        let mut text = format!("compared {} users with Clerk", report.compared);
        for (count, what) in [
            (report.too_young, "are younger than a minute"),
            (report.not_of_clerk, "have an id that is none of Clerk's"),
        ] {
            if count > 0 {
                let _ = write!(text, "\n{count} users {what} and were left alone");
            }
        }
        match &report.stopped {
            Some(stopped) => {
                let _ = write!(text, "\n{} are not in Clerk's list", report.not_listed);
                add_stopped(&mut text, stopped);
            }
            None => {
                let missing = report.missing.len();
                let _ = write!(text, "\n{missing} users are no longer in Clerk");
                let ids = report.missing.iter().map(String::as_str);
                add_ids(&mut text, "user", ids, missing as u64);
                if self.apply {
                    let _ = write!(text, "\nenqueued {} erasures", report.users_enqueued);
                    add_rest(&mut text, report.refused, report.more);
                } else if missing > 0 {
                    text.push_str("\nnothing was changed; --apply enqueues their erasure");
                }
            }
        }
        Ok(ReconcileOutput { text, is_done })
    }
}

fn add_stopped(text: &mut String, stopped: &str) {
    let _ = write!(
        text,
        "\nSTOPPED: {stopped}. If it is right, run it with --apply and a higher \
         --reconcile-max-user-share"
    );
}

fn add_rest(text: &mut String, refused: u64, more: bool) {
    if refused > 0 {
        let _ = write!(text, "\nthe database refused {refused}; the log says why");
    }
    if more {
        text.push_str("\nthere are more; run it again, or the workers will do it");
    }
}

fn add_ids<'a>(text: &mut String, name: &str, ids: impl Iterator<Item = &'a str>, count: u64) {
    for id in ids.take(MAX_NAMED) {
        let id = id.replace(char::is_control, "\u{fffd}");
        let _ = write!(text, "\n  {name} {id}");
    }
    if count > MAX_NAMED as u64 {
        text.push_str("\n  … (--json names more)");
    }
}

/// A spinner on a terminal, otherwise lines.
struct Screen {
    bar: Option<ProgressBar>,
    last_line: RefCell<Option<Instant>>,
}

impl Screen {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(SPINNER);
            let bar = ProgressBar::new_spinner()
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.enable_steady_tick(TICK);
            bar.set_message("asking Clerk");
            bar
        });
        Self {
            bar,
            last_line: RefCell::new(None),
        }
    }

    fn show(&self, progress: ClerkProgress) {
        let line = match progress {
            ClerkProgress::Compared(users, not_listed) => {
                format!("compared {users} users, {not_listed} not listed")
            }
            ClerkProgress::Confirmed(done, all) => format!("confirmed {done} of {all} users"),
            ClerkProgress::Handled(done, all) => format!("enqueued {done} of {all} erasures"),
        };
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            return;
        }
        let mut last_line = self.last_line.borrow_mut();
        // The first line waits, too: a short run needs none.
        let last = *last_line.get_or_insert_with(Instant::now);
        if last.elapsed() >= LINE_EVERY {
            eprintln!("{line}");
            *last_line = Some(Instant::now());
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is counted: the types of the built-in map, and those of the applied one of which something was found.
fn names(found: &Counts) -> Vec<(&str, &str)> {
    let others = found
        .iter()
        .map(|(of_type, _)| of_type)
        .filter(|of_type| NAMES.iter().all(|(_, known)| known != of_type));
    NAMES
        .into_iter()
        .chain(others.map(|of_type| (of_type, of_type)))
        .collect()
}

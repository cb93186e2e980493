//! `lethe reconcile`: by hand what the workers do on a timer, and a report before anything is done.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::reconcile::clerk::{self, Progress};
use crate::reconcile::clerk_api::{ClerkApi, ClerkBackend, Patience};
use crate::reconcile::database;
use crate::reconcile::limit::Limit;
use crate::reconcile::options::ReconcileOptions;
use crate::reconcile::timer::in_one_line;
use crate::reconcile::turn::{Ended, Turn};
use crate::reconcile::{Context, ReconcileError, Source};

/// Users and samples that a report names before it only counts them.
const NAMED: usize = 20;
/// A plain line about the progress comes no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(2);
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);
/// A spinner of indicatif: `⠋ compared 1200 users, 3 not listed`.
const SPINNER: &str = "{spinner} {msg}";
/// SQLSTATE of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

/// Why a reconciliation by hand failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileCommandError {
    /// Another one writes tasks at the moment.
    #[error("another reconciliation is under way; try again when it is done")]
    UnderWay,
    /// The tables are not there.
    #[error("the database is not migrated; run `lethe migrate`")]
    NotMigrated,
    /// The pass did not come to its end.
    #[error(transparent)]
    Failed(ReconcileError),
    /// JSON could not be made.
    #[error("the report cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl From<ReconcileError> for ReconcileCommandError {
    fn from(error: ReconcileError) -> Self {
        match &error {
            ReconcileError::Database(sqlx::Error::Database(refusal))
                if refusal.code().as_deref() == Some(UNDEFINED_TABLE) =>
            {
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

/// What is to be printed, and whether it was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output.
    pub text: String,
    /// False if the break stopped it, or rows were refused.
    pub is_done: bool,
}

/// One run of the command.
pub struct Command<'a> {
    /// The database.
    pub pool: &'a PgPool,
    /// Limits and the grace period.
    pub config: &'a ReconcileOptions,
    /// Where this process runs.
    pub worker: String,
    /// Write the tasks; else report only.
    pub apply: bool,
    /// Print JSON.
    pub json: bool,
    /// Ends the pass at the next opportunity.
    pub stop: &'a CancellationToken,
}

impl Command<'_> {
    /// Compares the rows with the queue.
    ///
    /// # Errors
    /// When the pass does not come to its end.
    pub async fn with_database(&self) -> Result<Outcome, ReconcileCommandError> {
        let limit = self.limit();
        if self.apply {
            let turn = self.take_turn(Source::Database).await?;
            let options = database::Options {
                limit,
                grace_period: self.config.grace_period,
            };
            let run = database::run(self.context(Some(&turn)), options).await;
            let ended = run.as_ref().map(database::Report::ended);
            self.finish(turn, ended).await?;
            return self.tell_database(&run?, None);
        }
        let context = self.context(None);
        let found = database::look(context).await?;
        let report = database::report(context, limit, &found).await?;
        self.tell_database(&report, Some(&found))
    }

    /// Compares the users with Clerk.
    ///
    /// # Errors
    /// When the pass does not come to its end; nobody was erased because of what Clerk did not say.
    pub async fn with_clerk(
        &self,
        backend: ClerkBackend,
    ) -> Result<Outcome, ReconcileCommandError> {
        let api = ClerkApi::new(backend, Patience::default(), self.stop.clone())
            .map_err(ReconcileError::from)?;
        let options = clerk::Options {
            limit: self.limit(),
            apply: self.apply,
        };
        let turn = match self.apply {
            true => Some(self.take_turn(Source::Clerk).await?),
            false => None,
        };
        let screen = Screen::new();
        let context = self.context(turn.as_ref());
        let run = clerk::run(context, &api, options, |progress| screen.show(progress)).await;
        screen.clear();
        if let Some(turn) = turn {
            let ended = run.as_ref().map(|report| report.ended(true));
            self.finish(turn, ended).await?;
        }
        self.tell_clerk(&run?)
    }

    fn limit(&self) -> Limit {
        Limit {
            max_user_share: self.config.max_user_share,
        }
    }

    fn context<'b>(&'b self, turn: Option<&'b Turn>) -> Context<'b> {
        Context {
            pool: self.pool,
            turn,
            stop: self.stop,
        }
    }

    async fn take_turn(&self, source: Source) -> Result<Turn, ReconcileCommandError> {
        Turn::take(self.pool, source, &self.worker, Duration::ZERO)
            .await?
            .taken()
            .ok_or(ReconcileCommandError::UnderWay)
    }

    async fn finish(
        &self,
        turn: Turn,
        ended: Result<Ended, &ReconcileError>,
    ) -> Result<(), ReconcileCommandError> {
        let mut ended = ended.unwrap_or_else(|error| Ended {
            failed: Some(in_one_line(error)),
            ..Ended::default()
        });
        ended.is_approved = ended.stopped.is_none() && ended.failed.is_none();
        turn.finish(self.pool, &ended).await?;
        Ok(())
    }

    fn tell_database(
        &self,
        report: &database::Report,
        looked: Option<&database::Found>,
    ) -> Result<Outcome, ReconcileCommandError> {
        let is_done = report.stopped.is_none() && report.refused == 0;
        if self.json {
            let mut value = self.json_of(report)?;
            if let Some(found) = looked {
                value["users"] = json!(found.users);
                value["samples"] = found.samples.iter().map(|(id, _)| json!(id)).collect();
                value["images"] = found.images.iter().map(|(id, _)| json!(id)).collect();
            }
            let text = serde_json::to_string_pretty(&value)?;
            return Ok(Outcome { text, is_done });
        }
        let mut text = format!(
            "{} users, {} samples and {} images are soft-deleted, or back, without a task",
            report.users_found, report.samples_found, report.images_found
        );
        if let Some(found) = looked {
            name(&mut text, "user", found.users.iter(), report.users_found);
            let samples = found.samples.iter().map(|(id, _)| id);
            name(&mut text, "sample", samples, report.samples_found);
            let images = found.images.iter().map(|(id, _)| id);
            name(&mut text, "image", images, report.images_found);
        }
        match &report.stopped {
            Some(stopped) => tell_stopped(&mut text, stopped),
            None if self.apply => {
                let _ = write!(
                    text,
                    "\nasked for the deletion of {} users, {} samples and {} images",
                    report.users_enqueued, report.samples_enqueued, report.images_enqueued
                );
                tell_rest(&mut text, report.refused, report.more);
            }
            None if report.found() > 0 => {
                text.push_str("\nnothing was changed; --apply asks for their deletion");
            }
            None => {}
        }
        Ok(Outcome { text, is_done })
    }

    fn tell_clerk(&self, report: &clerk::Report) -> Result<Outcome, ReconcileCommandError> {
        let is_done = report.stopped.is_none() && report.refused == 0;
        if self.json {
            let text = serde_json::to_string_pretty(&self.json_of(report)?)?;
            return Ok(Outcome { text, is_done });
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
                tell_stopped(&mut text, stopped);
            }
            None => {
                let missing = report.missing.len();
                let _ = write!(text, "\n{missing} users are no longer in Clerk");
                name(&mut text, "user", report.missing.iter(), missing as u64);
                if self.apply {
                    let _ = write!(text, "\nasked for the erasure of {}", report.users_enqueued);
                    tell_rest(&mut text, report.refused, report.more);
                } else if missing > 0 {
                    text.push_str("\nnothing was changed; --apply asks for their erasure");
                }
            }
        }
        Ok(Outcome { text, is_done })
    }

    fn json_of(&self, report: &impl Serialize) -> Result<serde_json::Value, serde_json::Error> {
        let mut value = serde_json::to_value(report)?;
        value["applied"] = json!(self.apply);
        Ok(value)
    }
}

fn tell_stopped(text: &mut String, stopped: &str) {
    let _ = write!(
        text,
        "\nSTOPPED: {stopped}. If that is right, run it with --apply and a higher \
         --reconcile-max-user-share"
    );
}

fn tell_rest(text: &mut String, refused: u64, more: bool) {
    if refused > 0 {
        let _ = write!(
            text,
            "\n{refused} were refused by the database; the log says why"
        );
    }
    if more {
        text.push_str("\nthere are more; run it again, or leave them to the workers");
    }
}

fn name(
    text: &mut String,
    what: &str,
    ids: impl Iterator<Item = impl std::fmt::Display>,
    count: u64,
) {
    for id in ids.take(NAMED) {
        let id = id.to_string().replace(char::is_control, "\u{fffd}");
        let _ = write!(text, "\n  {what} {id}");
    }
    if count > NAMED as u64 {
        text.push_str("\n  … (--json names more)");
    }
}

/// A spinner on a terminal, else lines.
struct Screen {
    bar: Option<ProgressBar>,
    told: RefCell<Option<Instant>>,
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
            told: RefCell::new(None),
        }
    }

    fn show(&self, progress: Progress) {
        let line = match progress {
            Progress::Compared(users, not_listed) => {
                format!("compared {users} users, {not_listed} not listed")
            }
            Progress::Confirmed(done, all) => format!("looked twice at {done} of {all} users"),
            Progress::Taken(done, all) => format!("asked for the erasure of {done} of {all} users"),
        };
        if let Some(bar) = &self.bar {
            bar.set_message(line);
            return;
        }
        let mut told = self.told.borrow_mut();
        // The first line comes after a while too: a short run needs none.
        let last = *told.get_or_insert_with(Instant::now);
        if last.elapsed() >= LINE_EVERY {
            eprintln!("{line}");
            *told = Some(Instant::now());
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

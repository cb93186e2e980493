//! `lethe tasks`: the queue from a terminal, straight on the database.

use std::fmt::Write as _;

use sqlx::PgConnection;

use super::args::{ListArgs, RetryArgs, TasksCommand};
use super::print::{TasksOutput, new_table, output, plain};
use crate::cause;
use crate::cursor::{InvalidCursor, ListError, Page};
use crate::db::sqlstate::{Meaning, meaning};
use crate::map::plan::CompileError;
use crate::tasks::{
    self, AuditEntry, RetriedTask, RetryError, RetryFilter, Stats, Task, TaskFilter, TaskPage,
    TaskWithHistory,
};
use crate::vocabulary::{TaskId, TaskStatus, Timestamp, UserId};

/// Object keys that a command prints before it only counts them.
pub(super) const MAX_KEYS_SHOWN: usize = 20;
/// Characters of an error that a line of `list` has room for.
const MAX_ERROR_CHARS: usize = 60;

/// Why a command on the queue failed.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// The database refused.
    #[error("the queue cannot be read or changed")]
    Database(#[source] sqlx::Error),
    /// The tables are not there.
    #[error("the database is not migrated; run `lethe migrate`")]
    NotMigrated,
    /// No such task.
    #[error("there is no task {0}")]
    Unknown(TaskId),
    /// No retry of tasks with this status.
    #[error(transparent)]
    Refused(RetryError),
    /// Of another list, or of other filters.
    #[error("the cursor {0}")]
    Cursor(InvalidCursor),
    /// The applied map has no such type of rows; these it has.
    #[error("--entity-type must be one of {}", .0.join(", "))]
    Type(Vec<String>),
    /// No erasure of this user.
    #[error("the erasure of {0} was never asked for")]
    NoErasure(UserId),
    /// The erasure map does not allow this id.
    #[error("the erasure map does not allow {0} to be erased (`ids` and `never`)")]
    NotErasable(UserId),
    /// The map that is applied is of another version of Lethe.
    #[error(
        "the erasure map that is applied is of another version of Lethe; run `lethe migrate`. Nothing was erased"
    )]
    OtherMap,
    /// What an erasure would do cannot be shown.
    #[error("the plan cannot be shown, so nothing was erased; `lethe map check` says more")]
    Unplanned(#[source] CompileError),
    /// The person did not type the id again.
    #[error("{0}; nothing was erased")]
    Unconfirmed(&'static str),
}

impl From<ListError> for TasksError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Cursor(error) => Self::Cursor(error),
            ListError::Type(types) => Self::Type(types),
            ListError::Database(error) => error.into(),
        }
    }
}

impl From<sqlx::Error> for TasksError {
    fn from(error: sqlx::Error) -> Self {
        match meaning(&error) {
            Meaning::NotMigrated => Self::NotMigrated,
            _ => Self::Database(error),
        }
    }
}

/// Runs one command. `user` is the person at the terminal, for the audit trail.
///
/// # Errors
/// When the database refuses, or a task to be shown does not exist.
pub async fn run(
    connection: &mut PgConnection,
    command: &TasksCommand,
    user: &str,
) -> Result<TasksOutput, TasksError> {
    match command {
        TasksCommand::List(args) => {
            let page = Page {
                size: args.limit.into(),
                cursor: args.cursor.as_deref(),
            };
            let page = tasks::list(connection, &filter(args), page).await?;
            Ok(output(args.json, &page, list_text))
        }
        TasksCommand::Show { id, json } => {
            let task = tasks::show(connection, *id).await?;
            let task = task.ok_or(TasksError::Unknown(*id))?;
            Ok(output(*json, &task, show_text))
        }
        TasksCommand::Retry(args) => retry(connection, args, &format!("cli:{user}")).await,
        TasksCommand::Stats { json } => {
            let stats = tasks::stats(connection).await?;
            Ok(output(*json, &stats, stats_text))
        }
    }
}

fn filter(args: &ListArgs) -> TaskFilter {
    TaskFilter {
        status: args.status,
        kind: args.kind,
        entity_type: args.entity_type.clone(),
        entity_id: args.entity_id.clone(),
        user_id: args.user_id.clone(),
        error_class: args.error_class,
        parent_id: args.parent_id,
    }
}

fn list_text(page: &TaskPage) -> String {
    if page.items.is_empty() {
        return "no tasks".to_owned();
    }
    let mut table = new_table(&[
        "ID",
        "KIND",
        "STATUS",
        "ATTEMPTS",
        "ENTITY",
        "USER",
        "KEYS LEFT",
        "SCHEDULED",
        "ERROR",
    ]);
    for task in &page.items {
        table.add_row([
            task.id.to_string(),
            task.kind.clone(),
            task.status.to_string(),
            task.attempts.to_string(),
            plain(&task.entity_id),
            plain(&task.user_id),
            task.object_keys.len().to_string(),
            task.scheduled_at.to_seconds(),
            error_line(task),
        ]);
    }
    let mut text = table.trim_fmt();
    if let Some(cursor) = &page.next_cursor {
        let _ = write!(text, "\n\nThere are more: add --cursor {cursor}");
    }
    text
}

fn error_line(task: &Task) -> String {
    let error = plain(task.last_error.as_deref().unwrap_or_default());
    let short: String = error.chars().take(MAX_ERROR_CHARS).collect();
    let ellipsis = if short.len() < error.len() { "…" } else { "" };
    match &task.error_class {
        Some(class) => format!("{class}: {short}{ellipsis}"),
        None => format!("{short}{ellipsis}"),
    }
}

fn show_text(shown: &TaskWithHistory) -> String {
    let task = &shown.task;
    let mut text = new_table(&[]).add_rows(fields(task)).trim_fmt();
    if !task.object_keys.is_empty() {
        let _ = write!(text, "\n\n{}:", remaining_keys(task.object_keys.len()));
        for key in task.object_keys.iter().take(MAX_KEYS_SHOWN) {
            let _ = write!(text, "\n  {}", plain(key));
        }
        if task.object_keys.len() > MAX_KEYS_SHOWN {
            text.push_str("\n  … (--json shows all)");
        }
    }
    if !shown.history.is_empty() {
        text.push_str("\n\nHistory, newest first:");
        for entry in &shown.history {
            let _ = write!(text, "\n  {}", history_line(entry));
        }
    }
    text
}

fn remaining_keys(count: usize) -> String {
    match count {
        1 => "1 key remains".to_owned(),
        _ => format!("{count} keys remain"),
    }
}

fn fields(task: &Task) -> Vec<[String; 2]> {
    [
        ("id", Some(task.id.to_string())),
        ("kind", Some(task.kind.clone())),
        ("status", Some(task.status.to_string())),
        (
            "entity",
            Some(format!("{} {}", task.entity_type, plain(&task.entity_id))),
        ),
        ("user", Some(plain(&task.user_id))),
        ("attempts", Some(task.attempts.to_string())),
        ("scheduled", Some(task.scheduled_at.to_seconds())),
        (
            "error class",
            task.error_class.map(|class| class.to_string()),
        ),
        ("last error", task.last_error.as_deref().map(plain)),
        ("lease of", task.lease_owner.as_deref().map(plain)),
        (
            "lease ends",
            task.lease_expires_at.map(Timestamp::to_seconds),
        ),
        ("part of", task.parent_id.map(|id| id.to_string())),
        ("created", Some(task.created_at.to_seconds())),
        ("updated", Some(task.updated_at.to_seconds())),
        ("finished", task.finished_at.map(Timestamp::to_seconds)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some([name.to_owned(), value?]))
    .collect()
}

pub(super) fn history_line(entry: &AuditEntry) -> String {
    let mut line = format!("{} {}", entry.at.to_seconds(), entry.event);
    for (name, value) in [
        ("by", entry.actor.as_deref()),
        ("worker", entry.worker.as_deref()),
        ("class", entry.error_class.map(|class| class.as_str())),
    ] {
        if let Some(value) = value {
            let _ = write!(line, " {name} {}", plain(value));
        }
    }
    for (count, what) in [
        (entry.object_keys.len(), "deleted"),
        (entry.kept_keys.len(), "kept"),
    ] {
        if count > 0 {
            let _ = write!(line, ", {count} objects {what}");
        }
    }
    if let Some(detail) = &entry.detail {
        let _ = write!(line, ": {}", plain(detail));
    }
    line
}

async fn retry(
    connection: &mut PgConnection,
    args: &RetryArgs,
    actor: &str,
) -> Result<TasksOutput, TasksError> {
    if args.all_dead {
        let filter = RetryFilter {
            status: Some(TaskStatus::Dead),
            ..RetryFilter::default()
        };
        let retried = match args.dry_run {
            true => tasks::would_retry_all(connection, &filter).await,
            false => tasks::retry_all(connection, &filter, actor, &args.reason).await,
        };
        return match retried {
            Ok(retried) => Ok(output(args.json, &retried, |retried| {
                let when = retry_time(args.dry_run);
                format!("{} tasks {when}", retried.retried)
            })),
            Err(RetryError::Database(error)) => Err(error.into()),
            Err(error) => Err(TasksError::Refused(error)),
        };
    }
    let mut lines = Vec::new();
    let mut refused = Vec::new();
    for id in &args.ids {
        let retried = match args.dry_run {
            true => tasks::would_retry(connection, *id).await,
            false => tasks::retry(connection, *id, actor, &args.reason).await,
        };
        match retried {
            Ok(retried) => lines.push(
                output(args.json, &retried, |retried| {
                    retried_line(retried, args.dry_run)
                })
                .text,
            ),
            Err(RetryError::Database(error)) => return Err(error.into()),
            Err(error) => refused.push(cause::chain(&error)),
        }
    }
    let text = lines.join("\n");
    Ok(TasksOutput { text, refused })
}

fn retried_line(retried: &RetriedTask, is_dry_run: bool) -> String {
    let Task { id, status, .. } = &retried.task;
    match retried.retried {
        true => format!("task {id} {}", retry_time(is_dry_run)),
        false => format!("task {id} is {status}; it needs no retry"),
    }
}

fn retry_time(is_dry_run: bool) -> &'static str {
    match is_dry_run {
        true => "would be tried again; nothing was changed",
        false => "will be tried again now",
    }
}

fn stats_text(stats: &Stats) -> String {
    let mut table = new_table(&["STATUS", "TASKS"]);
    for status in TaskStatus::ALL {
        table.add_row([status.to_string(), stats.tasks.count(*status).to_string()]);
    }
    format!(
        "{}\n\noldest due task: {:.0} s\noldest unfinished erasure: {:.0} s\n\
         completed in the last hour: {}",
        table.trim_fmt(),
        stats.oldest_due_age_seconds,
        stats.oldest_unfinished_erasure_age_seconds,
        stats.throughput.last_hour
    )
}

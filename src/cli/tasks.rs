//! `lethe tasks`: the queue from a terminal, straight on the database.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{Table, presets};
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use super::args::{ListArgs, RetryArgs, TasksCommand};

/// Tasks in one transaction of a retry of all dead ones.
const RETRY_BITE: i64 = 500;
/// Object keys that `show` prints before it only counts them.
const KEYS_SHOWN: usize = 20;
/// Characters of an error that a line of `list` has room for.
const ERROR_CHARS: usize = 60;
/// SQLSTATE of a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";

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
    Unknown(i64),
    /// JSON could not be made.
    #[error("the answer cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

impl From<sqlx::Error> for TasksError {
    fn from(error: sqlx::Error) -> Self {
        let code = error.as_database_error().and_then(|error| error.code());
        if code.as_deref() == Some(UNDEFINED_TABLE) {
            Self::NotMigrated
        } else {
            Self::Database(error)
        }
    }
}

/// What is to be printed, and whether all that was asked for was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// For standard output.
    pub text: String,
    /// For standard error, a line each; none if all was done.
    pub refused: Vec<String>,
}

impl Outcome {
    fn done(text: String) -> Self {
        let refused = Vec::new();
        Self { text, refused }
    }
}

/// A task as the API shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Task {
    #[serde(serialize_with = "as_text")]
    id: i64,
    kind: String,
    entity_type: String,
    entity_id: String,
    user_id: String,
    object_keys: Vec<String>,
    status: String,
    attempts: i32,
    scheduled_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease_expires_at: Option<DateTime<Utc>>,
    #[serde(
        serialize_with = "as_optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    parent_id: Option<i64>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<DateTime<Utc>>,
}

/// One line of a task's history.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    at: DateTime<Utc>,
    event: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    objects_deleted: i32,
    objects_kept: i32,
}

struct Counts {
    pending: i64,
    running: i64,
    failed: i64,
    completed: i64,
    dead: i64,
    cancelled: i64,
    oldest_due_age_seconds: f64,
    oldest_unfinished_erasure_age_seconds: f64,
}

/// Runs one command. `user` is who sits at the terminal, for the audit trail.
///
/// # Errors
/// When the database refuses, or a task to be shown does not exist.
pub async fn run(
    connection: &mut PgConnection,
    command: &TasksCommand,
    user: &str,
) -> Result<Outcome, TasksError> {
    match command {
        TasksCommand::List(list) => Ok(Outcome::done(self::list(connection, list).await?)),
        TasksCommand::Show { id, json } => Ok(Outcome::done(show(connection, *id, *json).await?)),
        TasksCommand::Retry(retry) => self::retry(connection, retry, &format!("cli:{user}")).await,
        TasksCommand::Stats { json } => Ok(Outcome::done(stats(connection, *json).await?)),
    }
}

async fn list(connection: &mut PgConnection, list: &ListArgs) -> Result<String, TasksError> {
    let tasks = sqlx::query_file_as!(
        Task,
        "sql/tasks/list.sql",
        list.status.map(|status| status.as_str()) as Option<&str>,
        list.entity_type.map(|entity_type| entity_type.as_str()) as Option<&str>,
        list.user_id.as_deref() as Option<&str>,
        list.limit,
    )
    .fetch_all(connection)
    .await?;
    if list.json {
        return Ok(serde_json::to_string_pretty(&json!({ "items": tasks }))?);
    }
    if tasks.is_empty() {
        return Ok("no tasks".to_owned());
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
    for task in &tasks {
        table.add_row([
            task.id.to_string(),
            task.kind.clone(),
            task.status.clone(),
            task.attempts.to_string(),
            plain(&task.entity_id),
            plain(&task.user_id),
            task.object_keys.len().to_string(),
            time(task.scheduled_at),
            error_line(task),
        ]);
    }
    Ok(table.trim_fmt())
}

fn error_line(task: &Task) -> String {
    let error = plain(task.last_error.as_deref().unwrap_or_default());
    let short: String = error.chars().take(ERROR_CHARS).collect();
    let ellipsis = if short.len() < error.len() { "…" } else { "" };
    match &task.error_class {
        Some(class) => format!("{class}: {short}{ellipsis}"),
        None => format!("{short}{ellipsis}"),
    }
}

async fn show(connection: &mut PgConnection, id: i64, json: bool) -> Result<String, TasksError> {
    let task = sqlx::query_file_as!(Task, "sql/tasks/show.sql", id)
        .fetch_optional(&mut *connection)
        .await?
        .ok_or(TasksError::Unknown(id))?;
    let history = sqlx::query_file_as!(Event, "sql/tasks/history.sql", id)
        .fetch_all(connection)
        .await?;
    if json {
        let mut value = serde_json::to_value(&task)?;
        value["history"] = serde_json::to_value(&history)?;
        return Ok(serde_json::to_string_pretty(&value)?);
    }
    let mut text = new_table(&[]).add_rows(fields(&task)).trim_fmt();
    if !task.object_keys.is_empty() {
        let _ = write!(text, "\n\n{} keys remain:", task.object_keys.len());
        for key in task.object_keys.iter().take(KEYS_SHOWN) {
            let _ = write!(text, "\n  {}", plain(key));
        }
        if task.object_keys.len() > KEYS_SHOWN {
            text.push_str("\n  … (--json shows all)");
        }
    }
    if !history.is_empty() {
        text.push_str("\n\nHistory, the newest first:");
        for event in &history {
            let _ = write!(text, "\n  {}", event_line(event));
        }
    }
    Ok(text)
}

fn fields(task: &Task) -> Vec<[String; 2]> {
    let optional_time = |at: Option<DateTime<Utc>>| at.map(time);
    [
        ("id", Some(task.id.to_string())),
        ("kind", Some(task.kind.clone())),
        ("status", Some(task.status.clone())),
        (
            "entity",
            Some(format!("{} {}", task.entity_type, plain(&task.entity_id))),
        ),
        ("user", Some(plain(&task.user_id))),
        ("attempts", Some(task.attempts.to_string())),
        ("scheduled", Some(time(task.scheduled_at))),
        ("error class", task.error_class.clone()),
        ("last error", task.last_error.as_deref().map(plain)),
        ("lease of", task.lease_owner.as_deref().map(plain)),
        ("lease ends", optional_time(task.lease_expires_at)),
        ("part of", task.parent_id.map(|id| id.to_string())),
        ("created", Some(time(task.created_at))),
        ("updated", Some(time(task.updated_at))),
        ("finished", optional_time(task.finished_at)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some([name.to_owned(), value?]))
    .collect()
}

fn event_line(event: &Event) -> String {
    let mut line = format!("{} {}", time(event.at), event.event);
    for (name, value) in [
        ("by", event.actor.as_deref()),
        ("worker", event.worker.as_deref()),
        ("class", event.error_class.as_deref()),
    ] {
        if let Some(value) = value {
            let _ = write!(line, " {name} {}", plain(value));
        }
    }
    if event.objects_deleted > 0 {
        let _ = write!(line, ", {} objects deleted", event.objects_deleted);
    }
    if event.objects_kept > 0 {
        let _ = write!(line, ", {} objects kept", event.objects_kept);
    }
    if let Some(detail) = &event.detail {
        let _ = write!(line, ": {}", plain(detail));
    }
    line
}

async fn retry(
    connection: &mut PgConnection,
    retry: &RetryArgs,
    actor: &str,
) -> Result<Outcome, TasksError> {
    if retry.all_dead {
        let retried = retry_dead(connection, actor, &retry.reason).await?;
        return Ok(Outcome::done(format!(
            "{retried} tasks will be tried again now"
        )));
    }
    let mut outcome = Outcome::done(String::new());
    let mut lines = Vec::new();
    for id in &retry.ids {
        let retried = sqlx::query_file_scalar!("sql/tasks/retry.sql", id, actor, retry.reason)
            .fetch_optional(&mut *connection)
            .await?;
        match retried {
            Some(id) => lines.push(format!("task {id} will be tried again now")),
            None => outcome.refused.push(refusal(connection, *id).await?),
        }
    }
    outcome.text = lines.join("\n");
    Ok(outcome)
}

async fn retry_dead(
    connection: &mut PgConnection,
    actor: &str,
    reason: &str,
) -> Result<usize, TasksError> {
    let (mut retried, mut after) = (0, 0);
    loop {
        let bite =
            sqlx::query_file_scalar!("sql/tasks/retry_dead.sql", after, actor, reason, RETRY_BITE)
                .fetch_all(&mut *connection)
                .await?;
        retried += bite.len();
        match bite.iter().max() {
            Some(last) => after = *last,
            None => return Ok(retried),
        }
    }
}

/// Why a task was not retried.
async fn refusal(connection: &mut PgConnection, id: i64) -> Result<String, TasksError> {
    let task = sqlx::query_file_as!(Task, "sql/tasks/show.sql", id)
        .fetch_optional(connection)
        .await?;
    Ok(match task {
        None => format!("there is no task {id}"),
        Some(task) if task.finished_at.is_some() => {
            format!("task {id} is {}; it cannot be retried", task.status)
        }
        Some(task) => format!("task {id} is {}; it needs no retry", task.status),
    })
}

async fn stats(connection: &mut PgConnection, json: bool) -> Result<String, TasksError> {
    let counts = sqlx::query_file_as!(Counts, "sql/tasks/stats.sql")
        .fetch_one(connection)
        .await?;
    let by_status = [
        ("pending", counts.pending),
        ("running", counts.running),
        ("failed", counts.failed),
        ("completed", counts.completed),
        ("dead", counts.dead),
        ("cancelled", counts.cancelled),
    ];
    if json {
        let tasks: serde_json::Map<_, _> = by_status
            .iter()
            .map(|(status, count)| ((*status).to_owned(), json!(count)))
            .collect();
        return Ok(serde_json::to_string_pretty(&json!({
            "tasks": tasks,
            "oldestDueAgeSeconds": counts.oldest_due_age_seconds,
            "oldestUnfinishedErasureAgeSeconds": counts.oldest_unfinished_erasure_age_seconds,
        }))?);
    }
    let mut table = new_table(&["STATUS", "TASKS"]);
    for (status, count) in by_status {
        table.add_row([status.to_owned(), count.to_string()]);
    }
    Ok(format!(
        "{}\n\noldest due task: {:.0} s\noldest unfinished erasure: {:.0} s",
        table.trim_fmt(),
        counts.oldest_due_age_seconds,
        counts.oldest_unfinished_erasure_age_seconds
    ))
}

fn new_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if !header.is_empty() {
        table.set_header(header.to_vec());
    }
    table
}

/// Text that came from outside, without what a terminal would act on.
fn plain(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn as_text<S: serde::Serializer>(id: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn as_optional_text<S: serde::Serializer>(
    id: &Option<i64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => as_text(id, serializer),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_from_outside_cannot_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }
}

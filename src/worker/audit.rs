//! Writes the audit entries of attempts. A task that a settle finished is its own record.

use super::rest::SettledTask;
use crate::deletion::remove::TaskPairs;
use crate::queue::settle::Verdict;
use crate::vocabulary::{AuditEvent, ErrorClass, TaskId, WorkerId};

/// Each of the first attempts that fails gets an entry. Of later ones, which may repeat for months, only each attempt
/// whose number is a power of two gets one.
const ALL_ATTEMPTS: i32 = 8;

/// The columns of `audit_settled.sql`.
#[derive(Default)]
struct AuditRows<'a> {
    tasks: Vec<TaskId>,
    events: Vec<AuditEvent>,
    classes: Vec<Option<ErrorClass>>,
    details: Vec<Option<&'a str>>,
    gone: TaskPairs,
    kept: TaskPairs,
}

impl<'a> AuditRows<'a> {
    fn push(&mut self, task: &'a SettledTask, removed: &TaskPairs) {
        let outcome = &task.outcome;
        // Once no key remains, the keys that are gone and those that were kept were recorded when the rows were removed.
        let is_partial = !outcome.remaining.is_empty();
        let has_gone = is_partial && outcome.gone().next().is_some();
        let has_removed = removed.tasks.contains(&outcome.claim.id);
        if !has_gone && !has_removed && is_silent(&outcome.verdict, outcome.claim.attempts) {
            return;
        }
        let (class, detail) = outcome.verdict.error().unzip();
        self.tasks.push(outcome.claim.id);
        self.events.push(event(&outcome.verdict));
        self.classes.push(class);
        self.details.push(detail);
        if is_partial {
            for key in outcome.gone() {
                self.gone.push(outcome.claim.id, key);
            }
            for key in &outcome.kept {
                self.kept.push(outcome.claim.id, key);
            }
        }
    }
}

/// Whether an attempt that deleted nothing leaves no entry.
fn is_silent(verdict: &Verdict, attempts: i32) -> bool {
    match verdict {
        Verdict::Completed | Verdict::Released { .. } => true,
        Verdict::Failed { .. } => {
            attempts > ALL_ATTEMPTS && !attempts.unsigned_abs().is_power_of_two()
        }
        Verdict::Dead { .. } => false,
    }
}

const fn event(verdict: &Verdict) -> AuditEvent {
    match verdict {
        Verdict::Completed => AuditEvent::TaskCompleted,
        Verdict::Released { .. } => AuditEvent::TaskReleased,
        Verdict::Failed { .. } => AuditEvent::TaskFailed,
        Verdict::Dead { .. } => AuditEvent::TaskDead,
    }
}

/// Writes one entry for each of these tasks. Those that `is_silent` names get one only if keys or rows are gone.
/// `removed` are the rows that were removed in this batch, by task.
pub async fn write(
    connection: &mut sqlx::PgConnection,
    worker: &WorkerId,
    tasks: &[&SettledTask],
    removed: &TaskPairs,
) -> Result<(), sqlx::Error> {
    let mut rows = AuditRows::default();
    for task in tasks {
        rows.push(task, removed);
    }
    if rows.tasks.is_empty() {
        return Ok(());
    }
    sqlx::query_file!(
        "sql/deletion/audit_settled.sql",
        worker.as_str(),
        &rows.tasks as &[TaskId],
        &rows.events as &[AuditEvent],
        &rows.classes as &[Option<ErrorClass>],
        &rows.details as &[Option<&str>],
        &rows.gone.tasks as &[TaskId],
        &rows.gone.values,
        &rows.kept.tasks as &[TaskId],
        &rows.kept.values,
        &removed.tasks as &[TaskId],
        &removed.values
    )
    .execute(connection)
    .await?;
    Ok(())
}

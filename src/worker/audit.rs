//! Writes the audit entries of a settle.

use uuid::Uuid;

use super::decide::TaskOutcome;
use crate::deletion::hard_delete::HardDeletion;
use crate::queue::settle::{TaskVerdict, Verdict};
use crate::vocabulary::{AuditEvent, ErrorClass, TaskId, WorkerId};

/// Pairs of task and key, as columns.
#[derive(Default)]
pub struct TaskKeys {
    pub tasks: Vec<TaskId>,
    pub keys: Vec<String>,
}

impl TaskKeys {
    pub fn push(&mut self, task: TaskId, key: &str) {
        self.tasks.push(task);
        self.keys.push(key.to_owned());
    }
}

/// The columns of `audit_settled.sql`.
#[derive(Default)]
struct AuditRows<'a> {
    tasks: Vec<TaskId>,
    events: Vec<AuditEvent>,
    /// Whether all of the task's own keys are deleted.
    whole: Vec<bool>,
    classes: Vec<Option<ErrorClass>>,
    details: Vec<Option<&'a str>>,
    /// The deleted keys of the tasks that are not whole.
    gone: TaskKeys,
    kept: TaskKeys,
}

impl<'a> AuditRows<'a> {
    fn push(&mut self, outcome: &TaskOutcome, task: &'a TaskVerdict) {
        if is_silent(outcome, &task.verdict) {
            return;
        }
        let whole = outcome.remaining.is_empty() && outcome.kept.is_empty();
        let (class, detail) = task.verdict.error().unzip();
        self.tasks.push(task.id);
        self.events.push(event(&task.verdict));
        self.whole.push(whole);
        self.classes.push(class);
        self.details.push(detail);
        if !whole {
            for key in outcome.gone() {
                self.gone.push(task.id, key);
            }
        }
        for key in &outcome.kept {
            self.kept.push(task.id, key);
        }
    }
}

/// A release that changed nothing gets no audit entry.
fn is_silent(outcome: &TaskOutcome, verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Released { .. })
        && outcome.verdict != Verdict::Completed
        && outcome.remaining.len() == outcome.claim.object_keys.len()
}

const fn event(verdict: &Verdict) -> AuditEvent {
    match verdict {
        Verdict::Completed => AuditEvent::TaskCompleted,
        Verdict::Released { .. } => AuditEvent::TaskReleased,
        Verdict::Failed { .. } => AuditEvent::TaskFailed,
        Verdict::Dead { .. } => AuditEvent::TaskDead,
    }
}

/// Writes one entry for each task, except for releases that changed nothing.
pub async fn write(
    connection: &mut sqlx::PgConnection,
    worker: &WorkerId,
    tasks: impl Iterator<Item = (&TaskOutcome, &TaskVerdict)>,
    deleted: &HardDeletion,
) -> Result<(), sqlx::Error> {
    let mut rows = AuditRows::default();
    for (outcome, task) in tasks {
        rows.push(outcome, task);
    }
    if rows.tasks.is_empty() {
        return Ok(());
    }
    let (image_tasks, images): (Vec<i64>, Vec<Uuid>) = deleted.images.iter().copied().unzip();
    let (sample_tasks, samples): (Vec<i64>, Vec<Uuid>) = deleted.samples.iter().copied().unzip();
    sqlx::query_file!(
        "sql/deletion/audit_settled.sql",
        worker.as_str(),
        &rows.tasks as &[TaskId],
        &rows.events as &[AuditEvent],
        &rows.whole,
        &rows.classes as &[Option<ErrorClass>],
        &rows.details as &[Option<&str>],
        &rows.gone.tasks as &[TaskId],
        &rows.gone.keys,
        &rows.kept.tasks as &[TaskId],
        &rows.kept.keys,
        &image_tasks,
        &images,
        &sample_tasks,
        &samples
    )
    .execute(connection)
    .await?;
    Ok(())
}

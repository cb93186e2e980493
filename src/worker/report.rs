//! The last stage: writes the committed tasks to the log, the metrics and the worker's status.

use super::context::Context;
use super::rest::SettledTask;
use super::settle::SettleResult;
use crate::queue::settle::Verdict;
use crate::telemetry::traces::{BatchSpan, TaskEnd};
use crate::vocabulary::{SettleOutcome, TaskKind};

pub fn report(context: &Context, batch: &BatchSpan, result: &SettleResult) {
    let failed = result.tasks.iter().filter(|task| is_failed(task));
    context.status.settled(
        result.tasks.iter().any(got_on),
        failed.map(|task| &task.outcome.claim.user_id),
    );
    let metrics = &context.metrics;
    for task in &result.tasks {
        let gone: Vec<&str> = task.outcome.gone().collect();
        batch.task(&task_end(task, gone.len()));
        metrics.objects_deleted.inc_by(gone.len() as u64);
        log(task, &gone);
        let labels = (task.outcome.claim.kind, task.outcome.verdict.outcome());
        metrics.tasks_settled.of(labels).inc();
    }
    for (of_type, rows) in result.tasks.iter().flat_map(|task| task.removed.iter()) {
        metrics.rows_deleted.add(of_type, rows);
    }
}

fn task_end(task: &SettledTask, objects: usize) -> TaskEnd<'_> {
    let (claim, outcome) = (&task.outcome.claim, task.outcome.verdict.outcome());
    TaskEnd {
        id: claim.id,
        kind: claim.kind,
        attempt: claim.attempts,
        parent: claim.trace_parent.as_deref(),
        outcome: outcome.as_str(),
        objects,
        rows: task.removed.total(),
        is_failed: is_failed(task),
    }
}

/// Whether the task ended, rows of it are gone, or a step of an erasure was made. An object that the store calls gone is
/// no sign: a task whose rows cannot be removed asks for it in each attempt.
fn got_on(task: &SettledTask) -> bool {
    let made_step = task.outcome.claim.is_step() && task.outcome.verdict == Verdict::RELEASED;
    task.outcome.verdict == Verdict::Completed || made_step || task.removed.total() > 0
}

fn is_failed(task: &SettledTask) -> bool {
    matches!(
        task.outcome.verdict.outcome(),
        SettleOutcome::Failed | SettleOutcome::Dead
    )
}

fn log(task: &SettledTask, gone: &[&str]) {
    let (claim, removed) = (&task.outcome.claim, &task.removed);
    let (task_id, kind, attempt) = (claim.id.0, claim.kind.as_str(), claim.attempts);
    let user_id = claim.user_id.as_str();
    match &task.outcome.verdict {
        Verdict::Completed if claim.kind == TaskKind::UserDelete => tracing::info!(
            task_id,
            user_id,
            objects = gone.len(),
            kept = task.outcome.kept.len(),
            rows = removed.total(),
            "user erased"
        ),
        Verdict::Completed => tracing::info!(
            task_id,
            kind,
            attempt,
            user_id,
            objects = gone.len(),
            kept = task.outcome.kept.len(),
            rows = removed.total(),
            "task completed"
        ),
        // The root of an erasure is released after each step.
        Verdict::Released { delay, .. } if claim.kind == TaskKind::UserDelete => tracing::debug!(
            task_id,
            user_id,
            next_step_in_ms = delay.as_millis(),
            "task released"
        ),
        Verdict::Released { error, .. } => tracing::info!(
            task_id,
            kind,
            user_id,
            objects = gone.len(),
            error = error.as_ref().map(|(_, error)| error.as_str()),
            "task released"
        ),
        Verdict::Failed {
            delay,
            class,
            error,
        } => tracing::warn!(
            task_id,
            kind,
            attempt,
            error_class = class.as_str(),
            error,
            retry_in_ms = delay.as_millis(),
            objects = gone.len(),
            "task failed; it is tried again"
        ),
        Verdict::Dead { class, error } => tracing::error!(
            task_id,
            kind,
            attempt,
            error_class = class.as_str(),
            error,
            objects = gone.len(),
            "task is dead; a person must look at its error"
        ),
    }
}

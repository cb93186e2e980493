//! What a committed settle did, told to the log and the metrics.

use std::collections::HashMap;

use uuid::Uuid;

use super::outcome::Outcome;
use super::shared::Shared;
use crate::deletion::hard_delete::HardDeleted;
use crate::queue::settle::{Settled, Verdict};
use crate::vocabulary::{SettleOutcome, TableName, TaskKind};

pub struct Report {
    pub settled: Vec<Settled>,
    pub deleted: HardDeleted,
}

impl Report {
    pub fn publish(&self, shared: &Shared, outcomes: &[Outcome]) {
        let metrics = &shared.metrics;
        let claims: HashMap<i64, &Outcome> = outcomes
            .iter()
            .map(|outcome| (outcome.claim.id, outcome))
            .collect();
        for (table, rows) in [
            (TableName::SampleImages, &self.deleted.images),
            (TableName::Samples, &self.deleted.samples),
        ] {
            metrics.rows_deleted.of(table).inc_by(rows.len() as u64);
        }
        let images = by_task(&self.deleted.images);
        let samples = by_task(&self.deleted.samples);
        for task in &self.settled {
            let Some(outcome) = claims.get(&task.id) else {
                continue;
            };
            let gone: Vec<&str> = outcome.gone().collect();
            metrics.objects_deleted.inc_by(gone.len() as u64);
            let rows = (of(&images, task.id), of(&samples, task.id));
            log(task, outcome, &gone, rows);
            let label = match &task.verdict {
                Verdict::Completed => SettleOutcome::Completed,
                Verdict::Continued { .. } => SettleOutcome::Released,
                Verdict::Failed { .. } => SettleOutcome::Failed,
                Verdict::Dead { .. } => SettleOutcome::Dead,
            };
            // A kind that only a newer version knows is not counted.
            if let Some(kind) = TaskKind::parse(&outcome.claim.kind) {
                metrics.tasks_settled.of((kind, label)).inc();
            }
        }
    }
}

fn by_task(rows: &[(i64, Uuid)]) -> HashMap<i64, Vec<Uuid>> {
    let mut by_task: HashMap<i64, Vec<Uuid>> = HashMap::new();
    for (task, row) in rows {
        by_task.entry(*task).or_default().push(*row);
    }
    by_task
}

fn of(rows: &HashMap<i64, Vec<Uuid>>, task: i64) -> &[Uuid] {
    rows.get(&task).map_or(&[], Vec::as_slice)
}

fn log(task: &Settled, outcome: &Outcome, gone: &[&str], (images, samples): (&[Uuid], &[Uuid])) {
    let claim = &outcome.claim;
    let (kind, attempt) = (claim.kind.as_str(), claim.attempts);
    match &task.verdict {
        Verdict::Completed => tracing::info!(
            task_id = task.id, kind, attempt, user_id = claim.user_id, objects = ?gone,
            kept = ?outcome.kept, sample_images = ?images, samples = ?samples, "deleted"
        ),
        Verdict::Continued { error, .. } => tracing::info!(
            task_id = task.id, kind, user_id = claim.user_id, objects = ?gone,
            error = error.as_ref().map(|(_, error)| error.as_str()), "goes on later"
        ),
        Verdict::Failed {
            delay,
            class,
            error,
        } => tracing::warn!(
            task_id = task.id, kind, attempt, error_class = class.as_str(), error,
            retry_in_ms = delay.as_millis(), objects = ?gone, "failed"
        ),
        Verdict::Dead { class, error } => tracing::error!(
            task_id = task.id, kind, attempt, error_class = class.as_str(), error,
            objects = ?gone, "dead: a person must look"
        ),
    }
}

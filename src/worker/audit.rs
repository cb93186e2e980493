//! What a settle writes into the audit, as columns.

use std::collections::HashSet;

use uuid::Uuid;

use crate::deletion::hard_delete::HardDeleted;
use crate::queue::settle::{Settled, Verdict};

/// Pairs of task and key, as columns.
#[derive(Default)]
pub struct Pairs {
    pub tasks: Vec<i64>,
    pub keys: Vec<String>,
}

impl Extend<(i64, String)> for Pairs {
    fn extend<I: IntoIterator<Item = (i64, String)>>(&mut self, pairs: I) {
        for (task, key) in pairs {
            self.tasks.push(task);
            self.keys.push(key);
        }
    }
}

impl FromIterator<(i64, String)> for Pairs {
    fn from_iter<I: IntoIterator<Item = (i64, String)>>(pairs: I) -> Self {
        let mut columns = Self::default();
        columns.extend(pairs);
        columns
    }
}

/// The columns of `audit_settled.sql`.
#[derive(Default)]
pub struct Audit<'a> {
    tasks: Vec<i64>,
    events: Vec<&'static str>,
    whole: Vec<bool>,
    classes: Vec<Option<&'static str>>,
    details: Vec<Option<&'a str>>,
}

impl<'a> Audit<'a> {
    /// `in_part` are the tasks of which not every key went, `silent` the ones that are not written down.
    pub fn of(settled: &'a [Settled], in_part: &HashSet<i64>, silent: &HashSet<i64>) -> Self {
        let mut audit = Self::default();
        for task in settled {
            let (event, error) = match &task.verdict {
                Verdict::Completed => ("task-completed", None),
                Verdict::Continued { .. } if silent.contains(&task.id) => continue,
                Verdict::Continued { error, .. } => (
                    "task-continued",
                    error.as_ref().map(|(class, error)| (*class, error)),
                ),
                Verdict::Failed { class, error, .. } => ("task-failed", Some((*class, error))),
                Verdict::Dead { class, error } => ("task-dead", Some((*class, error))),
            };
            audit.tasks.push(task.id);
            audit.events.push(event);
            audit.whole.push(!in_part.contains(&task.id));
            audit.classes.push(error.map(|(class, _)| class.as_str()));
            audit.details.push(error.map(|(_, error)| error.as_str()));
        }
        audit
    }

    /// `gone` are the pairs of the tasks that are done in part.
    pub async fn write(
        &self,
        connection: &mut sqlx::PgConnection,
        worker: &str,
        gone: &Pairs,
        kept: &Pairs,
        deleted: &HardDeleted,
    ) -> Result<(), sqlx::Error> {
        if self.tasks.is_empty() {
            return Ok(());
        }
        let (image_tasks, images): (Vec<i64>, Vec<Uuid>) = deleted.images.iter().copied().unzip();
        let (sample_tasks, samples): (Vec<i64>, Vec<Uuid>) =
            deleted.samples.iter().copied().unzip();
        sqlx::query_file!(
            "sql/deletion/audit_settled.sql",
            worker,
            &self.tasks,
            &self.events as &[&str],
            &self.whole,
            &self.classes as &[Option<&str>],
            &self.details as &[Option<&str>],
            &gone.tasks,
            &gone.keys,
            &kept.tasks,
            &kept.keys,
            &image_tasks,
            &images,
            &sample_tasks,
            &samples
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

//! Removes the rows whose objects are gone, within the settle's transaction.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

/// Most late images that are added to one sample's task in one settle.
const MAX_LATE_IMAGES_PER_SAMPLE: i64 = 1_000;
/// Most late images that are added to all tasks of one settle.
const MAX_LATE_IMAGES_PER_SETTLE: i64 = 10_000;

/// A task that the settle holds, whether or not its attempt succeeded.
#[derive(Debug)]
pub struct TaskScope {
    /// `cleanup_tasks.id`.
    pub task: i64,
    /// The sample, if the task deletes one sample and has no remaining key.
    pub sample: Option<Uuid>,
}

/// Keys whose objects are gone, or kept because another image needs them. Their rows are removed.
#[derive(Debug, Default)]
pub struct SettledKeys {
    /// Tasks without remaining keys.
    pub whole: Vec<i64>,
    /// For tasks with remaining keys: the task of `keys[i]`.
    pub tasks: Vec<i64>,
    /// Deleted or kept keys, parallel to `tasks`.
    pub keys: Vec<String>,
}

impl SettledKeys {
    /// Whether there are no such keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.keys.is_empty()
    }
}

/// Deleted rows, and the tasks that must run again.
#[derive(Debug, Default)]
pub struct HardDeletion {
    /// Deleted `sample_images`: task and row.
    pub images: Vec<(i64, Uuid)>,
    /// Deleted `samples`: task and row.
    pub samples: Vec<(i64, Uuid)>,
    /// By task: keys of images that were not yet in the task. The task runs again with them.
    pub late: HashMap<i64, Vec<String>>,
    /// Tasks that run again because another transaction holds their sample, or because its late images did not fit
    /// into this settle's limit.
    pub held: HashSet<i64>,
}

/// Deletes image rows by key, then soft-deleted samples without images. It never deletes a live image of a live
/// sample.
///
/// # Errors
/// When the database refuses. The caller must roll the transaction back.
pub async fn hard_delete(
    connection: &mut PgConnection,
    scopes: &[TaskScope],
    settled_keys: &SettledKeys,
) -> Result<HardDeletion, sqlx::Error> {
    let images = sqlx::query_file!(
        "sql/deletion/delete_images.sql",
        &settled_keys.whole,
        &settled_keys.tasks,
        &settled_keys.keys
    )
    .fetch_all(&mut *connection)
    .await?;

    // A sample may be empty now if it is the sample of a task, or if one of its images was deleted.
    let mut owners: HashMap<Uuid, i64> = images
        .iter()
        .map(|image| (image.sample_id, image.task_id))
        .collect();
    owners.extend(
        scopes
            .iter()
            .filter_map(|scope| Some((scope.sample?, scope.task))),
    );
    let mut deleted = HardDeletion {
        images: images
            .iter()
            .map(|image| (image.task_id, image.id))
            .collect(),
        ..HardDeletion::default()
    };
    if owners.is_empty() {
        return Ok(deleted);
    }
    let candidates: Vec<Uuid> = owners.keys().copied().collect();
    let locked = sqlx::query_file_scalar!("sql/deletion/lock_samples.sql", &candidates)
        .fetch_all(&mut *connection)
        .await?;
    deleted.samples = sqlx::query_file_scalar!("sql/deletion/delete_samples.sql", &locked)
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .filter_map(|sample| Some((*owners.get(&sample)?, sample)))
        .collect();
    collect_late_images(connection, scopes, &locked, &mut deleted).await?;
    Ok(deleted)
}

/// For each task whose sample still exists: soft-deletes and collects its late images, or records that the task must
/// run again.
async fn collect_late_images(
    connection: &mut PgConnection,
    scopes: &[TaskScope],
    locked: &[Uuid],
    deleted: &mut HardDeletion,
) -> Result<(), sqlx::Error> {
    let gone: HashSet<Uuid> = deleted.samples.iter().map(|(_, sample)| *sample).collect();
    let own: HashMap<Uuid, i64> = scopes
        .iter()
        .filter_map(|scope| Some((scope.sample?, scope.task)))
        .filter(|(sample, _)| !gone.contains(sample))
        .collect();
    if own.is_empty() {
        return Ok(());
    }
    let locked: HashSet<&Uuid> = locked.iter().collect();
    let (kept, unlocked): (Vec<Uuid>, Vec<Uuid>) = own
        .keys()
        .copied()
        .partition(|sample| locked.contains(sample));
    let late = sqlx::query_file!(
        "sql/deletion/late_images.sql",
        &kept,
        MAX_LATE_IMAGES_PER_SAMPLE,
        MAX_LATE_IMAGES_PER_SETTLE
    )
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = late.iter().map(|image| image.id).collect();
    sqlx::query_file!("sql/deletion/mark_images.sql", &ids)
        .execute(&mut *connection)
        .await?;
    for image in late {
        if let Some(task) = own.get(&image.sample_id) {
            let keys = deleted.late.entry(*task).or_default();
            if !keys.contains(&image.object_key) {
                keys.push(image.object_key);
            }
        }
    }
    let held = sqlx::query_file_scalar!("sql/deletion/held_samples.sql", &unlocked)
        .fetch_all(&mut *connection)
        .await?;
    // The task of a sample whose late images no longer fit into this settle's limit also runs again.
    let crowded = kept
        .iter()
        .filter(|sample| !deleted.late.contains_key(&own[sample]));
    deleted.held = held
        .iter()
        .chain(crowded)
        .filter_map(|sample| own.get(sample).copied())
        .collect();
    Ok(())
}

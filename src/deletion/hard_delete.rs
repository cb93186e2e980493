//! Removing the rows whose objects are gone, within the settle's transaction.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

/// A sample's task takes up at most this many late images at once.
const MAX_LATE_IMAGES_PER_SAMPLE: i64 = 1_000;
/// One settle takes up at most this many late images, for all of its tasks.
const MAX_LATE_IMAGES_PER_SETTLE: i64 = 10_000;

/// A task whose objects were deleted or kept.
#[derive(Debug)]
pub struct TaskScope {
    /// `cleanup_tasks.id`.
    pub task: i64,
    /// The sample, when the task is one sample's and none of its keys remains.
    pub sample: Option<Uuid>,
}

/// Keys whose objects are gone, or kept because another image needs them. Their rows are removed.
#[derive(Debug, Default)]
pub struct SettledKeys {
    /// Tasks of which no key remains.
    pub whole: Vec<i64>,
    /// Of the others: a task for each of `keys`.
    pub tasks: Vec<i64>,
    /// Of the others: the keys.
    pub keys: Vec<String>,
}

impl SettledKeys {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.keys.is_empty()
    }
}

/// The rows that went, and what the tasks have to know.
#[derive(Debug, Default)]
pub struct HardDeletion {
    /// Removed `sample_images`: task and row.
    pub images: Vec<(i64, Uuid)>,
    /// Removed `samples`: task and row.
    pub samples: Vec<(i64, Uuid)>,
    /// Keys of images that a sample's task did not know: it runs again with these.
    pub late: HashMap<i64, Vec<String>>,
    /// Tasks whose sample another transaction holds: they run again.
    pub held: HashSet<i64>,
}

/// Removes images by key, then samples that have no image left, always soft-deleted ones.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
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

    // A sample may be empty now if it is the sample of a task, or if one of its images was removed.
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
    find_what_is_left(connection, scopes, &locked, &mut deleted).await?;
    Ok(deleted)
}

/// Of the tasks whose sample is still there: the late images, and the tasks that must wait for another transaction.
async fn find_what_is_left(
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
    // A sample with more images than this settle may take up waits too.
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

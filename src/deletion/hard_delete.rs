//! Removing the rows whose objects are gone, within the settle's transaction.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

/// Most images that a sample's task takes up anew.
const LATE_IMAGES_PER_SAMPLE: i64 = 1_000;
/// Most images that one settle takes up anew, for all of its tasks.
const LATE_IMAGES_PER_SETTLE: i64 = 10_000;

/// A task whose objects were dealt with.
#[derive(Debug)]
pub struct Scope {
    /// `cleanup_tasks.id`.
    pub task: i64,
    /// The sample, when the task is one sample's and none of its keys remains.
    pub sample: Option<Uuid>,
}

/// Keys whose objects are gone, or kept for a live image, so that their rows may go.
#[derive(Debug, Default)]
pub struct DealtWith {
    /// Tasks of which every key is dealt with.
    pub whole: Vec<i64>,
    /// Of the others: a task for each of `keys`.
    pub tasks: Vec<i64>,
    /// Of the others: the keys.
    pub keys: Vec<String>,
}

impl DealtWith {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.whole.is_empty() && self.keys.is_empty()
    }
}

/// The rows that went, and what the tasks have to know.
#[derive(Debug, Default)]
pub struct HardDeleted {
    /// Removed `sample_images`: task and row.
    pub images: Vec<(i64, Uuid)>,
    /// Removed `samples`: task and row.
    pub samples: Vec<(i64, Uuid)>,
    /// Keys of images that a sample's task did not know: it runs again with these.
    pub late: HashMap<i64, Vec<String>>,
    /// Tasks whose sample somebody holds: they look again.
    pub held: HashSet<i64>,
}

/// Removes images by key, then samples that have no image left, always soft-deleted ones.
///
/// # Errors
/// When the database refuses; the transaction is to be rolled back.
pub async fn hard_delete(
    connection: &mut PgConnection,
    scopes: &[Scope],
    dealt_with: &DealtWith,
) -> Result<HardDeleted, sqlx::Error> {
    let images = sqlx::query_file!(
        "sql/deletion/delete_images.sql",
        &dealt_with.whole,
        &dealt_with.tasks,
        &dealt_with.keys
    )
    .fetch_all(&mut *connection)
    .await?;

    // Whose row goes with the last image: the sample of a sample's task, and each sample touched.
    let mut owners: HashMap<Uuid, i64> = images
        .iter()
        .map(|image| (image.sample_id, image.task_id))
        .collect();
    owners.extend(
        scopes
            .iter()
            .filter_map(|scope| Some((scope.sample?, scope.task))),
    );
    let mut deleted = HardDeleted {
        images: images
            .iter()
            .map(|image| (image.task_id, image.id))
            .collect(),
        ..HardDeleted::default()
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
    look_again(connection, scopes, &locked, &mut deleted).await?;
    Ok(deleted)
}

/// Samples' own tasks whose sample is still there: late images, or somebody holds it.
async fn look_again(
    connection: &mut PgConnection,
    scopes: &[Scope],
    locked: &[Uuid],
    deleted: &mut HardDeleted,
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
        LATE_IMAGES_PER_SAMPLE,
        LATE_IMAGES_PER_SETTLE
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
    // A locked sample with images beyond this settle's limit waits for its next turn too.
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

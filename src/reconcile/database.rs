//! The pass on the database: soft-deleted users, samples and images without an open task, and users whose row
//! is there again though they were erased.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;
use uuid::Uuid;

use super::limit::{Limit, Stopped};
use super::turn::Ended;
use super::{Context, ReconcileError};
use crate::db::sqlstate::is_temporary;
use crate::db::transaction::begin;

/// Most users, most samples, and most images, that one pass takes; the next one follows at once.
const MOST_TAKEN: usize = 10_000;
/// Most different owners of samples that are told apart. More are as many, for the limit.
const MOST_OWNERS: usize = 100_000;
/// A row that cannot be enqueued because of others' locks is tried so often; the next pass finds it again.
const MOST_TRIES: u32 = 3;
/// Bites of 5,000 soft-deleted images that are looked at in one pass for those whose sample lives, oldest first:
/// an erasure under way has any number of others, and the next passes see further.
const IMAGE_BITES: u32 = 20;

/// How the database is reconciled.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What may be taken at once.
    pub limit: Limit,
    /// A soft-deleted sample can be restored for so long, from its soft delete on.
    pub grace_period: Duration,
}

/// What has no task and should have one.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The first of the users.
    pub users: Vec<String>,
    /// How many users there are in all.
    pub user_count: u64,
    /// The first of the samples, each with its user.
    pub samples: Vec<(Uuid, String)>,
    /// How many samples there are in all.
    pub sample_count: u64,
    /// The first of the images, each with its user.
    pub images: Vec<(Uuid, String)>,
    /// How many images there are among those that were looked at.
    pub image_count: u64,
    owners: HashSet<String>,
}

/// How a pass went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Users without an open erasure.
    pub users_found: u64,
    /// Samples without an open deletion.
    pub samples_found: u64,
    /// Images of live samples without an open deletion.
    pub images_found: u64,
    /// Erasures that were written.
    pub users_enqueued: u64,
    /// Deletions that were written.
    pub samples_enqueued: u64,
    /// Deletions of images that were written.
    pub images_enqueued: u64,
    /// Rows that the database refused to take, and said why in the log.
    pub refused: u64,
    /// There is more than one pass takes.
    pub more: bool,
    /// Why nothing was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl Found {
    /// How many users would notice.
    fn affected(&self) -> u64 {
        let listed: HashSet<&str> = self.users.iter().map(String::as_str).collect();
        let owners = self.owners.iter();
        let others = owners.filter(|owner| !listed.contains(owner.as_str()));
        self.user_count + others.count() as u64
    }

    fn add_users(&mut self, users: Vec<String>) {
        self.user_count += users.len() as u64;
        let room = MOST_TAKEN - self.users.len();
        self.users.extend(users.into_iter().take(room));
    }

    fn add_samples(&mut self, samples: impl ExactSizeIterator<Item = (Uuid, String)>) {
        self.sample_count += samples.len() as u64;
        for (sample, owner) in samples {
            self.add_owner(&owner);
            if self.samples.len() < MOST_TAKEN {
                self.samples.push((sample, owner));
            }
        }
    }

    fn add_images(&mut self, images: impl ExactSizeIterator<Item = (Uuid, String)>) {
        self.image_count += images.len() as u64;
        for (image, owner) in images {
            self.add_owner(&owner);
            if self.images.len() < MOST_TAKEN {
                self.images.push((image, owner));
            }
        }
    }

    fn add_owner(&mut self, owner: &str) {
        if self.owners.len() < MOST_OWNERS && !self.owners.contains(owner) {
            self.owners.insert(owner.to_owned());
        }
    }
}

impl Report {
    /// What has no task and should have one.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.users_found + self.samples_found + self.images_found
    }

    /// Tasks that were written.
    #[must_use]
    pub fn enqueued(&self) -> u64 {
        self.users_enqueued + self.samples_enqueued + self.images_enqueued
    }

    /// What everybody is told of it.
    #[must_use]
    pub fn ended(&self) -> Ended {
        Ended {
            found: self.found(),
            enqueued: self.enqueued(),
            stopped: self.stopped.clone(),
            failed: None,
            more: self.more && self.enqueued() > 0,
            is_approved: false,
        }
    }
}

/// Looks, and changes nothing.
///
/// # Errors
/// When the database is away or refuses, or the pass has to end.
pub async fn look(context: Context<'_>) -> Result<Found, ReconcileError> {
    let mut found = Found::default();
    look_for_soft_deleted_users(context, &mut found).await?;
    look_for_tombstoned_users(context, &mut found).await?;
    look_for_samples(context, &mut found).await?;
    look_for_images(context, &mut found).await?;
    Ok(found)
}

/// What [`run`] would do with what was found.
///
/// # Errors
/// When the database cannot be asked.
pub async fn report(
    context: Context<'_>,
    limit: Limit,
    found: &Found,
) -> Result<Report, ReconcileError> {
    let stopped = limit.check(context.pool, found.affected()).await?.err();
    Ok(Report {
        users_found: found.user_count,
        samples_found: found.sample_count,
        images_found: found.image_count,
        more: found.user_count > found.users.len() as u64
            || found.sample_count > found.samples.len() as u64
            || found.image_count > found.images.len() as u64,
        stopped: stopped.as_ref().map(Stopped::to_string),
        ..Report::default()
    })
}

/// Looks, and writes the tasks that are missing; none of them if they would take too many users.
///
/// # Errors
/// When the database is away or refuses, or the pass has to end; what was enqueued by then stays.
pub async fn run(context: Context<'_>, options: Options) -> Result<Report, ReconcileError> {
    let found = look(context).await?;
    let mut report = report(context, options.limit, &found).await?;
    if report.stopped.is_some() {
        return Ok(report);
    }
    for user in &found.users {
        context.keep().await?;
        match try_often(async || enqueue_user(context, user).await).await? {
            Ok(true) => report.users_enqueued += 1,
            Ok(false) => {}
            Err(error) => {
                report.refused += 1;
                tracing::error!(user_id = user, %error, "reconciliation cannot take a user");
            }
        }
    }
    for (sample, owner) in &found.samples {
        context.keep().await?;
        let enqueue = async || enqueue_sample(context, *sample, owner, options.grace_period).await;
        match try_often(enqueue).await? {
            Ok(true) => report.samples_enqueued += 1,
            Ok(false) => {}
            Err(error) => {
                report.refused += 1;
                tracing::error!(sample_id = %sample, %error, "reconciliation cannot take a sample");
            }
        }
    }
    for (image, owner) in &found.images {
        context.keep().await?;
        let enqueue = async || enqueue_image(context, *image, owner, options.grace_period).await;
        match try_often(enqueue).await? {
            Ok(true) => report.images_enqueued += 1,
            Ok(false) => {}
            Err(error) => {
                report.refused += 1;
                tracing::error!(image_id = %image, %error, "reconciliation cannot take an image");
            }
        }
    }
    Ok(report)
}

async fn look_for_soft_deleted_users(
    context: Context<'_>,
    found: &mut Found,
) -> Result<(), ReconcileError> {
    let (mut after_time, mut after_id) = (None, String::new());
    loop {
        context.keep().await?;
        let mut transaction = begin(context.pool).await?;
        let bite = sqlx::query_file!(
            "sql/reconcile/soft_deleted_users.sql",
            after_time as Option<chrono::DateTime<chrono::Utc>>,
            after_id
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let (Some(last_at), Some(last_id)) = (bite.last_at, bite.last_id) else {
            return Ok(());
        };
        found.add_users(bite.orphans);
        (after_time, after_id) = (Some(last_at), last_id);
    }
}

async fn look_for_tombstoned_users(
    context: Context<'_>,
    found: &mut Found,
) -> Result<(), ReconcileError> {
    let mut after = String::new();
    loop {
        context.keep().await?;
        let mut transaction = begin(context.pool).await?;
        let bite = sqlx::query_file!("sql/reconcile/tombstoned_users.sql", after)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        let Some(last_id) = bite.last_id else {
            return Ok(());
        };
        found.add_users(bite.orphans);
        after = last_id;
    }
}

async fn look_for_samples(context: Context<'_>, found: &mut Found) -> Result<(), ReconcileError> {
    let (mut after_time, mut after_id) = (None, Uuid::nil());
    loop {
        context.keep().await?;
        let mut transaction = begin(context.pool).await?;
        let bite = sqlx::query_file!(
            "sql/reconcile/soft_deleted_samples.sql",
            after_time as Option<chrono::DateTime<chrono::Utc>>,
            after_id
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let (Some(last_at), Some(last_id)) = (bite.last_at, bite.last_id) else {
            return Ok(());
        };
        found.add_samples(bite.orphans.into_iter().zip(bite.owners));
        (after_time, after_id) = (Some(last_at), last_id);
    }
}

async fn look_for_images(context: Context<'_>, found: &mut Found) -> Result<(), ReconcileError> {
    let (mut after_time, mut after_id) = (None, Uuid::nil());
    for _ in 0..IMAGE_BITES {
        context.keep().await?;
        let mut transaction = begin(context.pool).await?;
        let bite = sqlx::query_file!(
            "sql/reconcile/soft_deleted_images.sql",
            after_time as Option<chrono::DateTime<chrono::Utc>>,
            after_id
        )
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        let (Some(last_at), Some(last_id)) = (bite.last_at, bite.last_id) else {
            return Ok(());
        };
        found.add_images(bite.orphans.into_iter().zip(bite.owners));
        (after_time, after_id) = (Some(last_at), last_id);
    }
    Ok(())
}

/// One user, one transaction; true if a task was written.
async fn enqueue_user(context: Context<'_>, user: &str) -> Result<bool, sqlx::Error> {
    let mut transaction = begin(context.pool).await?;
    sqlx::query_file!("sql/reconcile/lock_user.sql", user)
        .fetch_one(&mut *transaction)
        .await?;
    let task = sqlx::query_file_scalar!("sql/reconcile/enqueue_user.sql", user)
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    if let Some(task_id) = task {
        tracing::info!(
            user_id = user,
            task_id,
            "reconciliation asks for an erasure"
        );
    }
    Ok(task.is_some())
}

/// One sample, one transaction; true if a task was written.
async fn enqueue_sample(
    context: Context<'_>,
    sample: Uuid,
    owner: &str,
    grace: Duration,
) -> Result<bool, sqlx::Error> {
    let mut transaction = begin(context.pool).await?;
    sqlx::query_file!("sql/reconcile/lock_owner.sql", owner)
        .fetch_one(&mut *transaction)
        .await?;
    sqlx::query_file!("sql/reconcile/lock_sample.sql", sample)
        .fetch_optional(&mut *transaction)
        .await?;
    let task = sqlx::query_file_scalar!(
        "sql/reconcile/enqueue_sample.sql",
        sample,
        grace.as_secs_f64()
    )
    .fetch_optional(&mut *transaction)
    .await?
    .flatten();
    transaction.commit().await?;
    if let Some(task_id) = task {
        tracing::info!(sample_id = %sample, user_id = owner, task_id, "reconciliation asks for a deletion");
    }
    Ok(task.is_some())
}

/// One image, one transaction; true if a task was written.
async fn enqueue_image(
    context: Context<'_>,
    image: Uuid,
    owner: &str,
    grace: Duration,
) -> Result<bool, sqlx::Error> {
    let mut transaction = begin(context.pool).await?;
    sqlx::query_file!("sql/reconcile/lock_owner.sql", owner)
        .fetch_one(&mut *transaction)
        .await?;
    sqlx::query_file!("sql/reconcile/lock_sample_of_image.sql", image)
        .fetch_optional(&mut *transaction)
        .await?;
    let task = sqlx::query_file_scalar!(
        "sql/reconcile/enqueue_image.sql",
        image,
        grace.as_secs_f64()
    )
    .fetch_optional(&mut *transaction)
    .await?
    .flatten();
    transaction.commit().await?;
    if let Some(task_id) = task {
        tracing::info!(image_id = %image, user_id = owner, task_id, "reconciliation asks for a deletion");
    }
    Ok(task.is_some())
}

/// A race that was lost is run again. The outer error ends the pass: the database is away. The inner one
/// is the row's own (a trigger of the application refuses), and the other rows go on.
pub(super) async fn try_often<F>(
    mut enqueue: impl FnMut() -> F,
) -> Result<Result<bool, sqlx::Error>, ReconcileError>
where
    F: Future<Output = Result<bool, sqlx::Error>>,
{
    let mut tries = 1;
    loop {
        match enqueue().await {
            Ok(enqueued) => return Ok(Ok(enqueued)),
            Err(error) if is_about_locks(&error) => {
                if tries == MOST_TRIES {
                    return Ok(Err(error));
                }
                tries += 1;
            }
            Err(error) if is_temporary(&error) => return Err(error.into()),
            Err(error) => return Ok(Err(error)),
        }
    }
}

/// Serialization failure, deadlock, lock not available.
fn is_about_locks(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    matches!(code.as_deref(), Some("40001" | "40P01" | "55P03"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_counts_once_with_all_of_their_samples() {
        let mut found = Found::default();
        found.add_users(vec!["user_a".into(), "user_b".into()]);
        let owners = ["user_b", "user_c", "user_c"];
        found.add_samples(
            owners
                .map(|owner| (Uuid::nil(), owner.to_owned()))
                .into_iter(),
        );
        assert_eq!(found.affected(), 3);
        assert_eq!((found.user_count, found.sample_count), (2, 3));
    }

    #[test]
    fn what_one_pass_does_not_take_is_counted_all_the_same() {
        let mut found = Found::default();
        found.add_users((0..MOST_TAKEN + 5).map(|n| format!("user_{n}")).collect());
        assert_eq!(found.users.len(), MOST_TAKEN);
        assert_eq!(found.affected(), MOST_TAKEN as u64 + 5);
    }
}

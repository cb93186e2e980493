//! Sample users with real objects, for `lethe dev --seed N`.

use std::collections::HashMap;
use std::error::Error;
use std::future::Future;

use futures::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::{Builder, Uuid};

/// Objects put at the same time.
const MAX_PUTS_IN_FLIGHT: usize = 32;
/// A transaction takes whole users until it holds about this many images.
const IMAGES_PER_TRANSACTION: usize = 2_000;
/// Rows in one INSERT.
const MAX_ROWS_PER_INSERT: usize = 1_000;

/// A grey picture of one pixel: 67 bytes, about the smallest valid PNG.
const PNG: [u8; 67] = [
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b,
    0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x68, 0x00, 0x00, 0x00,
    0x82, 0x00, 0x81, 0xda, 0x45, 0x08, 0x3b, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae,
    0x42, 0x60, 0x82,
];

/// What to seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// How many users: `user_seed_1` up to this number.
    pub users: u32,
    /// Samples of each user, all in one collection.
    pub samples_per_user: u32,
    /// Images of each sample, one object each.
    pub images_per_sample: u32,
}

/// What was seeded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SeedSummary {
    /// Users that are new.
    pub users: u64,
    /// Users that were there already.
    pub users_present: u64,
    /// Users that were erased before: their tombstones keep them away.
    pub users_erased: u64,
    /// New samples.
    pub samples: u64,
    /// New images, each with its object.
    pub images: u64,
}

/// Why seeding ended early. What is committed stays; running it again goes on.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The database refused.
    #[error("cannot write the sample rows")]
    Database(#[from] sqlx::Error),
    /// An object could not be put.
    #[error("cannot put the object {key}")]
    Put {
        /// Its key.
        key: String,
        /// What the store said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The id of the n-th sample user, counted from 1.
pub fn user_id(number: u32) -> String {
    format!("user_seed_{number}")
}

/// Adds the sample users that are missing, objects first, so that no row names an object that is
/// not there. Ids and keys follow from the numbers: a run that broke off is repaired by the next.
///
/// `progress` is called with the number of users that are done.
///
/// # Errors
/// At the first row or object that is refused.
pub async fn seed<Put, Done, E>(
    pool: &PgPool,
    put: Put,
    volume: Volume,
    mut progress: impl FnMut(u32),
) -> Result<SeedSummary, SeedError>
where
    Put: Fn(String, Vec<u8>) -> Done,
    Done: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    let images_per_user = volume.samples_per_user as usize * volume.images_per_sample as usize;
    let users_per_batch = (IMAGES_PER_TRANSACTION / images_per_user.max(1)).clamp(1, 500);
    let numbers: Vec<u32> = (1..=volume.users).collect();
    let mut summary = SeedSummary::default();
    let mut done = 0;
    for batch in numbers.chunks(users_per_batch) {
        let rows = missing(pool, batch, volume, &mut summary).await?;
        put_objects(&put, &rows.object_keys).await?;
        let mut tx = pool.begin().await?;
        rows.insert(&mut tx).await?;
        tx.commit().await?;
        summary.users += rows.users.len() as u64;
        summary.samples += rows.samples.len() as u64;
        summary.images += rows.object_keys.len() as u64;
        done += batch.len() as u32;
        progress(done);
    }
    Ok(summary)
}

/// The rows of those users of the batch that neither exist nor were erased.
async fn missing(
    pool: &PgPool,
    batch: &[u32],
    volume: Volume,
    summary: &mut SeedSummary,
) -> Result<SeedRows, SeedError> {
    let ids: Vec<String> = batch.iter().map(|number| user_id(*number)).collect();
    let present: HashMap<String, bool> = sqlx::query_file!("sql/embedded/present_users.sql", &ids)
        .fetch_all(pool)
        .await?
        .into_iter()
        .map(|row| (row.id, row.is_erased))
        .collect();
    let mut rows = SeedRows::default();
    for (number, id) in batch.iter().zip(ids) {
        match present.get(&id) {
            Some(true) => summary.users_erased += 1,
            Some(false) => summary.users_present += 1,
            None => rows.add_user(*number, id, volume),
        }
    }
    Ok(rows)
}

async fn put_objects<Put, Done, E>(put: &Put, keys: &[String]) -> Result<(), SeedError>
where
    Put: Fn(String, Vec<u8>) -> Done,
    Done: Future<Output = Result<(), E>>,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    stream::iter(keys)
        .map(|key| async move {
            put(key.clone(), PNG.to_vec())
                .await
                .map_err(|error| SeedError::Put {
                    key: key.clone(),
                    source: error.into(),
                })
        })
        .buffer_unordered(MAX_PUTS_IN_FLIGHT)
        .try_collect()
        .await
}

/// The rows of some users, column by column, as `unnest` takes them.
#[derive(Debug, Default)]
struct SeedRows {
    users: Vec<String>,
    emails: Vec<String>,
    collections: Vec<Uuid>,
    samples: Vec<Uuid>,
    sample_users: Vec<String>,
    sample_collections: Vec<Uuid>,
    sample_names: Vec<String>,
    images: Vec<Uuid>,
    image_samples: Vec<Uuid>,
    object_keys: Vec<String>,
}

impl SeedRows {
    fn add_user(&mut self, number: u32, user: String, volume: Volume) {
        let collection = stable_id(&format!("{user}/collection"));
        for sample_number in 1..=volume.samples_per_user {
            let sample = stable_id(&format!("{user}/samples/{sample_number}"));
            for image_number in 1..=volume.images_per_sample {
                let key = format!("users/{user}/samples/{sample}/{image_number}.png");
                self.images.push(stable_id(&key));
                self.image_samples.push(sample);
                self.object_keys.push(key);
            }
            self.samples.push(sample);
            self.sample_users.push(user.clone());
            self.sample_collections.push(collection);
            self.sample_names.push(format!("Sample {sample_number}"));
        }
        self.collections.push(collection);
        self.emails.push(format!("seed-{number}@example.com"));
        self.users.push(user);
    }

    async fn insert(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query_file!("sql/embedded/insert_users.sql", &self.users, &self.emails)
            .execute(&mut *connection)
            .await?;
        sqlx::query_file!(
            "sql/embedded/insert_collections.sql",
            &self.collections,
            &self.users
        )
        .execute(&mut *connection)
        .await?;
        for rows in chunks(self.samples.len()) {
            sqlx::query_file!(
                "sql/embedded/insert_samples.sql",
                &self.samples[rows.clone()],
                &self.sample_users[rows.clone()],
                &self.sample_collections[rows.clone()],
                &self.sample_names[rows]
            )
            .execute(&mut *connection)
            .await?;
        }
        for rows in chunks(self.images.len()) {
            sqlx::query_file!(
                "sql/embedded/insert_images.sql",
                &self.images[rows.clone()],
                &self.image_samples[rows.clone()],
                &self.object_keys[rows]
            )
            .execute(&mut *connection)
            .await?;
        }
        Ok(())
    }
}

/// The ranges of at most [`MAX_ROWS_PER_INSERT`] rows that make up `rows` rows.
fn chunks(rows: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    (0..rows)
        .step_by(MAX_ROWS_PER_INSERT)
        .map(move |start| start..rows.min(start + MAX_ROWS_PER_INSERT))
}

/// A UUID that follows from a name (version 8, RFC 9562, section 5.8).
fn stable_id(name: &str) -> Uuid {
    let digest = Sha256::digest(name.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

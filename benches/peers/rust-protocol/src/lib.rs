//! What the Rust peers have in common: the lines they read and write (../../PROTOCOL.md), and the deletions.

use std::env;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

pub use aws_sdk_s3::Client as S3;

/// Removes one sample and its images; the argument is the sample's id as text.
pub const DELETE_ROWS: &str = "with images as (delete from sample_images where sample_id = $1::uuid) \
     delete from samples where id = $1::uuid";

/// The same for many samples; the argument is the array of their ids as text.
pub const DELETE_ROWS_OF_BATCH: &str =
    "with images as (delete from sample_images where sample_id = any($1::text[]::uuid[])) \
     delete from samples where id = any($1::text[]::uuid[])";

/// Removes one user with everything that is theirs; the argument is the user's id.
pub const DELETE_USER: &str = "with images as (delete from sample_images where sample_id in (select id from samples where user_id = $1)), \
     their_samples as (delete from samples where user_id = $1), \
     their_collections as (delete from collections where user_id = $1) \
     delete from users where id = $1";

/// Every sample with its keys, as `Sample` wants them.
pub const SAMPLES: &str =
    "select sample_id::text, array_agg(object_key) from sample_images group by sample_id";

/// Every user with the keys of all images, in the same form.
pub const USERS: &str = "select s.user_id, array_agg(i.object_key) \
     from sample_images i join samples s on s.id = i.sample_id group by s.user_id";

const REPORT_INTERVAL: Duration = Duration::from_millis(5);

/// Jobs or samples handled so far.
static HANDLED: AtomicU64 = AtomicU64::new(0);

/// What an erasure job carries: a sample or a user, and the keys of the images.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    pub keys: Vec<String>,
}

/// Counts jobs or samples as handled.
pub fn handled(count: usize) {
    HANDLED.fetch_add(count as u64, Ordering::Relaxed);
}

/// Nanoseconds since 1970.
pub fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_nanos()
}

/// Writes a line at once.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // The runner is gone when this fails; standard input ends then too.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set; start peers through benches/peers/run"))
}

/// Says how far the handlers are, whenever that has changed.
pub fn report() {
    tokio::spawn(async {
        let mut last = 0;
        loop {
            let count = HANDLED.load(Ordering::Relaxed);
            if count != last {
                last = count;
                say(&format!("handled {count}"));
            }
            tokio::time::sleep(REPORT_INTERVAL).await;
        }
    });
}

pub fn lines() -> Lines<BufReader<Stdin>> {
    BufReader::new(tokio::io::stdin()).lines()
}

pub async fn s3() -> Result<S3> {
    let shared = aws_config::defaults(aws_sdk_s3::config::BehaviorVersion::latest())
        .endpoint_url(variable("PEER_S3_ENDPOINT")?)
        .load()
        .await;
    let config = aws_sdk_s3::config::Builder::from(&shared).force_path_style(true).build();
    Ok(S3::from_conf(config))
}

/// DeleteObject for each of the sample's keys.
pub async fn delete_each(s3: &S3, sample: &Sample) -> Result<()> {
    let bucket = variable("PEER_S3_BUCKET")?;
    for key in &sample.keys {
        s3.delete_object().bucket(&bucket).key(key).send().await?;
    }
    Ok(())
}

/// One DeleteObjects for the keys of all samples, of which S3 takes 1,000.
pub async fn delete_together(s3: &S3, samples: &[Sample]) -> Result<()> {
    let keys = samples
        .iter()
        .flat_map(|sample| &sample.keys)
        .map(|key| ObjectIdentifier::builder().key(key).build())
        .collect::<Result<_, _>>()?;
    let delete = Delete::builder().set_objects(Some(keys)).quiet(true).build()?;
    let bucket = variable("PEER_S3_BUCKET")?;
    let answer = s3.delete_objects().bucket(bucket).delete(delete).send().await?;
    if !answer.errors().is_empty() {
        bail!("{} objects could not be deleted", answer.errors().len());
    }
    Ok(())
}

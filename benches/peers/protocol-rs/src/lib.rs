//! What the Rust peers have in common: the lines they read and write (../PROTOCOL.md), and DeleteObject.

use std::env;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin};

pub use aws_sdk_s3::Client as S3;

/// Removes one sample and its images; the argument is the sample's id as text.
pub const DELETE_ROWS: &str = "with images as (delete from sample_images where sample_id = $1::uuid) \
     delete from samples where id = $1::uuid";

/// Every sample with its keys, as `Sample` wants them.
pub const SAMPLES: &str =
    "select sample_id::text, array_agg(object_key) from sample_images group by sample_id";

/// Jobs or samples handled so far.
static HANDLED: AtomicU64 = AtomicU64::new(0);

/// What an erasure job carries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    pub keys: Vec<String>,
}

pub fn handled() {
    HANDLED.fetch_add(1, Ordering::Relaxed);
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
            let handled = HANDLED.load(Ordering::Relaxed);
            if handled != last {
                last = handled;
                say(&format!("handled {handled}"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
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
pub async fn delete_objects(s3: &S3, bucket: &str, sample: &Sample) -> Result<()> {
    for key in &sample.keys {
        s3.delete_object().bucket(bucket).key(key).send().await?;
    }
    Ok(())
}

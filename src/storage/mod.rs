//! The object store: deleting keys, and knowing of each whether it is gone. Knows the AWS SDK alone.

pub mod classify;
mod delete;
mod probe;
mod versions;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::primitives::ByteStream;

pub use classify::{Failure, FailureClass};
pub use delete::{Deletion, KeyOutcome, MAX_KEYS_PER_REQUEST, RequestRecord};
pub use probe::Probe;

/// Tries of one call, the first included; what still fails then waits in the queue.
const SDK_ATTEMPTS: u32 = 3;

/// Where the objects are. What is `None` comes from the AWS SDK's own chain.
#[derive(Clone)]
pub struct StoreConfig {
    /// The bucket's name.
    pub bucket: String,
    /// `http://host/bucket/key` instead of `http://bucket.host/key`.
    pub force_path_style: bool,
    /// Of one connect.
    pub connect_timeout: Duration,
    /// Of one try.
    pub attempt_timeout: Duration,
    /// Of one call with the SDK's retries.
    pub operation_timeout: Duration,
    /// An S3-compatible server's URL.
    pub endpoint: Option<String>,
    /// The bucket's region.
    pub region: Option<String>,
    /// With `secret_access_key`: static credentials.
    pub access_key_id: Option<String>,
    /// Never shown.
    pub secret_access_key: Option<String>,
    /// Never shown.
    pub session_token: Option<String>,
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("bucket", &self.bucket)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// A bucket. Clones share connections and what was learned of the server.
#[derive(Clone)]
pub struct Store {
    client: Client,
    bucket: Arc<str>,
    learned: Arc<Learned>,
}

/// What the server was found to be like.
#[derive(Default)]
struct Learned {
    /// It has no DeleteObjects.
    single_only: AtomicBool,
    /// An answer showed a delete marker: the bucket keeps versions, whatever it says.
    seen_marker: AtomicBool,
    /// Whether versions are kept, and when that was asked.
    versioned: Mutex<Option<(bool, Instant)>>,
}

impl Store {
    /// A client for the bucket. Nothing is sent yet.
    pub async fn connect(config: StoreConfig) -> Self {
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(RetryConfig::standard().with_max_attempts(SDK_ATTEMPTS))
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(config.connect_timeout)
                    .read_timeout(config.attempt_timeout)
                    .operation_attempt_timeout(config.attempt_timeout)
                    .operation_timeout(config.operation_timeout)
                    .build(),
            );
        if let Some(endpoint) = config.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(region) = config.region {
            loader = loader.region(Region::new(region));
        }
        if let (Some(id), Some(secret)) = (config.access_key_id, config.secret_access_key) {
            let credentials = Credentials::new(id, secret, config.session_token, None, "lethe");
            loader = loader.credentials_provider(credentials);
        }
        let shared = loader.load().await;
        let s3 = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(config.force_path_style)
            .build();
        Self {
            client: Client::from_conf(s3),
            bucket: config.bucket.into(),
            learned: Arc::default(),
        }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Writes an object, for sample data.
    ///
    /// # Errors
    /// What the store answered.
    pub async fn put(&self, key: String, bytes: Vec<u8>) -> Result<(), Failure> {
        self.client
            .put_object()
            .bucket(&*self.bucket)
            .key(key)
            .body(ByteStream::from(bytes))
            .send()
            .await
            .map(|_| ())
            .map_err(|error| classify::of_sdk_error(&error))
    }

    fn single_only(&self) -> bool {
        self.learned.single_only.load(Ordering::Relaxed)
    }
}

//! The object store: this module deletes keys and says of each key whether it is gone. It is built on the AWS
//! SDK.
//!
//! `delete` is the entry point. It finds out whether the bucket keeps versions (`versions`), aborts the open
//! uploads under its keys (`uploads`), and sends targets in batches, where it tells one bad key from a bucket
//! that refuses everything (`batch`). `calls` sends the single requests. `match_answers` reads their answers key
//! by key, `classify` gives each failure a class, and `locks` finds out when a lock ends. `capabilities` remembers
//! what the store cannot do, `wire` reads answers to their end, `urlcode` decodes keys in listings, `target` is a key
//! or a version of one, `key_prefixes` says which keys may be deleted, `reference` is how a task names an object,
//! `objects` reads and writes objects for tests and samples, and `probe` tries the store for `lethe check`.

mod batch;
mod calls;
mod capabilities;
mod classify;
mod delete;
mod key_prefixes;
mod locks;
mod match_answers;
mod objects;
mod probe;
mod reference;
mod target;
mod uploads;
mod urlcode;
mod versions;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Credentials, SharedHttpClient};
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::{Builder as HttpClientBuilder, Connector};

use capabilities::Capabilities;

pub use batch::MAX_KEYS_PER_REQUEST;
pub use calls::RequestRecord;
pub use classify::Failure;
pub use delete::{Deletion, KeyOutcome};
pub use key_prefixes::KeyPrefixes;
pub use probe::Probe;
pub use reference::ObjectRef;
pub use target::MAX_KEY_BYTES;

use crate::secret::Secret;

/// How often the SDK tries one call, including the first try. If all fail, the task waits in the queue.
const SDK_ATTEMPTS: u32 = 3;
/// The first pause between those tries. Long pauses are the queue's task.
const SDK_BACKOFF_BASE: Duration = Duration::from_millis(200);
const SDK_BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Connections idle for longer are closed: load balancers and NATs forget them silently after a minute
/// or so, and the next request on one would hang until its time-out.
const POOL_IDLE: Duration = Duration::from_secs(15);

/// The bucket and how it is reached. What is `None` comes from the AWS SDK's own chain (environment, profile,
/// container or instance metadata).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Bucket of the sample images, or the ARN of an access point.
    pub bucket: String,
    /// `http://host/bucket/key` instead of `http://bucket.host/key`.
    pub force_path_style: bool,
    pub connect_timeout: Duration,
    /// The limit of one try, and of each wait for a byte. It is at most `operation_timeout`.
    pub attempt_timeout: Duration,
    /// The limit of one call with the SDK's retries.
    pub operation_timeout: Duration,
    /// `http` or `https` URL of an S3-compatible server.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    /// Given together with `secret_access_key`, or not at all.
    pub access_key_id: Option<Secret>,
    pub secret_access_key: Option<Secret>,
    /// Given only with the two keys.
    pub session_token: Option<Secret>,
    /// A key outside of these is never deleted.
    pub key_prefixes: KeyPrefixes,
}

/// A bucket. Clones share the connections and what is known about the store.
#[derive(Clone)]
pub struct Store {
    client: Client,
    bucket: Arc<str>,
    capabilities: Arc<Capabilities>,
    key_prefixes: Arc<KeyPrefixes>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Makes a client for the bucket. Nothing is sent to the store yet.
    pub async fn connect(config: StoreConfig) -> Self {
        // The SDK's behaviour is pinned, and so are all of its time-outs, most of which default to none.
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(SDK_ATTEMPTS)
                    .with_initial_backoff(SDK_BACKOFF_BASE)
                    .with_max_backoff(SDK_BACKOFF_MAX),
            )
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
            let token = config.session_token.map(|token| token.expose().to_owned());
            let credentials = Credentials::new(id.expose(), secret.expose(), token, None, "lethe");
            loader = loader.credentials_provider(credentials);
        }
        let shared = loader.load().await;
        let s3 = aws_sdk_s3::config::Builder::from(&shared)
            .force_path_style(config.force_path_style)
            .build();
        Self {
            client: Client::from_conf(s3),
            bucket: config.bucket.into(),
            capabilities: Arc::default(),
            key_prefixes: Arc::new(config.key_prefixes),
        }
    }

    /// The same store with another bucket.
    #[must_use]
    pub fn with_bucket(&self, bucket: &str) -> Self {
        Self {
            bucket: bucket.into(),
            capabilities: Arc::default(),
            ..self.clone()
        }
    }

    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }
}

/// The SDK's default client (rustls, proxies from the environment), except for the pool's idle time-out.
fn http_client() -> SharedHttpClient {
    HttpClientBuilder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder()
            .proxy_config(ProxyConfig::from_env())
            .pool_idle_timeout(POOL_IDLE);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        connector
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build()
    })
}

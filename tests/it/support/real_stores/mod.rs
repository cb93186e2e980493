//! S3 servers that others wrote, started from what is installed, each on free ports of the loopback and
//! shared by the tests. They end with the test process, in whatever way it ends.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::primitives::{ByteStream, DateTime};
use aws_sdk_s3::types::{
    BucketVersioningStatus, EncodingType, ObjectLockLegalHold, ObjectLockLegalHoldStatus,
    ObjectLockRetention, ObjectLockRetentionMode, VersioningConfiguration,
};
use futures::stream::{self, StreamExt as _};
use lethe::storage::{KeyPrefixes, Store, StoreConfig};
use tokio::sync::OnceCell;
use uuid::Uuid;

const ACCESS_KEY: &str = "test";
const SECRET_KEY: &str = "test-secret";
const REGION: &str = "us-east-1";
/// A port that was free may be taken before the server has it.
const START_ATTEMPTS: u32 = 3;
/// Requests at once while a test fills a bucket.
const FILL_CONCURRENCY: usize = 16;

static RADOSGW: OnceCell<Server> = OnceCell::const_new();
static MOTO: OnceCell<Server> = OnceCell::const_new();

/// A server that runs.
pub struct Server {
    url: String,
    /// It stops when the input of its script closes, at the latest with this process.
    _script: Child,
}

/// The gateway of a Ceph cluster of one.
pub async fn radosgw() -> &'static Server {
    RADOSGW
        .get_or_init(|| async {
            for program in ["ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph"] {
                assert!(
                    installed(program),
                    "{program} is not installed: run scripts/setup-stores, or as root: apt-get \
                     install --no-install-recommends ceph-mon ceph-osd radosgw ceph-common"
                );
            }
            let start = || start("radosgw", &[free_port().to_string()]);
            tokio::task::spawn_blocking(start).await.unwrap()
        })
        .await
}

/// moto, from PyPI.
pub async fn moto() -> &'static Server {
    MOTO.get_or_init(|| async {
        let program = root().join("target/moto/bin/moto_server");
        assert!(
            program.exists(),
            "{} is not there: run scripts/setup-stores",
            program.display()
        );
        let program = program.to_string_lossy().into_owned();
        let start = move || start("moto", &[program]);
        tokio::task::spawn_blocking(start).await.unwrap()
    })
    .await
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Runs a script with these arguments and a free port until it says that it is ready.
fn start(script: &str, arguments: &[String]) -> Server {
    for _ in 0..START_ATTEMPTS {
        let port = free_port();
        let mut shell = Command::new(root().join("tests/it/support/real_stores").join(script))
            .args(arguments)
            .arg(port.to_string())
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(shell.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        if said == "ready\n" {
            return Server {
                url: format!("http://127.0.0.1:{port}"),
                _script: shell,
            };
        }
        shell.wait().unwrap();
    }
    panic!("{script} does not start");
}

/// A bucket of its own for each test, with what tests do to it behind Lethe's back.
pub struct Bucket {
    pub name: String,
    pub client: Client,
    url: String,
}

impl Server {
    pub async fn bucket(&self) -> Bucket {
        self.make_bucket(false).await
    }

    /// With object lock, and so with versions.
    pub async fn bucket_with_locks(&self) -> Bucket {
        self.make_bucket(true).await
    }

    async fn make_bucket(&self, locks: bool) -> Bucket {
        let bucket = Bucket {
            name: format!("t-{}", Uuid::new_v4().simple()),
            client: client(&self.url),
            url: self.url.clone(),
        };
        bucket
            .client
            .create_bucket()
            .bucket(&bucket.name)
            .set_object_lock_enabled_for_bucket(locks.then_some(true))
            .send()
            .await
            .unwrap();
        bucket
    }
}

fn client(url: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .credentials_provider(Credentials::new(
            ACCESS_KEY, SECRET_KEY, None, None, "tests",
        ))
        .region(Region::new(REGION))
        .endpoint_url(url)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

impl Bucket {
    fn config(&self) -> StoreConfig {
        StoreConfig {
            bucket: self.name.clone(),
            force_path_style: true,
            connect_timeout: Duration::from_secs(5),
            attempt_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            endpoint: Some(self.url.clone()),
            region: Some(REGION.to_owned()),
            access_key_id: Some(ACCESS_KEY.into()),
            secret_access_key: Some(SECRET_KEY.into()),
            session_token: None,
            key_prefixes: KeyPrefixes::default(),
        }
    }

    /// Lethe's view of it.
    pub async fn store(&self) -> Store {
        Store::connect(self.config()).await
    }

    /// The same with something else in its configuration.
    pub async fn store_with(&self, change: impl FnOnce(&mut StoreConfig)) -> Store {
        let mut config = self.config();
        change(&mut config);
        Store::connect(config).await
    }

    pub async fn keep_versions(&self, status: BucketVersioningStatus) {
        let configuration = VersioningConfiguration::builder().status(status).build();
        self.client
            .put_bucket_versioning()
            .bucket(&self.name)
            .versioning_configuration(configuration)
            .send()
            .await
            .unwrap();
    }

    pub async fn put(&self, key: &str) {
        self.client
            .put_object()
            .bucket(&self.name)
            .key(key)
            .body(ByteStream::from_static(b"x"))
            .send()
            .await
            .unwrap();
    }

    pub async fn put_all(&self, keys: &[String]) {
        stream::iter(keys)
            .for_each_concurrent(FILL_CONCURRENCY, |key| self.put(key))
            .await;
    }

    /// Hides it behind a marker.
    pub async fn hide(&self, key: &str) {
        let request = self.client.delete_object().bucket(&self.name).key(key);
        request.send().await.unwrap();
    }

    /// Deletes the newest version of the object itself, whatever hides it.
    pub async fn forget_newest_object(&self, key: &str) {
        let list = self.client.list_object_versions().bucket(&self.name);
        let page = list.prefix(key).send().await.unwrap();
        self.client
            .delete_object()
            .bucket(&self.name)
            .key(key)
            .version_id(page.versions()[0].version_id().unwrap())
            .send()
            .await
            .unwrap();
    }

    pub async fn lock(&self, key: &str, seconds_from_now: i64) {
        let until = chrono::Utc::now().timestamp() + seconds_from_now;
        let retention = ObjectLockRetention::builder()
            .mode(ObjectLockRetentionMode::Compliance)
            .retain_until_date(DateTime::from_secs(until))
            .build();
        self.client
            .put_object_retention()
            .bucket(&self.name)
            .key(key)
            .retention(retention)
            .send()
            .await
            .unwrap();
    }

    pub async fn hold_legally(&self, key: &str, status: ObjectLockLegalHoldStatus) {
        let hold = ObjectLockLegalHold::builder().status(status).build();
        self.client
            .put_object_legal_hold()
            .bucket(&self.name)
            .key(key)
            .legal_hold(hold)
            .send()
            .await
            .unwrap();
    }

    pub async fn set_policy(&self, policy: String) {
        self.client
            .put_bucket_policy()
            .bucket(&self.name)
            .policy(policy)
            .send()
            .await
            .unwrap();
    }

    /// Opens an upload and sends its first part.
    pub async fn open_upload(&self, key: &str) {
        let (client, name) = (&self.client, &self.name);
        let upload = client
            .create_multipart_upload()
            .bucket(name)
            .key(key)
            .send()
            .await
            .unwrap();
        client
            .upload_part()
            .bucket(name)
            .key(key)
            .upload_id(upload.upload_id().unwrap())
            .part_number(1)
            .body(ByteStream::from_static(b"part"))
            .send()
            .await
            .unwrap();
    }

    /// Keys of open uploads, in order.
    pub async fn uploads(&self) -> Vec<String> {
        let request = self.client.list_multipart_uploads().bucket(&self.name);
        let page = request.send().await.unwrap();
        assert_ne!(page.is_truncated(), Some(true));
        let keys = page.uploads().iter().filter_map(|upload| upload.key());
        let mut keys: Vec<String> = keys.map(str::to_owned).collect();
        keys.sort();
        keys
    }

    /// The keys of every version and marker, in order; one for each.
    pub async fn versions(&self) -> Vec<String> {
        let mut keys = Vec::new();
        let (mut key, mut id) = (None, None);
        loop {
            let page = self
                .client
                .list_object_versions()
                .bucket(&self.name)
                .encoding_type(EncodingType::Url)
                .set_key_marker(key)
                .set_version_id_marker(id)
                .send()
                .await
                .unwrap();
            let versions = page.versions().iter().filter_map(|version| version.key());
            let markers = page.delete_markers().iter().filter_map(|m| m.key());
            let encoded = page.encoding_type() == Some(&EncodingType::Url);
            keys.extend(versions.chain(markers).map(|key| decoded(key, encoded)));
            if page.is_truncated() != Some(true) {
                break;
            }
            key = page.next_key_marker().map(str::to_owned);
            id = page.next_version_id_marker().map(str::to_owned);
        }
        keys.sort();
        keys
    }
}

fn decoded(key: &str, encoded: bool) -> String {
    if !encoded {
        return key.to_owned();
    }
    let key = percent_encoding::percent_decode_str(key);
    key.decode_utf8().unwrap().into_owned()
}

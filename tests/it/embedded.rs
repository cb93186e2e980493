//! What `lethe dev` starts by itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use lethe::cli::send_webhook;
use lethe::embedded::seed::{SeedSummary, Volume, seed};
use lethe::embedded::{
    DevState, DirectoryLock, Embedded, EmbeddedError, EmbeddedOptions, EmbeddedS3, LockError,
    PostgresError, PostgresOptions, PrivatePostgres, S3Options, StateError,
};
use lethe::storage::{Store, StoreConfig};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::world::World;

/// A directory that goes when the test ends, in whatever way.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        let name = format!("lethe-test-{}", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn kept_in(data_dir: &Path) -> PostgresOptions {
    PostgresOptions {
        data_dir: data_dir.to_owned(),
        durable: true,
        temporary: false,
        ..PostgresOptions::temporary()
    }
}

async fn connect(postgres: &PrivatePostgres, database: &str) -> PgConnection {
    PgConnection::connect(&postgres.url(database))
        .await
        .unwrap()
}

async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_temporary_postgres_starts_and_leaves_nothing_behind() {
    let mut options = PostgresOptions::temporary();
    options
        .settings
        .push(("max_connections".to_owned(), "17".to_owned()));
    let data_dir = options.data_dir.clone();
    let postgres = PrivatePostgres::start(options).await.unwrap();

    let mut connection = connect(&postgres, "postgres").await;
    let settings: (String, String, String, String) = sqlx::query_as(
        "select current_setting('max_connections'), current_setting('fsync'),
                current_setting('listen_addresses'), current_setting('server_encoding')",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let expected = ("17", "off", "127.0.0.1", "UTF8");
    assert_eq!(
        settings,
        (
            expected.0.into(),
            expected.1.into(),
            expected.2.into(),
            expected.3.into()
        )
    );
    assert_eq!(mode(&data_dir.join("password")), 0o600);

    let port = postgres.port();
    postgres.stop().await.unwrap();
    assert!(!data_dir.exists());
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn a_temporary_postgres_refuses_a_directory_that_it_did_not_make() {
    let directory = TempDir::new();
    let options = PostgresOptions {
        data_dir: directory.0.clone(),
        ..PostgresOptions::temporary()
    };
    assert!(PrivatePostgres::start(options).await.is_err());
    assert!(directory.0.exists());
}

#[tokio::test]
async fn postgres_wants_the_password() {
    let postgres = PrivatePostgres::start(PostgresOptions::temporary())
        .await
        .unwrap();
    let url = format!(
        "postgres://lethe:wrong@127.0.0.1:{}/postgres",
        postgres.port()
    );
    assert!(PgConnection::connect(&url).await.is_err());
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_restart_keeps_the_data_and_the_password() {
    let directory = TempDir::new();
    let postgres = PrivatePostgres::start(kept_in(&directory.join("pg")))
        .await
        .unwrap();
    postgres.create_database("kept").await.unwrap();
    postgres.create_database("kept").await.unwrap();
    let mut connection = connect(&postgres, "kept").await;
    sqlx::raw_sql("create table t (n int); insert into t values (42)")
        .execute(&mut connection)
        .await
        .unwrap();
    postgres.stop().await.unwrap();

    let postgres = PrivatePostgres::start(kept_in(&directory.join("pg")))
        .await
        .unwrap();
    let mut connection = connect(&postgres, "kept").await;
    let kept: i32 = sqlx::query_scalar("select n from t")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 42);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_killed_postgres_recovers_at_the_next_start() {
    let directory = TempDir::new();
    let postgres = PrivatePostgres::start(kept_in(&directory.join("pg")))
        .await
        .unwrap();
    let mut connection = connect(&postgres, "postgres").await;
    sqlx::raw_sql("create table t (n int); insert into t values (42)")
        .execute(&mut connection)
        .await
        .unwrap();
    let pid_file = directory.join("pg").join("cluster/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let pid = text.lines().next().unwrap();
    assert!(
        Command::new("kill")
            .args(["-9", pid])
            .status()
            .unwrap()
            .success()
    );
    drop(postgres);
    assert!(pid_file.exists());

    let postgres = PrivatePostgres::start(kept_in(&directory.join("pg")))
        .await
        .unwrap();
    let mut connection = connect(&postgres, "postgres").await;
    let kept: i32 = sqlx::query_scalar("select n from t")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, 42);
    postgres.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_file_that_names_somebody_else_is_no_obstacle() {
    let directory = TempDir::new();
    let postgres = PrivatePostgres::start(kept_in(&directory.join("pg")))
        .await
        .unwrap();
    let pid_file = directory.join("pg").join("cluster/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    postgres.stop().await.unwrap();
    let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
    let rest = text.split_once('\n').unwrap().1;
    fs::write(&pid_file, format!("{}\n{rest}", bystander.id())).unwrap();

    let postgres = PrivatePostgres::start(kept_in(&directory.join("pg")))
        .await
        .unwrap();
    postgres.stop().await.unwrap();
    assert!(
        bystander.try_wait().unwrap().is_none(),
        "the bystander was killed"
    );
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn a_dropped_postgres_is_stopped_by_its_guardian_and_removed() {
    let options = PostgresOptions::temporary();
    let data_dir = options.data_dir.clone();
    let postgres = PrivatePostgres::start(options).await.unwrap();
    drop(postgres);
    wait_until("the removal", async || !data_dir.exists()).await;
}

#[tokio::test]
async fn postgres_ends_with_a_killed_parent_and_starts_again_at_once() {
    // This test starts itself once more, as the parent that is to be killed.
    const DATA_DIR: &str = "LETHE_TEST_DATA_DIR";
    if let Some(data_dir) = std::env::var_os(DATA_DIR) {
        return start_a_postgres_and_wait(Path::new(&data_dir)).await;
    }
    let directory = TempDir::new();
    let data_dir = directory.join("pg");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "embedded::postgres_ends_with_a_killed_parent_and_starts_again_at_once",
        ])
        .env(DATA_DIR, &data_dir)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ready = data_dir.with_extension("ready");
    wait_until("the start", async || ready.exists()).await;

    let held = PrivatePostgres::start(kept_in(&data_dir))
        .await
        .unwrap_err();
    assert!(
        matches!(held, PostgresError::Locked(LockError::Held { .. })),
        "{held}"
    );

    parent.kill().unwrap();
    parent.wait().unwrap();
    let postgres = PrivatePostgres::start(kept_in(&data_dir)).await.unwrap();
    drop(connect(&postgres, "postgres").await);
    drop(postgres);
    let pid_file = data_dir.join("cluster/postmaster.pid");
    wait_until("the end", async || !pid_file.exists()).await;
}

async fn start_a_postgres_and_wait(data_dir: &Path) {
    let postgres = PrivatePostgres::start(kept_in(data_dir)).await.unwrap();
    fs::write(
        data_dir.with_extension("ready"),
        postgres.port().to_string(),
    )
    .unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test]
async fn a_data_directory_that_postgres_cannot_reach_becomes_a_link() {
    let directory = TempDir::new();
    let closed = directory.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let data_dir = closed.join("state/pg");
    let postgres = PrivatePostgres::start(kept_in(&data_dir)).await.unwrap();
    postgres.create_database("kept").await.unwrap();
    let real = postgres.directory().to_owned();
    postgres.stop().await.unwrap();

    // An ordinary user runs PostgreSQL itself, and needs no link.
    assert_eq!(data_dir.canonicalize().unwrap(), real);
    let postgres = PrivatePostgres::start(kept_in(&data_dir)).await.unwrap();
    drop(connect(&postgres, "kept").await);
    postgres.stop().await.unwrap();
    fs::remove_dir_all(real).unwrap();
}

#[tokio::test]
async fn a_taken_port_and_a_bad_setting_are_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = PostgresOptions {
        port: Some(port),
        ..PostgresOptions::temporary()
    };
    let data_dir = options.data_dir.clone();
    let error = PrivatePostgres::start(options).await.unwrap_err();
    assert!(
        matches!(error, PostgresError::PortTaken(taken) if taken == port),
        "{error}"
    );
    assert!(!data_dir.exists());

    let mut options = PostgresOptions::temporary();
    let data_dir = options.data_dir.clone();
    options
        .settings
        .push(("no_such_setting".to_owned(), "1".to_owned()));
    let error = PrivatePostgres::start(options)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("unrecognized configuration parameter"),
        "{error}"
    );
    assert!(!data_dir.exists());
}

async fn start_s3(root: &Path) -> EmbeddedS3 {
    EmbeddedS3::start(S3Options {
        root: root.to_owned(),
        bucket: "lethe".to_owned(),
        port: None,
        access_key: "key".to_owned(),
        secret_key: "secret".to_owned(),
    })
    .await
    .unwrap()
}

fn client(url: &str, access_key: &str, secret_key: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .force_path_style(true)
        .credentials_provider(Credentials::new(access_key, secret_key, None, None, "test"))
        .build();
    Client::from_conf(config)
}

async fn put(client: &Client, key: &str, bytes: &'static [u8]) {
    let body = ByteStream::from_static(bytes);
    client
        .put_object()
        .bucket("lethe")
        .key(key)
        .body(body)
        .send()
        .await
        .unwrap();
}

fn delete(keys: &[&str]) -> Delete {
    let objects = keys
        .iter()
        .map(|key| ObjectIdentifier::builder().key(*key).build().unwrap());
    Delete::builder()
        .set_objects(Some(objects.collect()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn s3_keeps_objects_over_a_restart() {
    let directory = TempDir::new();
    let s3 = start_s3(&directory.0).await;
    put(
        &client(&s3.url(), "key", "secret"),
        "users/u/1.png",
        b"bytes",
    )
    .await;
    s3.stop().await;

    let s3 = start_s3(&directory.0).await;
    let client = client(&s3.url(), "key", "secret");
    let got = client
        .get_object()
        .bucket("lethe")
        .key("users/u/1.png")
        .send()
        .await
        .unwrap();
    assert_eq!(
        got.body.collect().await.unwrap().into_bytes().as_ref(),
        b"bytes"
    );
    s3.stop().await;
}

#[tokio::test]
async fn s3_answers_for_each_key_and_forgets_all_of_a_deleted_object() {
    let directory = TempDir::new();
    let s3 = start_s3(&directory.0).await;
    let client = client(&s3.url(), "key", "secret");
    put(&client, "a/b", b"1").await;
    put(&client, "c", b"2").await;
    // The folder of an object, another spelling of it, and what is not there, are no objects.
    let keys = ["a", "a/./b", "../lethe/a/b", "c", "missing"];
    let answer = client
        .delete_objects()
        .bucket("lethe")
        .delete(delete(&keys))
        .send()
        .await
        .unwrap();
    let deleted: Vec<_> = answer
        .deleted()
        .iter()
        .filter_map(|object| object.key())
        .collect();
    assert_eq!(deleted, keys);
    assert!(answer.errors().is_empty());
    client
        .head_object()
        .bucket("lethe")
        .key("a/b")
        .send()
        .await
        .unwrap();
    let body = ByteStream::from_static(b"3");
    let refused = client
        .put_object()
        .bucket("lethe")
        .key("a/./b")
        .body(body)
        .send()
        .await;
    assert_eq!(refused.unwrap_err().code(), Some("InvalidArgument"));

    client
        .delete_object()
        .bucket("lethe")
        .key("a/b")
        .send()
        .await
        .unwrap();
    let left: Vec<_> = fs::read_dir(&directory.0)
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(left, ["lethe"], "files about deleted objects are left");
    s3.stop().await;
}

#[tokio::test]
async fn s3_knows_a_missing_bucket_a_wrong_secret_and_no_versions() {
    let directory = TempDir::new();
    let s3 = start_s3(&directory.0).await;
    let right = client(&s3.url(), "key", "secret");
    let missing = right
        .delete_objects()
        .bucket("nowhere")
        .delete(delete(&["a"]))
        .send()
        .await;
    assert_eq!(missing.unwrap_err().code(), Some("NoSuchBucket"));
    let versions = right
        .get_bucket_versioning()
        .bucket("lethe")
        .send()
        .await
        .unwrap();
    assert_eq!(versions.status(), None);

    let wrong = client(&s3.url(), "key", "guess");
    let refused = wrong
        .head_bucket()
        .bucket("lethe")
        .send()
        .await
        .unwrap_err();
    assert_eq!(refused.raw_response().unwrap().status().as_u16(), 403);
    s3.stop().await;
}

#[tokio::test]
async fn s3_lists_open_uploads_by_page_and_the_erasure_of_a_key_aborts_those_of_that_key() {
    let directory = TempDir::new();
    let s3 = start_s3(&directory.0).await;
    let client = client(&s3.url(), "key", "secret");
    for key in ["u/a", "u/a", "u/a b+é", "u/ab", "v"] {
        let upload = client.create_multipart_upload().bucket("lethe").key(key);
        upload.send().await.unwrap();
    }
    let mut pages = Vec::new();
    let (mut key, mut id) = (None, None);
    loop {
        let request = client.list_multipart_uploads().bucket("lethe").prefix("u/");
        let request = request
            .max_uploads(2)
            .set_key_marker(key)
            .set_upload_id_marker(id);
        let page = request.send().await.unwrap();
        let keys = page
            .uploads()
            .iter()
            .map(|upload| upload.key().unwrap().to_owned());
        pages.push(Vec::from_iter(keys));
        if page.is_truncated() != Some(true) {
            break;
        }
        key = page.next_key_marker().map(str::to_owned);
        id = page.next_upload_id_marker().map(str::to_owned);
    }
    assert_eq!(pages, [["u/a", "u/a"], ["u/a b+é", "u/ab"]]);

    let world = World::new().await;
    let store = Store::connect(StoreConfig {
        endpoint: Some(s3.url()),
        access_key_id: Some("key".into()),
        secret_access_key: Some("secret".into()),
        ..world.store_config()
    })
    .await;
    store
        .delete(&["u/a".to_owned(), "u/a b+é".to_owned()])
        .await;
    let page = client
        .list_multipart_uploads()
        .bucket("lethe")
        .send()
        .await
        .unwrap();
    let left: Vec<_> = page
        .uploads()
        .iter()
        .filter_map(|upload| upload.key())
        .collect();
    assert_eq!(left, ["u/ab", "v"]);
    s3.stop().await;
}

#[test]
fn secrets_survive_and_are_private() {
    let directory = TempDir::new();
    let path = directory.join(".lethe");
    let first = DevState::open(&path).unwrap().secrets().clone();
    assert!(svix::webhooks::Webhook::new(&first.webhook_signing_secret).is_ok());
    assert_eq!(mode(&path.join("state.json")), 0o600);

    let second = DevState::open(&path).unwrap().secrets().clone();
    assert_eq!(first.admin_token, second.admin_token);
    assert_eq!(first.clerk_private_key, second.clerk_private_key);
}

#[test]
fn a_directory_that_existed_keeps_its_mode() {
    let directory = TempDir::new();
    let shared = directory.join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, fs::Permissions::from_mode(0o1777)).unwrap();
    drop(DevState::open(&shared).unwrap());
    assert_eq!(mode(&shared), 0o777);
    assert_eq!(mode(&shared.join("state.json")), 0o600);
    let own = directory.join("own");
    drop(DevState::open(&own).unwrap());
    assert_eq!(mode(&own), 0o711);
}

#[test]
fn a_state_directory_serves_one_process_at_a_time() {
    let directory = TempDir::new();
    let state = DevState::open(&directory.0).unwrap();
    let held = DevState::open(&directory.0).err().unwrap();
    assert!(matches!(held, StateError::Locked(LockError::Held { .. })));
    let message = held.to_string();
    assert!(
        message.contains(&format!("process {}", std::process::id())),
        "{message}"
    );
    drop(state);
    assert!(DirectoryLock::take(&directory.0).is_ok());
}

#[test]
fn a_damaged_state_file_is_told_and_not_overwritten() {
    let directory = TempDir::new();
    fs::write(directory.join("state.json"), "{").unwrap();
    assert!(matches!(
        DevState::open(&directory.0),
        Err(StateError::Unreadable { .. })
    ));
    assert_eq!(
        fs::read_to_string(directory.join("state.json")).unwrap(),
        "{"
    );
}

#[tokio::test]
async fn an_empty_environment_is_filled_and_comes_back_the_same() {
    let directory = TempDir::new();
    let options = EmbeddedOptions {
        data_dir: directory.join(".lethe"),
    };
    let embedded = Embedded::start(options.clone(), |_| None).await.unwrap();
    let variables = embedded.variables().to_vec();
    let names: Vec<_> = variables.iter().map(|(name, _)| name.as_str()).collect();
    for name in [
        "DATABASE_URL",
        "S3_BUCKET",
        "AWS_ENDPOINT_URL_S3",
        "AWS_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "CLERK_WEBHOOK_SIGNING_SECRET",
        "CLERK_JWT_KEY",
        "ADMIN_API_TOKENS",
    ] {
        assert!(names.contains(&name), "{name} is missing");
    }
    let url = embedded.postgres_url().unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // The role has the name of Lethe's schema, and a table that is created there belongs to nobody's map.
    sqlx::raw_sql("create schema lethe; create table todo (id int)")
        .execute(&mut connection)
        .await
        .unwrap();
    let schema: String = sqlx::query_scalar(
        "select relnamespace::regnamespace::text from pg_class where relname = 'todo'",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(schema, "public");
    connection.close().await.unwrap();
    assert!(matches!(
        Embedded::start(options.clone(), |_| None).await,
        Err(EmbeddedError::State(StateError::Locked(_)))
    ));
    embedded.stop().await.unwrap();

    let embedded = Embedded::start(options, |_| None).await.unwrap();
    assert_eq!(embedded.variables(), variables);
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_environment_brings_is_not_embedded() {
    let directory = TempDir::new();
    let options = EmbeddedOptions {
        data_dir: directory.join(".lethe"),
    };
    let embedded = Embedded::start(options, |name| match name {
        "DATABASE_URL" | "S3_BUCKET" | "ADMIN_API_TOKENS_FILE" | "CLERK_JWKS_URL" => {
            Some("given".to_owned())
        }
        "CLERK_WEBHOOK_SIGNING_SECRET" => Some("  ".to_owned()),
        _ => None,
    })
    .await
    .unwrap();
    let names: Vec<_> = embedded
        .variables()
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["CLERK_WEBHOOK_SIGNING_SECRET"]);
    assert!(embedded.clerk().is_none() && embedded.s3_url().is_none());
    embedded.stop().await.unwrap();
}

#[tokio::test]
async fn seeding_puts_objects_before_rows_and_can_be_repeated() {
    let postgres = PrivatePostgres::start(PostgresOptions::temporary())
        .await
        .unwrap();
    let pool = PgPoolOptions::new()
        .connect(&postgres.url("postgres"))
        .await
        .unwrap();
    sqlx::raw_sql(
        "create table public.users (id text primary key, email text);
         create schema lethe;
         create table lethe.user_tombstones (user_id text primary key);
         create table public.collections (id uuid primary key, user_id text references public.users, name text);
         create table public.samples (id uuid primary key, user_id text references public.users,
                               collection_id uuid references public.collections, name text);
         create table public.sample_images (id uuid primary key, sample_id uuid references public.samples,
                                     object_key text not null);
         insert into lethe.user_tombstones values ('user_seed_2')",
    )
    .execute(&pool)
    .await
    .unwrap();
    let volume = Volume {
        users: 3,
        samples_per_user: 40,
        images_per_sample: 30,
    };

    let broken = seed(&pool, async |_, _| Err::<(), _>("no store"), volume, |_| {}).await;
    assert!(
        broken
            .unwrap_err()
            .to_string()
            .contains("users/user_seed_1/samples/")
    );
    let users: i64 = sqlx::query_scalar("select count(*) from users")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(users, 0, "a row came before its object");

    let puts = Arc::new(AtomicUsize::new(0));
    let put = async |_key: String, bytes: Vec<u8>| {
        assert!(bytes.starts_with(b"\x89PNG\r\n"));
        puts.fetch_add(1, Ordering::Relaxed);
        Ok::<(), std::io::Error>(())
    };
    let mut last = 0;
    let first = seed(&pool, put, volume, |done| last = done).await.unwrap();
    let expected = SeedSummary {
        users: 2,
        users_present: 0,
        users_erased: 1,
        samples: 80,
        images: 2_400,
    };
    assert_eq!(
        (first, last, puts.load(Ordering::Relaxed)),
        (expected, 3, 2_400)
    );
    let keys: i64 = sqlx::query_scalar(
        "select count(distinct object_key) from sample_images
         join samples on samples.id = sample_id
         where object_key like 'users/' || user_id || '/samples/' || samples.id || '/%.png'",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(keys, 2_400);

    let again = seed(&pool, put, volume, |_| {}).await.unwrap();
    assert_eq!((again.users, again.users_present, again.images), (0, 2, 0));
    pool.close().await;
    postgres.stop().await.unwrap();
}

/// Answers one request with 204 and gives it back, head and body.
async fn one_request(listener: TcpListener) -> (String, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut text = String::new();
    loop {
        let mut buffer = [0; 4_096];
        let read = stream.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && (read == 0 || body.ends_with('}'))
        {
            stream
                .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
                .await
                .unwrap();
            return (head.to_owned(), body.to_owned());
        }
    }
}

#[tokio::test]
async fn a_sent_webhook_is_signed_and_its_repeat_has_the_same_body() {
    let secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/webhooks/clerk", listener.local_addr().unwrap());
        let server = tokio::spawn(one_request(listener));
        let id = Some("msg_1".to_owned());
        let delivery = send_webhook::send(&url, &secret.parse().unwrap(), "user_1", id)
            .await
            .unwrap();
        assert_eq!((delivery.status, delivery.svix_id.as_str()), (204, "msg_1"));

        let (head, body) = server.await.unwrap();
        let mut headers = http::HeaderMap::new();
        for line in head.lines().skip(1) {
            let (name, value) = line.split_once(": ").unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        svix::webhooks::Webhook::new(secret)
            .unwrap()
            .verify(body.as_bytes(), &headers)
            .unwrap();
        bodies.push(body);
    }
    assert_eq!(bodies[0], bodies[1]);
}

//! A world of its own for each test: a clone of a migrated template database on a private PostgreSQL that
//! all tests share, a hostile S3 of its own, and workers that run inside the test or as processes.

use std::panic::Location;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use lethe::db::url::DatabaseUrl;
use lethe::embedded::{PostgresOptions, PrivatePostgres};
use lethe::storage::{KeyPrefixes, Store, StoreConfig};
use lethe::telemetry::metrics::Metrics;
use lethe::vocabulary::WakeSource;
use lethe::worker::{self, Cleanup, WorkerOptions, WorkerStatus};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::hostile_s3::HostileS3;
use lethe::map::apply::apply;
use lethe::map::format::{BUILT_IN, ErasureMap};
use lethe::schema::MIGRATOR;

/// Longer than anything a test waits for on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

static POSTGRES: OnceCell<PrivatePostgres> = OnceCell::const_new();

async fn postgres() -> &'static PrivatePostgres {
    POSTGRES
        .get_or_init(|| async {
            let mut options = PostgresOptions::temporary();
            options
                .settings
                .push(("max_connections".into(), "400".into()));
            let postgres = PrivatePostgres::start(options).await.unwrap();
            postgres.create_database("template_lethe").await.unwrap();
            let url = postgres.url("template_lethe");
            let mut connection = PgConnection::connect(&url).await.unwrap();
            migrate(&mut connection).await;
            connection.close().await.unwrap();
            postgres
        })
        .await
}

/// Applies the migrations and the built-in map, as `lethe migrate` does.
pub async fn migrate(connection: &mut PgConnection) {
    MIGRATOR.run(&mut *connection).await.unwrap();
    apply_built_in_map(connection).await;
}

pub async fn apply_built_in_map(connection: &mut PgConnection) {
    let map = ErasureMap::built_in().unwrap();
    apply(connection, &map, BUILT_IN, false).await.unwrap();
}

/// A test's world.
pub struct World {
    pub url: String,
    pub pool: PgPool,
    pub s3: HostileS3,
}

impl World {
    pub async fn new() -> Self {
        Self::of_template("template_lethe").await
    }

    /// On a database without a table.
    pub async fn unmigrated() -> Self {
        Self::of_template("template0").await
    }

    async fn of_template(template: &str) -> Self {
        let postgres = postgres().await;
        let name = format!("t_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&postgres.url("postgres"))
            .await
            .unwrap();
        // Clones of one template are made one at a time: PostgreSQL refuses a template in use.
        sqlx::query("select pg_advisory_lock(1)")
            .execute(&mut admin)
            .await
            .unwrap();
        let create = format!("create database {name} template {template}");
        sqlx::query(sqlx::AssertSqlSafe(create))
            .execute(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        let url = postgres.url(&name);
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .connect(&url)
            .await
            .unwrap();
        Self {
            url,
            pool,
            s3: HostileS3::start().await,
        }
    }

    /// Starts a worker inside the test.
    pub async fn worker(&self) -> RunningWorker {
        self.worker_with(quick()).await
    }

    pub async fn worker_with(&self, cleanup: Cleanup) -> RunningWorker {
        let store = Store::connect(self.store_config()).await;
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .connect(&self.url)
            .await
            .unwrap();
        let options = WorkerOptions {
            name: "test".into(),
            cleanup,
            delete_rate: None,
            listen_url: self.url.parse().unwrap(),
        };
        let shutdown = CancellationToken::new();
        let status = Arc::new(WorkerStatus::default());
        let metrics = Metrics::new().unwrap();
        let run = worker::run(
            pool,
            store,
            options,
            metrics.clone(),
            status.clone(),
            shutdown.clone(),
        );
        RunningWorker {
            shutdown,
            status,
            metrics,
            task: tokio::spawn(run),
        }
    }

    pub fn store_config(&self) -> StoreConfig {
        StoreConfig {
            bucket: "lethe".into(),
            force_path_style: true,
            connect_timeout: Duration::from_secs(3),
            attempt_timeout: Duration::from_secs(20),
            operation_timeout: Duration::from_secs(60),
            endpoint: Some(self.s3.url()),
            region: Some("us-east-1".into()),
            access_key_id: Some("test".into()),
            secret_access_key: Some("test-secret".into()),
            session_token: None,
            key_prefixes: KeyPrefixes::default(),
        }
    }

    /// Starts `lethe <arguments>` as a process of its own, with this world's servers in its environment.
    pub fn process(&self, arguments: &[&str], more: &[(&str, &str)]) -> tokio::process::Child {
        self.command(arguments, more).spawn().unwrap()
    }

    /// The same, and everything it says goes to `log`.
    pub fn logged(
        &self,
        arguments: &[&str],
        more: &[(&str, &str)],
        log: &Log,
    ) -> tokio::process::Child {
        let mut command = self.command(arguments, more);
        command.stdout(log.open()).stderr(log.open());
        command.spawn().unwrap()
    }

    /// Runs `lethe <arguments>` to its end, and returns what it said.
    pub async fn run(&self, arguments: &[&str], more: &[(&str, &str)]) -> std::process::Output {
        let mut command = self.command(arguments, more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = tokio::time::timeout(PATIENCE, command.output()).await;
        output.unwrap().unwrap()
    }

    fn command(&self, arguments: &[&str], more: &[(&str, &str)]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_lethe"));
        command.args(arguments).env_clear();
        let url: DatabaseUrl = self.url.parse().unwrap();
        if !url.is_local() {
            // A network of the test's own, without certificates.
            command.env("ALLOW_INSECURE", "database");
        }
        command
            .env("DATABASE_URL", &self.url)
            .env("S3_BUCKET", "lethe")
            .env("AWS_ENDPOINT_URL_S3", self.s3.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test-secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("CLEANUP_POLL_INTERVAL_MS", "200")
            .env("CLEANUP_LEASE_MS", "1500")
            .env("CLEANUP_BACKOFF_BASE_MS", "100")
            .env("CLEANUP_BACKOFF_MAX_MS", "300")
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// A user with a collection.
    pub async fn user(&self, id: &str) -> Uuid {
        sqlx::query("insert into users (id, email) values ($1, $1 || '@example.com')")
            .bind(id)
            .execute(&self.pool)
            .await
            .unwrap();
        sqlx::query_scalar("insert into collections (user_id, name) values ($1, 'c') returning id")
            .bind(id)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// A sample of a user with objects of these keys.
    pub async fn sample(&self, user: &str, keys: &[&str]) -> Uuid {
        let sample: Uuid =
            sqlx::query_scalar("insert into samples (user_id, name) values ($1, 's') returning id")
                .bind(user)
                .fetch_one(&self.pool)
                .await
                .unwrap();
        for key in keys {
            self.image(sample, key).await;
        }
        sample
    }

    pub async fn image(&self, sample: Uuid, key: &str) -> Uuid {
        self.s3.put(key);
        sqlx::query_scalar(
            "insert into sample_images (sample_id, object_key) values ($1, $2) returning id",
        )
        .bind(sample)
        .bind(key)
        .fetch_one(&self.pool)
        .await
        .unwrap()
    }

    /// Many samples of one image each, `<prefix><n>`, in one statement. The objects are put too.
    pub async fn samples(&self, user: &str, prefix: &str, count: i32) {
        sqlx::query(
            "with s as (insert into samples (user_id, name)
                        select $1, n::text from generate_series(1, $2) n returning id, name)
             insert into sample_images (sample_id, object_key) select id, $3 || name from s",
        )
        .bind(user)
        .bind(count)
        .bind(prefix)
        .execute(&self.pool)
        .await
        .unwrap();
        for n in 1..=count {
            self.s3.put(&format!("{prefix}{n}"));
        }
    }

    pub async fn delete_sample(&self, sample: Uuid) -> i64 {
        sqlx::query_scalar("select lethe.delete_sample($1, 'test')")
            .bind(sample)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub async fn delete_user(&self, user: &str) -> i64 {
        sqlx::query_scalar("select lethe.delete_user($1, 'test')")
            .bind(user)
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub async fn status(&self, task: i64) -> String {
        self.one(&format!("select status from lethe.tasks where id = {task}"))
            .await
    }

    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("select count(*) from {sql}")))
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Fails unless `select count(*) from <sql>` is this.
    // An `async fn` cannot pass its caller on, so the place is taken before the future is made.
    #[track_caller]
    pub fn expect_rows(&self, sql: &str, expected: i64) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            let seen = self.count(sql).await;
            assert!(
                seen == expected,
                "{caller}: expected {expected} rows, and saw {seen}, of: {sql}"
            );
        }
    }

    pub async fn one<T>(&self, sql: &str) -> T
    where
        T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'r> sqlx::Decode<'r, sqlx::Postgres>,
    {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    pub async fn execute(&self, sql: &str) -> u64 {
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
            .execute(&self.pool)
            .await
            .unwrap()
            .rows_affected()
    }

    /// Waits until `select <sql>` is true.
    pub async fn until(&self, sql: &str) {
        let started = std::time::Instant::now();
        while !self.one::<bool>(&format!("select {sql}")).await {
            if started.elapsed() > PATIENCE {
                let tasks: Vec<String> = sqlx::query_scalar(
                    "select row(id, kind, status, attempts, lane, error_class, last_error, scheduled_at - now(), cardinality(object_keys))::text from lethe.tasks order by id limit 20",
                )
                .fetch_all(&self.pool)
                .await
                .unwrap();
                panic!("waited in vain for: {sql}\ntasks: {tasks:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn until_status(&self, task: i64, status: &str) {
        self.until(&format!(
            "(select status = '{status}' from lethe.tasks where id = {task})"
        ))
        .await;
    }
}

/// What a process says, in a file that goes with the test.
pub struct Log(std::path::PathBuf);

impl Log {
    pub fn new() -> Self {
        let name = format!("lethe-log-{}", Uuid::new_v4().simple());
        Self(std::env::temp_dir().join(name))
    }

    fn open(&self) -> std::fs::File {
        let mut options = std::fs::File::options();
        options.create(true).append(true).open(&self.0).unwrap()
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.0).unwrap_or_default()
    }

    /// Waits until the process has said this.
    pub async fn until(&self, words: &str) {
        let started = std::time::Instant::now();
        while !self.text().contains(words) {
            assert!(
                started.elapsed() < PATIENCE,
                "waited in vain for {words:?} in:\n{}",
                self.text()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        // A log that was never written is not there.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A worker inside the test. Dropped, it is cut off in the middle of whatever it does.
pub struct RunningWorker {
    pub shutdown: CancellationToken,
    pub status: Arc<WorkerStatus>,
    metrics: Arc<Metrics>,
    task: tokio::task::JoinHandle<()>,
}

impl RunningWorker {
    /// Waits until notifications have woken it so many times; the start of listening counts as one.
    pub async fn until_woken_by_notify(&self, times: u64) {
        let woken = self.metrics.wakeups.of(WakeSource::Notify);
        let started = std::time::Instant::now();
        while woken.get() < times {
            assert!(
                started.elapsed() < PATIENCE,
                "woken {} times by a notification, not {times}",
                woken.get()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What a scrape of this worker shows.
    pub fn scraped(&self) -> String {
        self.metrics.render(false).unwrap()
    }

    /// Stops in order.
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// The defaults, quicker.
pub fn quick() -> Cleanup {
    Cleanup {
        poll_interval: Duration::from_millis(200),
        lease: Duration::from_secs(5),
        backoff_base: Duration::from_millis(100),
        backoff_max: Duration::from_millis(300),
        claim_batch: 500,
        concurrency: 8,
        max_attempts: 3,
        retention_days: 30,
        shutdown_timeout: Duration::from_secs(10),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "expected 1 rows, and saw 0, of: users where id = 'user_a'")]
async fn an_assertion_about_rows_says_its_sql() {
    let world = World::new().await;
    world.expect_rows("users where id = 'user_a'", 1).await;
}

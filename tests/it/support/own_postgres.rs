//! A PostgreSQL of one test's own, which the test may stop, starve, and start again at the same address.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::world::migrate;
use lethe::embedded::{PostgresOptions, PrivatePostgres};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::hostile_s3::HostileS3;
use super::world::{PATIENCE, World};

const DATABASE: &str = "lethe";

/// How a server ends.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// `pg_ctl stop -m fast`: sessions are ended, and told so.
    Fast,
    /// `pg_ctl stop -m immediate`: as by a crash; the next start recovers from the log.
    Immediate,
}

pub struct OwnPostgres {
    options: PostgresOptions,
    server: Option<PrivatePostgres>,
}

impl OwnPostgres {
    /// Starts a server with these settings and a migrated database.
    pub async fn start(settings: &[(&str, &str)]) -> Self {
        Self::start_at(PostgresOptions::temporary().data_dir, settings).await
    }

    /// The same with its data in this directory, which it makes.
    pub async fn start_at(directory: PathBuf, settings: &[(&str, &str)]) -> Self {
        let mut options = PostgresOptions::temporary();
        options.data_dir = directory;
        // It has to survive its stops; `drop` removes it.
        options.temporary = false;
        // What was committed outlives the death of the server, though not of the machine.
        options.durable = true;
        let quick = [("fsync", "off")];
        options.settings = quick
            .iter()
            .chain(settings)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let server = PrivatePostgres::start(options.clone()).await.unwrap();
        options.port = Some(server.port());
        server.create_database(DATABASE).await.unwrap();
        let mut connection = PgConnection::connect(&server.url(DATABASE)).await.unwrap();
        migrate(&mut connection).await;
        connection.close().await.unwrap();
        Self {
            options,
            server: Some(server),
        }
    }

    pub fn port(&self) -> u16 {
        self.server().port()
    }

    pub fn url(&self) -> String {
        self.server().url(DATABASE)
    }

    /// The same at another address, such as a proxy's.
    pub fn url_at(&self, address: SocketAddr) -> String {
        let own = format!("127.0.0.1:{}", self.port());
        self.url().replace(&own, &address.to_string())
    }

    /// A world on this server. `url` is what its processes are given; the test itself goes straight to
    /// the server, under the name of `test`.
    pub async fn world(&self, url: String) -> World {
        World {
            url,
            pool: self.pool().await,
            s3: HostileS3::start().await,
        }
    }

    pub async fn pool(&self) -> PgPool {
        let options: PgConnectOptions = self.url().parse().unwrap();
        PgPoolOptions::new()
            .max_connections(3)
            .connect_with(options.application_name("test"))
            .await
            .unwrap()
    }

    /// Lets it speak TLS, with the certificate of the fixtures. It still takes connections without.
    pub async fn speak_tls(&self) {
        let cluster = self.server().directory().join("cluster");
        let owner = self.owner();
        for (name, pem) in [
            (
                "server.crt",
                include_str!("../fixtures/database-server.pem"),
            ),
            (
                "server.key",
                include_str!("../fixtures/database-server.key.pem"),
            ),
        ] {
            let path = cluster.join(name);
            fs::write(&path, pem).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        for statement in ["alter system set ssl = on", "select pg_reload_conf()"] {
            sqlx::query(statement)
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection.close().await.unwrap();
        let url = format!("{}?sslmode=require", self.url());
        let started = Instant::now();
        while PgConnection::connect(&url).await.is_err() {
            assert!(
                started.elapsed() < PATIENCE,
                "PostgreSQL does not speak TLS"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Moves the database's tables and indexes, and nothing else, to this empty directory.
    pub async fn move_tables_to(&self, directory: &Path) {
        let owner = self.owner();
        chown(directory, Some(owner.uid()), Some(owner.gid())).unwrap();
        let url = self.server().url("postgres");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let directory = directory.display();
        for statement in [
            format!("create tablespace elsewhere location '{directory}'"),
            format!("alter database {DATABASE} set tablespace elsewhere"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection.close().await.unwrap();
    }

    /// A second server that follows this one by streaming replication, and can be read.
    pub async fn standby(&self) -> Self {
        let home = self.server().directory();
        let owner = self.owner();
        let mut options = self.options.clone();
        options.data_dir = PostgresOptions::temporary().data_dir;
        options.port = None;
        // From here on what is made goes with the test, however it ends.
        let mut standby = Self {
            options,
            server: None,
        };
        let directory = &standby.options.data_dir;
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(home.join("password"), directory.join("password")).unwrap();
        for path in [directory.clone(), directory.join("password")] {
            chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
        }
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        let binaries: String =
            sqlx::query_scalar("select setting from pg_config where name = 'BINDIR'")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        connection.close().await.unwrap();
        let mut command = tokio::process::Command::new(format!("{binaries}/pg_basebackup"));
        command
            .args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf"])
            .arg("--dbname")
            .arg(self.server().url("postgres"))
            .arg("--pgdata")
            .arg(directory.join("cluster"))
            .current_dir("/");
        if geteuid().is_root() {
            command.uid(owner.uid()).gid(owner.gid());
        }
        let copied = command.output().await.unwrap();
        assert!(copied.status.success(), "{copied:?}");
        standby.start_again().await;
        standby
    }

    /// Makes a primary of this standby, and returns when it is one.
    pub async fn promote(&self) {
        let mut connection = PgConnection::connect(&self.url()).await.unwrap();
        let promoted: bool = sqlx::query_scalar("select pg_promote()")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert!(promoted);
    }

    /// Stops the server, and returns when it is gone.
    pub async fn stop(&mut self, how: Stop) {
        let pid_file = self.pid_file();
        let server = self.server.take().unwrap();
        if matches!(how, Stop::Immediate) {
            send(&pid_file, Signal::SIGQUIT);
            let started = Instant::now();
            while pid_file.exists() {
                assert!(started.elapsed() < PATIENCE, "PostgreSQL does not stop");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        server.stop().await.unwrap();
    }

    /// Waits until the server has ended by itself.
    pub async fn until_down(&mut self) {
        let started = Instant::now();
        while self.pid_file().exists() {
            assert!(started.elapsed() < PATIENCE, "PostgreSQL does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.server.take().unwrap().stop().await.unwrap();
    }

    /// Starts it again on its port, and returns when it answers.
    pub async fn start_again(&mut self) {
        self.server = Some(PrivatePostgres::start(self.options.clone()).await.unwrap());
    }

    fn server(&self) -> &PrivatePostgres {
        self.server.as_ref().unwrap()
    }

    /// The account that runs it.
    fn owner(&self) -> fs::Metadata {
        fs::metadata(self.server().directory().join("cluster")).unwrap()
    }

    fn pid_file(&self) -> PathBuf {
        self.server().directory().join("cluster/postmaster.pid")
    }
}

impl Drop for OwnPostgres {
    #[expect(clippy::disallowed_methods, reason = "a drop cannot await")]
    fn drop(&mut self) {
        if self.server.is_some() {
            let pid_file = self.pid_file();
            send(&pid_file, Signal::SIGQUIT);
            let started = Instant::now();
            while pid_file.exists() && started.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        self.server = None;
        // Removed at the end of the test, or left to the system's cleaning of temporary files.
        let _ = fs::remove_dir_all(&self.options.data_dir);
    }
}

/// Sends a signal to the server that wrote this file.
fn send(pid_file: &Path, signal: Signal) {
    let text = fs::read_to_string(pid_file).unwrap_or_default();
    if let Some(pid) = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse().ok())
    {
        // Already gone is what was wanted.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

//! PgBouncer in transaction mode before a PostgreSQL of the test's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::{User, geteuid};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::own_postgres::OwnPostgres;
use super::world::PATIENCE;

/// Servers' sessions of one pool: few, so that clients share them.
const POOL_SIZE: u32 = 4;

pub struct PgBouncer {
    pub url: String,
    process: Child,
    directory: PathBuf,
}

impl PgBouncer {
    /// `prepared` is `max_prepared_statements`: with 0, statements land on other servers than their
    /// preparation, as with every PgBouncer before 1.21.
    pub async fn start(postgres: &OwnPostgres, prepared: u32) -> Self {
        let directory = std::env::temp_dir().join(format!("lethe-bouncer-{}", Uuid::new_v4()));
        fs::create_dir(&directory).unwrap();
        // The account that runs it may not reach the place where it was built.
        let program = directory.join("pgbouncer");
        fs::copy(installed(), &program).unwrap();
        let address = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap()
        };
        let config = directory.join("pgbouncer.ini");
        fs::write(&config, configuration(postgres, address.port(), prepared)).unwrap();
        // It refuses root, as PostgreSQL does.
        if geteuid().is_root() {
            let (uid, gid) = nobody();
            for path in [&directory, &program, &config] {
                chown(path, Some(uid), Some(gid)).unwrap();
            }
        }
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        let bouncer = Self {
            url: postgres.url_at(address),
            process: spawn(&directory),
            directory,
        };
        bouncer.until_it_answers().await;
        bouncer
    }

    /// Kills it (-9) with all its connections.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on its port, and returns when it answers.
    pub async fn start_again(&mut self) {
        self.process = spawn(&self.directory);
        self.until_it_answers().await;
    }

    async fn until_it_answers(&self) {
        let started = Instant::now();
        while PgConnection::connect(&self.url).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "PgBouncer does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// The account that runs it for root.
fn nobody() -> (u32, u32) {
    let account = User::from_name("nobody").unwrap().unwrap();
    (account.uid.as_raw(), account.gid.as_raw())
}

fn spawn(directory: &Path) -> Child {
    let mut command = Command::new(directory.join("pgbouncer"));
    command
        .arg(directory.join("pgbouncer.ini"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if geteuid().is_root() {
        let (uid, gid) = nobody();
        command.uid(uid).gid(gid);
    }
    command.spawn().unwrap()
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Already ended is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// The one that `scripts/setup-pgbouncer` built, or the system's.
fn installed() -> PathBuf {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pgbouncer/pgbouncer");
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::iter::once(built)
        .chain(std::env::split_paths(&path).map(|folder| folder.join("pgbouncer")))
        .chain(["/usr/sbin/pgbouncer".into()])
        .find(|program| program.exists())
        .expect("PgBouncer is missing: run scripts/setup-pgbouncer")
}

fn configuration(postgres: &OwnPostgres, port: u16, prepared: u32) -> String {
    let url = postgres.url();
    let (_, rest) = url.split_once("://").unwrap();
    let (account, place) = rest.split_once('@').unwrap();
    let (user, password) = account.split_once(':').unwrap();
    let (_, database) = place.split_once('/').unwrap();
    format!(
        "[databases]
         {database} = host=127.0.0.1 port={} user={user} password={password}
         [pgbouncer]
         listen_addr = 127.0.0.1
         listen_port = {port}
         unix_socket_dir =
         auth_type = any
         pool_mode = transaction
         default_pool_size = {POOL_SIZE}
         max_client_conn = 200
         max_prepared_statements = {prepared}
         ignore_startup_parameters = extra_float_digits
         ",
        postgres.port()
    )
    .lines()
    .map(|line| line.trim_start().to_owned() + "\n")
    .collect()
}

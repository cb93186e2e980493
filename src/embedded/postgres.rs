//! A private PostgreSQL from the installed binaries, for `lethe dev` and for the tests.
//!
//! In the data directory stand `cluster` (PostgreSQL's own), `password`, `postgres.log` and
//! `lock`. The server listens on 127.0.0.1 only, without Unix sockets, whose paths are too short
//! for many directories.

mod account;
mod binaries;
mod guardian;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use self::account::Account;
use self::binaries::Binaries;
use self::guardian::Guardian;
use super::lock::{DirectoryLock, LockError};

/// The superuser of the private server.
pub const SUPERUSER: &str = "lethe";

/// How often a state that must change is looked at.
const POLL: Duration = Duration::from_millis(20);
/// initdb takes a second; a slow disk may take many.
const INITDB_LIMIT: Duration = Duration::from_secs(120);
/// Covers the recovery after a crash.
const START_LIMIT: Duration = Duration::from_secs(60);
/// One connection attempt while the server starts.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A fast shutdown (SIGINT) ends all sessions and writes a checkpoint.
const FAST_STOP_LIMIT: Duration = Duration::from_secs(10);
/// An immediate shutdown (SIGQUIT) writes nothing; the next start recovers.
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(5);
/// Starts that lose the race for a free port, or meet the last session of a killed server.
const START_ATTEMPTS: u32 = 5;
/// A log that has grown beyond this is begun anew at the next start.
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;
/// So much of the log's end is shown when the server does not start.
const LOG_TAIL_LINES: usize = 12;

/// Settings that trade safety after a crash for speed. Only for data nobody misses.
const NOT_DURABLE: [(&str, &str); 3] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
];

/// How to run a private server.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where its data live; created when missing. It becomes a link to somewhere else when we
    /// are root and the account that runs PostgreSQL for us cannot reach it.
    pub data_dir: PathBuf,
    /// The port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// Whether the data survive a crash of the machine.
    pub durable: bool,
    /// Whether the data go when the server stops, or when this process dies in whatever way.
    pub temporary: bool,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

impl Options {
    /// A fast server with nothing in it, which leaves nothing behind: for tests.
    pub fn temporary() -> Self {
        let name = format!("lethe-postgres-{}", Uuid::new_v4().simple());
        Self {
            data_dir: std::env::temp_dir().join(name),
            port: None,
            durable: false,
            temporary: true,
            settings: Vec::new(),
        }
    }
}

/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Nothing usable was found.
    #[error(
        "no PostgreSQL {} found on this machine. Install it (Debian, Ubuntu: apt-get install \
         postgresql; Fedora, RHEL: dnf install postgresql-server; macOS: brew install postgresql), \
         or point LETHE_PG_BIN at the folder of `initdb` and `postgres`, or set DATABASE_URL to a \
         server of your own",
        wanted(*wanted_major)
    )]
    NotInstalled {
        /// The major version that made the existing data, if there are any.
        wanted_major: Option<u32>,
    },
    /// `LETHE_PG_BIN` is set, but wrong.
    #[error(
        "LETHE_PG_BIN={} does not hold an executable `initdb` and `postgres` of PostgreSQL {}",
        directory.display(),
        wanted(*wanted_major)
    )]
    ChosenBinariesUnusable {
        /// The value of `LETHE_PG_BIN`.
        directory: PathBuf,
        /// The major version that made the existing data, if there are any.
        wanted_major: Option<u32>,
    },
    /// We are root, and there is nobody to run PostgreSQL.
    #[error(
        "PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`; \
         add one (useradd --system postgres) or run Lethe as an ordinary user"
    )]
    NoAccount,
    /// The account that runs PostgreSQL for root cannot work in the directory.
    #[error(
        "PostgreSQL runs as user id {uid} here (it refuses root), which cannot reach {}; choose \
         another --data-dir or open its parents with chmod o+x",
        path.display()
    )]
    Unreachable {
        /// The directory.
        path: PathBuf,
        /// The user id that cannot reach it.
        uid: u32,
    },
    /// The data directory cannot be used.
    #[error("cannot use {} for PostgreSQL", path.display())]
    Directory {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process runs a server there.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A server of a dead Lethe did not end.
    #[error("an old PostgreSQL (process {pid}) still runs in {} and does not stop", path.display())]
    StaleServer {
        /// Its process id.
        pid: i32,
        /// Its cluster.
        path: PathBuf,
    },
    /// A program could not be run.
    #[error("cannot run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// initdb failed.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// The chosen port is not free.
    #[error("port {0} on 127.0.0.1 is taken")]
    PortTaken(u16),
    /// The server ended instead of starting.
    #[error("PostgreSQL did not start ({status}); the end of {}:\n{tail}", log.display())]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// The server runs, but does not answer.
    #[error("PostgreSQL does not answer; see {}", log.display())]
    NotReady {
        /// Its log file.
        log: PathBuf,
        /// What the last attempt to connect said, if it said anything.
        #[source]
        source: Option<sqlx::Error>,
    },
    /// The server did not end.
    #[error("PostgreSQL (process {0}) does not stop")]
    NotStopped(u32),
    /// A statement failed.
    #[error("PostgreSQL refused a statement")]
    Statement(#[from] sqlx::Error),
}

fn wanted(major: Option<u32>) -> String {
    match major {
        Some(major) => format!("{major} (the version that made the existing data)"),
        None => "14 or later".to_owned(),
    }
}

/// A running private server.
///
/// Dropping it stops the server in the background; [`PrivatePostgres::stop`] waits for the end.
#[derive(Debug)]
pub struct PrivatePostgres {
    server: Child,
    guardian: Guardian,
    home: Home,
    port: u16,
    temporary: bool,
    _lock: DirectoryLock,
}

impl PrivatePostgres {
    /// Starts a server, with a new cluster if there is none, and returns when it answers.
    ///
    /// A server that a killed Lethe left running in the directory is stopped first, so that port
    /// and settings are those asked for.
    ///
    /// # Errors
    /// See [`PostgresError`]; its messages say how to mend it.
    pub async fn start(options: Options) -> Result<Self, PostgresError> {
        let account = Account::choose(&options.data_dir.join("cluster"))?;
        let directory = account::settle(&options.data_dir, account.as_ref()).await?;
        let lock = DirectoryLock::take(&directory)?;
        let home = Home::open(directory, options.data_dir.clone(), account)?;
        stop_stale(&home.cluster()).await?;
        let binaries = Binaries::find(account.as_ref(), home.major()?).await?;
        if home.major()?.is_none() {
            home.create_cluster(&binaries, options.durable).await?;
        }

        let mut attempt = 1;
        loop {
            let port = choose_port(options.port)?;
            match launch(&binaries, &home, port, &options).await {
                Ok((server, guardian)) => {
                    let temporary = options.temporary;
                    return Ok(Self {
                        server,
                        guardian,
                        home,
                        port,
                        temporary,
                        _lock: lock,
                    });
                }
                Err(PostgresError::Ended { tail, .. })
                    if attempt < START_ATTEMPTS && passes(&tail) =>
                {
                    attempt += 1;
                    sleep(POLL * 5).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the data really live.
    pub fn directory(&self) -> &Path {
        &self.home.directory
    }

    /// The URL of a database, with the superuser's password in it.
    pub fn url(&self, database: &str) -> String {
        let Self { home, port, .. } = self;
        format!(
            "postgres://{SUPERUSER}:{}@127.0.0.1:{port}/{database}",
            home.password
        )
    }

    /// Creates a database; one that exists is left as it is.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_database(&self, database: &str) -> Result<(), PostgresError> {
        let mut connection = self.home.connect(self.port).await?;
        let statement = format!("create database \"{}\"", database.replace('"', "\"\""));
        let created = sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await;
        connection.close().await?;
        match created {
            // duplicate_database, PostgreSQL's Appendix A.
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("42P04") => Ok(()),
            created => Ok(created.map(|_| ())?),
        }
    }

    /// Stops the server: first fast, then immediately, then by force.
    ///
    /// # Errors
    /// When it does not even end by force, or temporary data cannot be removed.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        stop_server(&mut self.server).await?;
        self.guardian.release();
        if self.temporary {
            self.home.remove().await?;
        }
        Ok(())
    }
}

/// The data directory of a server: its cluster, its password and its log.
#[derive(Debug)]
struct Home {
    /// Where it really is.
    directory: PathBuf,
    /// Where it was asked for: the same, or a link.
    asked: PathBuf,
    account: Option<Account>,
    password: String,
}

impl Home {
    fn open(
        directory: PathBuf,
        asked: PathBuf,
        account: Option<Account>,
    ) -> Result<Self, PostgresError> {
        let path = directory.join("password");
        let password = match fs::read_to_string(&path) {
            Ok(password) => Ok(password.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_password(&path, account.as_ref())
            }
            Err(error) => Err(error),
        };
        let password = password.map_err(|source| PostgresError::Directory { path, source })?;
        Ok(Self {
            directory,
            asked,
            account,
            password,
        })
    }

    fn cluster(&self) -> PathBuf {
        self.directory.join("cluster")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// The major version that made the cluster, if there is a cluster.
    fn major(&self) -> Result<Option<u32>, PostgresError> {
        let path = self.cluster().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(version) => Ok(version.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PostgresError::Directory { path, source }),
        }
    }

    /// Runs initdb beside the place and moves the result there, so that a cluster is either
    /// whole or not there.
    async fn create_cluster(
        &self,
        binaries: &Binaries,
        durable: bool,
    ) -> Result<(), PostgresError> {
        let unfinished = self.directory.join("cluster.new");
        remove_directory(&unfinished).await?;
        let mut initdb = command(binaries.initdb(), self.account.as_ref());
        initdb
            .args(["--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"])
            .arg(format!("--username={SUPERUSER}"))
            .arg("--pwfile")
            .arg(self.directory.join("password"))
            .arg("--pgdata")
            .arg(&unfinished)
            // A Ctrl-C at the terminal is for Lethe, which then ends this too.
            .process_group(0);
        if !durable {
            initdb.arg("--no-sync");
        }
        let run = tokio::process::Command::from(initdb)
            .kill_on_drop(true)
            .output();
        let output = match timeout(INITDB_LIMIT, run).await {
            Ok(output) => output.map_err(|source| PostgresError::Run {
                program: binaries.initdb(),
                source,
            })?,
            Err(_) => {
                return Err(PostgresError::Initdb(format!(
                    "no end after {INITDB_LIMIT:?}"
                )));
            }
        };
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(PostgresError::Initdb(message));
        }
        let path = self.cluster();
        fs::rename(&unfinished, &path).map_err(|source| PostgresError::Directory { path, source })
    }

    async fn connect(&self, port: u16) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(SUPERUSER)
            .password(&self.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        PgConnection::connect_with(&options).await
    }

    fn open_log(&self) -> Result<File, PostgresError> {
        let path = self.log();
        let full = fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LOG_LIMIT_BYTES);
        if full {
            let _ = fs::remove_file(&path);
        }
        File::options()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| PostgresError::Directory { path, source })
    }

    /// The last lines of what the log holds beyond `from`.
    fn log_tail(&self, from: u64) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let new = bytes
            .get(usize::try_from(from).unwrap_or(0)..)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(new);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    async fn remove(&self) -> Result<(), PostgresError> {
        remove_directory(&self.directory).await?;
        if self.asked.is_symlink() {
            let path = self.asked.clone();
            fs::remove_file(&path).map_err(|source| PostgresError::Directory { path, source })?;
        }
        Ok(())
    }
}

/// A command that runs as the account, in a directory that everyone can enter.
fn command(program: PathBuf, account: Option<&Account>) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir("/")
        .stdin(Stdio::null())
        .env("LC_ALL", "C");
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

/// A new random password in a file that only we and the account can read. initdb reads it there.
fn write_password(path: &Path, account: Option<&Account>) -> io::Result<String> {
    let password = super::state::random_hex::<24>();
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{password}")?;
    file.sync_all()?;
    if let Some(account) = account {
        chown(path, Some(account.uid), Some(account.gid))?;
    }
    Ok(password)
}

async fn remove_directory(path: &Path) -> Result<(), PostgresError> {
    match tokio::fs::remove_dir_all(path).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|source| PostgresError::Directory {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The port asked for, if it is free, or any free one. Another process may still take it before
/// the server does.
fn choose_port(asked: Option<u16>) -> Result<u16, PostgresError> {
    let failed = |error: io::Error| match asked {
        Some(port) if error.kind() == io::ErrorKind::AddrInUse => PostgresError::PortTaken(port),
        _ => PostgresError::Directory {
            path: "127.0.0.1".into(),
            source: error,
        },
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, asked.unwrap_or(0))).map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.port())
}

/// Whether what the log says passes by itself: a port just taken, or the last session of a
/// killed server, which ends within moments.
fn passes(tail: &str) -> bool {
    tail.contains("Address already in use") || tail.contains("pre-existing shared memory block")
}

async fn launch(
    binaries: &Binaries,
    home: &Home,
    port: u16,
    options: &Options,
) -> Result<(Child, Guardian), PostgresError> {
    let run = |source| PostgresError::Run {
        program: binaries.postgres(),
        source,
    };
    let log = home.open_log()?;
    let log_start = log.metadata().map_or(0, |metadata| metadata.len());
    let mut postgres = command(binaries.postgres(), home.account.as_ref());
    postgres
        .arg("-D")
        .arg(home.cluster())
        .args(["-p", &port.to_string()])
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ])
        .args([
            "-c",
            "logging_collector=off",
            "-c",
            "log_destination=stderr",
        ])
        .stdout(log.try_clone().map_err(run)?)
        .stderr(log)
        // A Ctrl-C at the terminal must not stop the database before Lethe has stopped.
        .process_group(0);
    let fast = NOT_DURABLE.iter().filter(|_| !options.durable);
    for (name, value) in fast {
        postgres.arg("-c").arg(format!("{name}={value}"));
    }
    for (name, value) in &options.settings {
        postgres.arg("-c").arg(format!("{name}={value}"));
    }
    let mut server = postgres.spawn().map_err(run)?;
    let remove: &[&Path] = if options.temporary {
        &[&home.directory, &home.asked]
    } else {
        &[]
    };
    let guardian = match Guardian::watch(server.id(), &home.cluster(), remove) {
        Ok(guardian) => guardian,
        Err(source) => {
            let _ = stop_server(&mut server).await;
            return Err(PostgresError::Run {
                program: "/bin/sh".into(),
                source,
            });
        }
    };
    match ready(&mut server, home, port, log_start).await {
        Ok(()) => Ok((server, guardian)),
        Err(error) => {
            let _ = stop_server(&mut server).await;
            guardian.release();
            Err(error)
        }
    }
}

/// Waits until the server answers a connection with our password.
async fn ready(
    server: &mut Child,
    home: &Home,
    port: u16,
    log_start: u64,
) -> Result<(), PostgresError> {
    let deadline = Instant::now() + START_LIMIT;
    let mut last = None;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = server.try_wait() {
            let tail = home.log_tail(log_start);
            return Err(PostgresError::Ended {
                status,
                log: home.log(),
                tail,
            });
        }
        match timeout(CONNECT_LIMIT, home.connect(port)).await {
            Ok(Ok(connection)) => {
                // The answer is what counts; a close that fails changes nothing.
                let _ = connection.close().await;
                return Ok(());
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        sleep(POLL).await;
    }
    Err(PostgresError::NotReady {
        log: home.log(),
        source: last,
    })
}

/// Ends our own server, step by step harder.
async fn stop_server(server: &mut Child) -> Result<(), PostgresError> {
    let pid = server.id();
    for (signal, limit) in [
        (Signal::SIGINT, FAST_STOP_LIMIT),
        (Signal::SIGQUIT, IMMEDIATE_STOP_LIMIT),
    ] {
        if let Ok(Some(_)) = server.try_wait() {
            return Ok(());
        }
        send(pid.cast_signed(), signal);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = server.try_wait() {
                return Ok(());
            }
            sleep(POLL).await;
        }
        tracing::warn!(pid, %signal, "PostgreSQL did not stop in time");
    }
    let _ = server.kill();
    server
        .wait()
        .map(|_| ())
        .map_err(|_| PostgresError::NotStopped(pid))
}

/// Stops the server that a killed Lethe left in this cluster. We hold the directory's lock, so it
/// is nobody's.
async fn stop_stale(cluster: &Path) -> Result<(), PostgresError> {
    let pid_file = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&pid_file) else {
        return Ok(());
    };
    let pid = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse::<i32>().ok());
    let Some(pid) = pid.filter(|pid| *pid > 1) else {
        return Ok(());
    };
    if !is_postmaster_of(pid, cluster) {
        // The id may belong to somebody else by now, and PostgreSQL would refuse to start.
        let _ = fs::remove_file(&pid_file);
        return Ok(());
    }
    tracing::info!(pid, cluster = %cluster.display(), "stopping the PostgreSQL of a killed run");
    for (signal, limit) in [
        (Signal::SIGINT, FAST_STOP_LIMIT),
        (Signal::SIGQUIT, IMMEDIATE_STOP_LIMIT),
    ] {
        send(pid, signal);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !is_postmaster_of(pid, cluster) {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    Err(PostgresError::StaleServer {
        pid,
        path: cluster.to_owned(),
    })
}

fn send(pid: i32, signal: Signal) {
    // The only failure that matters is seen by whoever waits for the end.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether the process is the server of this very cluster: a postmaster works in its cluster's
/// directory. Without `/proc`, the command line says so, as we always pass `-D`.
fn is_postmaster_of(pid: i32, cluster: &Path) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path == cluster);
    }
    let listed = Command::new("ps")
        .args(["-o", "command=", "-p", &pid.to_string()])
        .output();
    listed.is_ok_and(|listed| {
        String::from_utf8_lossy(&listed.stdout).contains(&*cluster.to_string_lossy())
    })
}

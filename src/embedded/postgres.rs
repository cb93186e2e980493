//! A private PostgreSQL from the installed binaries, for `lethe dev` and for the tests.
//!
//! In the data directory stand `cluster` (PostgreSQL's own), `password`, `postgres.log` and
//! `lock`. The server listens on 127.0.0.1 only, without Unix sockets, whose paths are too short
//! for many directories.

mod account;
mod binaries;
mod error;
mod guardian;
mod home;
mod server;

use std::fmt;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection};
use tokio::time::sleep;
use uuid::Uuid;

use self::account::Account;
use self::binaries::Binaries;
pub use self::error::PostgresError;
use self::guardian::Guardian;
use self::home::Home;
use super::lock::{DirectoryLock, LockError};

/// The superuser of the private server.
pub const SUPERUSER: &str = "lethe";

/// The pause between two polls of a state that must change.
const POLL: Duration = Duration::from_millis(20);
/// How many starts may lose the race for a free port, or meet the last session of a killed server.
const MAX_START_ATTEMPTS: u32 = 5;

/// How to run a private server.
#[derive(Debug, Clone)]
pub struct PostgresOptions {
    /// Where its data live; created when missing. It becomes a link to somewhere else when we
    /// are root and the account that runs PostgreSQL for us cannot reach it.
    pub data_dir: PathBuf,
    /// The port on 127.0.0.1; `None` takes a free one.
    pub port: Option<u16>,
    /// Whether the data survive a crash of the machine.
    pub durable: bool,
    /// Whether the data are removed when the server stops or this process dies, even by a kill -9.
    pub temporary: bool,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
}

impl PostgresOptions {
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

/// A running private server.
///
/// Dropping it stops the server in the background; [`PrivatePostgres::stop`] waits for the end.
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
    pub async fn start(mut options: PostgresOptions) -> Result<Self, PostgresError> {
        options.data_dir = absolute(&options)?;
        let account = Account::choose(&options.data_dir.join("cluster"))?;
        let directory = account::settle(&options.data_dir, account.as_ref()).await?;
        let lock = DirectoryLock::take(&directory)?;
        let home = Home::open(directory, options.data_dir.clone(), account)?;
        match start_in(&home, &options).await {
            Ok((server, guardian, port)) => Ok(Self {
                server,
                guardian,
                home,
                port,
                temporary: options.temporary,
                _lock: lock,
            }),
            Err(error) => {
                if options.temporary {
                    // The reason why it did not start is worth more than this one.
                    let _ = home.remove().await;
                }
                Err(error)
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

    /// Lets sessions of a database create their tables in schema `public`. By default they would do so in the schema of
    /// the role's own name, once there is one, and Lethe's schema has the name of this server's role.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn create_in_public(&self, database: &str) -> Result<(), PostgresError> {
        let mut connection = self.home.connect(self.port).await?;
        let statement = format!(
            "alter database \"{}\" set search_path = public",
            database.replace('"', "\"\"")
        );
        let altered = sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await;
        connection.close().await?;
        Ok(altered.map(|_| ())?)
    }

    /// Stops the server: first fast, then immediately, then by force.
    ///
    /// # Errors
    /// When it does not even end by force, or temporary data cannot be removed.
    pub async fn stop(mut self) -> Result<(), PostgresError> {
        server::stop(&mut self.server).await?;
        self.guardian.release();
        if self.temporary {
            self.home.remove().await?;
        }
        Ok(())
    }
}

/// Without the password.
impl fmt::Debug for PrivatePostgres {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PrivatePostgres")
            .field("directory", &self.home.directory)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// The data directory's absolute path. A temporary server takes only a directory of its own
/// making, because it removes the whole of it.
fn absolute(options: &PostgresOptions) -> Result<PathBuf, PostgresError> {
    let failed = |source| PostgresError::Directory {
        path: options.data_dir.clone(),
        source,
    };
    let path = std::path::absolute(&options.data_dir).map_err(failed)?;
    if options.temporary && path.exists() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    Ok(path)
}

/// Starts a server in a directory that is ours alone.
async fn start_in(
    home: &Home,
    options: &PostgresOptions,
) -> Result<(Child, Guardian, u16), PostgresError> {
    server::stop_stale(&home.cluster()).await?;
    let binaries = Binaries::find(home.account.as_ref(), home.major()?).await?;
    if home.major()?.is_none() {
        home.create_cluster(&binaries, options.durable).await?;
    }
    let mut attempt = 1;
    loop {
        let port = server::choose_port(options.port)?;
        match server::launch(&binaries, home, port, options).await {
            Ok((server, guardian)) => return Ok((server, guardian, port)),
            Err(PostgresError::Ended { tail, .. })
                if attempt < MAX_START_ATTEMPTS && server::passes(&tail) =>
            {
                attempt += 1;
                sleep(POLL * 5).await;
            }
            Err(error) => return Err(error),
        }
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

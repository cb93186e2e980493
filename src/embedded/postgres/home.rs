//! The files of a private server.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use tokio::time::timeout;

use super::account::Account;
use super::binaries::Binaries;
use super::{PostgresError, SUPERUSER, command};
use crate::embedded::random::random_hex;

/// initdb takes a second; a slow disk may take many.
const INITDB_LIMIT: Duration = Duration::from_secs(120);
/// A larger log is removed at the next start.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;
/// How many lines of the log's end are shown when the server does not start.
const LOG_TAIL_LINES: usize = 12;

/// The data directory of a server: its cluster, its password and its log.
pub(super) struct Home {
    /// Where it really is.
    pub(super) directory: PathBuf,
    /// Where it was asked for: the same, or a link.
    pub(super) asked: PathBuf,
    pub(super) account: Option<Account>,
    pub(super) password: String,
}

impl Home {
    pub(super) fn open(
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

    pub(super) fn cluster(&self) -> PathBuf {
        self.directory.join("cluster")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("postgres.log")
    }

    /// The major version that made the cluster, if there is a cluster.
    pub(super) fn major(&self) -> Result<Option<u32>, PostgresError> {
        let path = self.cluster().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(version) => Ok(version.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PostgresError::Directory { path, source }),
        }
    }

    /// Runs initdb beside the place and moves the result there, so that a cluster is either
    /// whole or not there.
    pub(super) async fn create_cluster(
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

    pub(super) async fn connect(&self, port: u16) -> Result<PgConnection, sqlx::Error> {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port)
            .username(SUPERUSER)
            .password(&self.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable);
        PgConnection::connect_with(&options).await
    }

    pub(super) fn open_log(&self) -> Result<File, PostgresError> {
        let path = self.log();
        let full = fs::metadata(&path).is_ok_and(|metadata| metadata.len() > MAX_LOG_BYTES);
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
    pub(super) fn log_tail(&self, from: u64) -> String {
        let bytes = fs::read(self.log()).unwrap_or_default();
        let new = bytes
            .get(usize::try_from(from).unwrap_or(0)..)
            .unwrap_or_default();
        let text = String::from_utf8_lossy(new);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
    }

    pub(super) async fn remove(&self) -> Result<(), PostgresError> {
        remove_directory(&self.directory).await?;
        if self.asked.is_symlink() {
            let path = self.asked.clone();
            fs::remove_file(&path).map_err(|source| PostgresError::Directory { path, source })?;
        }
        Ok(())
    }
}

/// A new random password in a file that only we and the account can read. initdb reads it there.
fn write_password(path: &Path, account: Option<&Account>) -> io::Result<String> {
    let password = random_hex::<24>();
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

//! What can go wrong, in words that say how to mend it.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::LockError;

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

//! Where PostgreSQL is installed on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use super::PostgresError;
use super::account::Account;

/// The oldest major version that Lethe works with.
const OLDEST_MAJOR: u32 = 14;

/// Folders whose every child, with the second part behind it, may hold the binaries.
const FAMILIES: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu
    ("/usr", "pgsql-", "bin"),                  // PostgreSQL's own RPMs
    ("/usr/libexec", "postgresql", ""),         // Alpine
    ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql", "bin"),    // Homebrew on Intel
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// One installation of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    directory: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    /// Finds the binaries: `LETHE_PG_BIN` alone if it is set, else what `PATH` finds, else the
    /// newest of the usual places. With `wanted_major` only that version counts, because a
    /// cluster can only be opened by the major version that made it.
    pub(super) async fn find(
        account: Option<&Account>,
        wanted_major: Option<u32>,
    ) -> Result<Self, PostgresError> {
        if let Some(directory) = std::env::var_os("LETHE_PG_BIN").filter(|value| !value.is_empty())
        {
            let directory = PathBuf::from(directory);
            let found = Self::probe(&directory, account).await;
            return found.filter(|found| found.fits(wanted_major)).ok_or(
                PostgresError::ChosenBinariesUnusable {
                    directory,
                    wanted_major,
                },
            );
        }
        for directory in on_path() {
            if let Some(found) = Self::probe(&directory, account).await
                && found.fits(wanted_major)
            {
                return Ok(found);
            }
        }
        let mut newest: Option<Self> = None;
        for directory in usual_places() {
            if let Some(found) = Self::probe(&directory, account).await
                && found.fits(wanted_major)
                && newest
                    .as_ref()
                    .is_none_or(|newest| newest.major < found.major)
            {
                newest = Some(found);
            }
        }
        newest.ok_or(PostgresError::NotInstalled { wanted_major })
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.directory.join("postgres")
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.directory.join("initdb")
    }

    fn fits(&self, wanted_major: Option<u32>) -> bool {
        match wanted_major {
            Some(wanted) => self.major == wanted,
            None => self.major >= OLDEST_MAJOR,
        }
    }

    /// Asks the binary for its version, as the account that will run it: what that account
    /// cannot execute is not there.
    async fn probe(directory: &Path, account: Option<&Account>) -> Option<Self> {
        let found = Self {
            directory: directory.to_owned(),
            major: 0,
        };
        if !found.postgres().is_file() || !found.initdb().is_file() {
            return None;
        }
        let mut command = tokio::process::Command::from(super::command(found.postgres(), account));
        let answer = command.arg("--version").output().await.ok()?;
        let major = major_version(&String::from_utf8_lossy(&answer.stdout))?;
        answer.status.success().then_some(Self { major, ..found })
    }
}

/// The major version in `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` or `18beta1`.
fn major_version(text: &str) -> Option<u32> {
    let version = text.split("(PostgreSQL)").nth(1)?.trim_start();
    let digits = version
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?;
    digits.parse().ok()
}

fn on_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .collect()
}

fn usual_places() -> Vec<PathBuf> {
    let mut places = Vec::new();
    for (parent, prefix, below) in FAMILIES {
        let Ok(entries) = fs::read_dir(parent) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                places.push(entry.path().join(below));
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        let debian = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n";
        assert_eq!(major_version(debian), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major_version("something else 3"), None);
    }
}

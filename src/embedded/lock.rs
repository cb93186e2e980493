//! One process to a directory.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Holds a directory for this process, until it is dropped or the process dies.
///
/// The kernel frees the lock of a killed process, so there is no stale lock to clean up.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

/// Why a directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process works in the directory.
    #[error(
        "{} is in use by process {holder}; stop that one first or choose another --data-dir",
        directory.display()
    )]
    Held {
        /// The directory.
        directory: PathBuf,
        /// The process id that the holder left, or `unknown`.
        holder: String,
    },
    /// The lock file could not be opened.
    #[error("cannot lock {}", directory.display())]
    Io {
        /// The directory.
        directory: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl DirectoryLock {
    /// Locks `directory`, which must exist, by a file named `lock` in it.
    ///
    /// # Errors
    /// [`LockError::Held`] at once when another process holds it.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io {
            directory: directory.to_owned(),
            source,
        };
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(directory.join("lock"))
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(LockError::Held {
                    directory: directory.to_owned(),
                    holder: holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The id that the holder wrote, for the message only.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    match file.read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "unknown".to_owned(),
    }
}

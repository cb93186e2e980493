//! What `lethe dev` keeps between runs: one directory, one JSON file of secrets.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::clerk::{self, SignerError};
use super::lock::{DirectoryLock, LockError};
use super::random::random_hex;

/// Secrets made at the first start. PostgreSQL's password is not here: it stands beside the
/// cluster, so that nobody copies one without the other.
#[derive(Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// Access key id of the embedded S3 server.
    pub s3_access_key: String,
    /// Secret access key of the embedded S3 server.
    pub s3_secret_key: String,
    /// `whsec_…`, as Svix and Clerk write it.
    pub webhook_signing_secret: String,
    /// The admin's bearer token, without its name.
    pub admin_token: String,
    /// The key that stands in for Clerk's: PKCS#8, PEM.
    pub clerk_private_key: String,
    /// Ports of the last run, used again when they are free, so that pasted commands stay right.
    #[serde(default)]
    pub ports: Ports,
}

/// Ports on 127.0.0.1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ports {
    /// Of the private PostgreSQL.
    pub postgres: Option<u16>,
    /// Of the embedded S3 server.
    pub s3: Option<u16>,
}

/// Why the state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Another `lethe dev` uses it.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// A file or directory cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The JSON file was not written by this program.
    #[error("{} cannot be read; remove it to have new secrets made", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// No key could be made.
    #[error(transparent)]
    Clerk(#[from] SignerError),
}

/// The state directory, locked for this process.
pub struct DevState {
    directory: PathBuf,
    secrets: Secrets,
    _lock: DirectoryLock,
}

impl DevState {
    /// Opens the directory, creating it and its secrets when missing.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process has it open.
    pub fn open(directory: &Path) -> Result<Self, StateError> {
        let failed = |source| StateError::Io {
            path: directory.to_owned(),
            source,
        };
        // Other users may pass through our own directory (PostgreSQL runs as another user when we are root)
        // but not list it: every file and folder in it is private by itself. A directory that existed keeps
        // its mode, because somebody else may use it, too.
        let is_new = !directory.exists();
        // `recursive` also creates missing parents with this mode. They are not ours alone, so they get the usual
        // 0755, and only the directory itself is narrowed afterwards.
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(directory)
            .map_err(failed)?;
        if is_new {
            fs::set_permissions(directory, Permissions::from_mode(0o711)).map_err(failed)?;
        }
        let directory = directory.canonicalize().map_err(failed)?;
        let lock = DirectoryLock::take(&directory)?;
        // So that the secrets are not committed by accident.
        let ignore = directory.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(failed)?;
        }
        let path = secrets_path(&directory);
        let secrets = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|source| StateError::Unreadable { path, source })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secrets = Secrets::generate()?;
                save(&directory, &secrets)?;
                secrets
            }
            Err(source) => return Err(StateError::Io { path, source }),
        };
        Ok(Self {
            directory,
            secrets,
            _lock: lock,
        })
    }

    /// The directory, absolute.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The secrets in it.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Remembers the ports of this run.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep_ports(&mut self, ports: Ports) -> Result<(), StateError> {
        if self.secrets.ports != ports {
            self.secrets.ports = ports;
            save(&self.directory, &self.secrets)?;
        }
        Ok(())
    }
}

impl Secrets {
    fn generate() -> Result<Self, SignerError> {
        Ok(Self {
            s3_access_key: format!("LETHE{}", random_hex::<8>().to_uppercase()),
            s3_secret_key: random_hex::<20>(),
            webhook_signing_secret: format!("whsec_{}", BASE64.encode(rand::random::<[u8; 24]>())),
            admin_token: random_hex::<24>(),
            clerk_private_key: clerk::new_private_key()?,
            ports: Ports::default(),
        })
    }
}

fn secrets_path(directory: &Path) -> PathBuf {
    directory.join("state.json")
}

/// Writes a new file and moves it into place, so that a crash leaves the old or the new one.
fn save(directory: &Path, secrets: &Secrets) -> Result<(), StateError> {
    let path = secrets_path(directory);
    let unfinished = directory.join("state.json.new");
    let write = || -> io::Result<()> {
        let mut file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        serde_json::to_writer_pretty(&mut file, secrets)?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)
    };
    write().map_err(|source| StateError::Io {
        path: path.clone(),
        source,
    })
}

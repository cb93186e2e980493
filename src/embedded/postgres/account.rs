//! Who runs PostgreSQL, and a directory which that user can reach.
//!
//! PostgreSQL refuses to run as root. When Lethe is root, an unprivileged account runs it, and
//! that account must reach the data directory: below a home like `/root` (mode 700) it cannot.
//! Then the data live elsewhere on the disk and a link stands in their place.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};
use uuid::Uuid;

use super::PostgresError;

/// Accounts that may run PostgreSQL for root, the best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Where data live that cannot live in the data directory, the best first: the temporary ones
/// are cleaned by some systems, so they come last.
const ELSEWHERE: [&str; 3] = ["/var/lib", "/var/tmp", "/tmp"];

/// An unprivileged account that runs PostgreSQL for root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// The account to run PostgreSQL as: none when we are not root. A cluster that exists is run
    /// by its owner, so that a state made by an ordinary user can be used by root too.
    pub(super) fn choose(cluster: &Path) -> Result<Option<Self>, PostgresError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(metadata) = fs::metadata(cluster)
            && metadata.uid() != 0
        {
            return Ok(Some(Self {
                uid: metadata.uid(),
                gid: metadata.gid(),
            }));
        }
        for name in CANDIDATES {
            if let Ok(Some(user)) = User::from_name(name)
                && !user.uid.is_root()
            {
                return Ok(Some(Self {
                    uid: user.uid.as_raw(),
                    gid: user.gid.as_raw(),
                }));
            }
        }
        Err(PostgresError::NoAccount)
    }
}

/// Makes `wanted` a directory that `account` (else we) can work in, and returns where it really
/// is: `wanted` itself, or what the link at `wanted` points to.
pub(super) async fn settle(
    wanted: &Path,
    account: Option<&Account>,
) -> Result<PathBuf, PostgresError> {
    let failed = |source| PostgresError::Directory {
        path: wanted.to_owned(),
        source,
    };
    if wanted.is_symlink() && !wanted.exists() {
        // Someone removed the data behind the link: begin anew.
        fs::remove_file(wanted).map_err(failed)?;
    }
    make_private(wanted).map_err(failed)?;
    let real = wanted.canonicalize().map_err(failed)?;
    let Some(account) = account else {
        return Ok(real);
    };
    // Fails on file systems without owners; what counts is the trial that follows.
    let _ = chown(&real, Some(account.uid), Some(account.gid));
    if reaches(&real, account).await {
        return Ok(real);
    }
    if real.join("cluster").exists() || wanted.is_symlink() {
        return Err(PostgresError::Unreachable {
            path: real,
            uid: account.uid,
        });
    }
    let place = place_elsewhere(account)
        .await
        .ok_or_else(|| PostgresError::Unreachable {
            path: real.clone(),
            uid: account.uid,
        })?;
    let _ = fs::remove_file(real.join("lock"));
    fs::remove_dir(&real).map_err(failed)?;
    symlink(&place, &real).map_err(failed)?;
    tracing::info!(
        data = %place.display(),
        link = %real.display(),
        uid = account.uid,
        "PostgreSQL does not run as root and its account cannot reach the data directory: \
         the data live elsewhere, behind a link",
    );
    Ok(place)
}

/// A new directory outside, or none if there is no place for it.
async fn place_elsewhere(account: &Account) -> Option<PathBuf> {
    for parent in ELSEWHERE {
        let place = Path::new(parent).join(format!("lethe-dev-{}", Uuid::new_v4().simple()));
        if make_private(&place).is_err() {
            continue;
        }
        if chown(&place, Some(account.uid), Some(account.gid)).is_ok()
            && reaches(&place, account).await
        {
            return Some(place);
        }
        let _ = fs::remove_dir(&place);
    }
    None
}

/// Creates the directory with its parents; only its owner sees inside.
fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path.parent().unwrap_or(path))?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Whether the account can go there and write: tried out, not computed from mode bits, because
/// access lists, mounts and security modules have a say too.
async fn reaches(path: &Path, account: &Account) -> bool {
    let script = r#"cd -- "$1" && : >.reach && rm -f .reach"#;
    let mut shell = tokio::process::Command::from(super::command("/bin/sh".into(), Some(account)));
    shell.arg("-c").arg(script).arg("sh").arg(path);
    let tried = shell
        .output()
        .await
        .is_ok_and(|answer| answer.status.success());
    tried && fs::metadata(path).is_ok_and(|metadata| metadata.uid() == account.uid)
}

//! A database that is away, or lacks migrations that this binary brings, or rights that the process needs: the process
//! is not ready, says so, and waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::pool::why_no_connection;
use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::http::api::health::{ReadyCheck, why_not_ready};
use crate::map::apply;
use crate::pauses::Pauses;
use crate::schema;
use crate::vocabulary::ProcessRole;

const NOT_MIGRATED: &str =
    "The database lacks tables, functions or migrations of this version: run `lethe migrate`.";
const OTHER_MAP: &str =
    "The erasure map that is applied is another than that of ERASURE_MAP: run `lethe map apply`.";
/// The names of tables and functions are for the log.
const LACKING_RIGHTS: &str = "The database role of this process lacks a right that it needs. The log says which, and so \
                              does `lethe check`.";
/// Readiness waits no longer for the database.
const READY_LIMIT: Duration = Duration::from_secs(2);
/// Pauses between two tries of a database that is away or not migrated.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Ready means that the database answers, has everything that this binary brings and the map of this digest, if there is
/// one, and lets processes of these roles use it.
pub fn ready(
    pool: PgPool,
    map_digest: Option<String>,
    roles: &'static [ProcessRole],
) -> ReadyCheck {
    let is_failing = Arc::new(AtomicBool::new(false));
    Arc::new(move || {
        let (pool, is_failing) = (pool.clone(), Arc::clone(&is_failing));
        let map_digest = map_digest.clone();
        Box::pin(async move {
            let checked = async {
                if let Some(lacking) = lacking(&pool, map_digest.as_deref()).await? {
                    return Ok(Err(lacking));
                }
                let mut connection = pool.acquire().await?;
                schema::missing_rights(&mut connection, roles, None)
                    .await
                    .map(Ok)
            };
            match with_timeout(READY_LIMIT, checked).await {
                Ok(Ok(missing)) if missing.is_empty() => {
                    is_failing.store(false, Ordering::Relaxed);
                    Ok(None)
                }
                Ok(Ok(missing)) => {
                    if !is_failing.swap(true, Ordering::Relaxed) {
                        let missing = missing.join(", ");
                        tracing::warn!(missing, "not ready: the database role lacks rights");
                    }
                    Err(LACKING_RIGHTS.to_owned())
                }
                Ok(Err(lacking)) => Err(lacking.to_owned()),
                Err(error) => {
                    let why = why_not_ready(&error).to_owned();
                    // Once an outage, however often the platform asks. The answer does not wait for the cause.
                    if !is_failing.swap(true, Ordering::Relaxed) {
                        tokio::spawn(async move {
                            let error = why_no_connection(&pool, &error).await;
                            tracing::warn!(
                                error,
                                "not ready: the database does not answer as it should"
                            );
                        });
                    }
                    Err(why)
                }
            }
        })
    })
}

/// Waits until the database has everything that this binary brings. False if `shutdown` came first.
pub async fn wait(pool: &PgPool, map_digest: Option<&str>, shutdown: &CancellationToken) -> bool {
    let mut pauses = Pauses::new(FIRST_PAUSE, MAX_PAUSE);
    let mut said = String::new();
    loop {
        let problem = match with_timeout(STATEMENT_LIMIT, lacking(pool, map_digest)).await {
            Ok(None) => return true,
            Ok(Some(lacking)) => lacking.to_owned(),
            Err(error) => why_no_connection(pool, &error).await,
        };
        if problem != said {
            tracing::warn!(problem, "waiting for the database");
            said = problem;
        }
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = sleep(pauses.next_pause()) => {}
        }
    }
}

/// What the database lacks, and the remedy.
async fn lacking(
    pool: &PgPool,
    map_digest: Option<&str>,
) -> Result<Option<&'static str>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    if !schema::is_complete(&mut connection).await? {
        return Ok(Some(NOT_MIGRATED));
    }
    if let Some(digest) = map_digest {
        let newest = apply::newest(&mut connection).await?;
        if newest.is_none_or(|newest| newest.digest != digest) {
            return Ok(Some(OTHER_MAP));
        }
    }
    Ok(None)
}

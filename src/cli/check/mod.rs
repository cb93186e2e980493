//! `lethe check`: tries every configured thing, and says in one table what is wrong and how to
//! mend it.

mod clerk;
mod database;
mod encryption;
mod map;
mod notices;
mod rights;
mod storage;
mod table;
mod trial;
mod urls;

use std::time::Duration;

use crate::config::{Database, MapText, Serve, Worker};
use crate::storage::Store;
use crate::vocabulary::ProcessRole;

pub use table::{Finding, is_anything_wrong, json, render};

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Tries everything that the configured roles need. `given` is the map of ERASURE_MAP, and `store` leads to the worker's
/// bucket.
pub async fn run(
    database: &Database,
    given: Option<&MapText>,
    serve: Option<&Serve>,
    worker: Option<(&Worker, &Store)>,
) -> Vec<Finding> {
    let roles: Vec<ProcessRole> = [
        serve.map(|_| ProcessRole::Serve),
        worker.map(|_| ProcessRole::Worker),
    ]
    .into_iter()
    .flatten()
    .collect();
    let limits = serve
        .map(|serve| serve.safety)
        .or(worker.map(|(worker, _)| worker.safety));
    let limits = limits.unwrap_or_default();
    let (mut findings, map) = database::check(database, given, &roles, limits, ANSWER_LIMIT).await;
    match worker {
        Some((worker, store)) => {
            findings.extend(storage::check(worker, store, map.as_ref()).await);
            findings.push(notices::check(worker, ANSWER_LIMIT).await);
            if let Some(backend) = &worker.reconcile.clerk {
                findings.push(clerk::backend(backend, ANSWER_LIMIT).await);
            }
        }
        None => findings.push(Finding::note(
            "bucket",
            "not configured: S3_BUCKET is not set",
            "`lethe worker` needs it; `lethe serve` does not.",
        )),
    }
    match serve {
        Some(serve) => findings.extend(clerk::check(serve).await),
        None => findings.push(Finding::note(
            "Clerk",
            "not configured: no CLERK_… variable is set",
            "`lethe serve` needs them; `lethe worker` does not.",
        )),
    }
    findings
}

//! What a process does on a database that lacks migrations which it brings: it is not ready, says so, and waits.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::db::timeout::{STATEMENT_LIMIT, with_timeout};
use crate::http::api::health::{self, ReadyCheck};
use crate::schema;

/// Readiness waits no longer for the record of migrations.
const READY_WAIT: Duration = Duration::from_secs(2);
/// Between two looks at a database that is away or not migrated.
const PAUSE: Duration = Duration::from_millis(500);

/// Ready is: the database answers, and has what this binary brings.
pub fn ready(pool: PgPool) -> ReadyCheck {
    let database = health::database_ready(pool.clone());
    Arc::new(move || {
        let (database, pool) = (database(), pool.clone());
        Box::pin(async move {
            let detail = database.await?;
            match timeout(READY_WAIT, is_complete(&pool)).await {
                Ok(Ok(true)) => Ok(detail),
                Ok(Ok(false)) => {
                    Err("The database lacks migrations: run `lethe migrate`.".to_owned())
                }
                Ok(Err(error)) => {
                    tracing::debug!(%error, "cannot read which migrations were applied");
                    Err("The database does not say which migrations were applied.".to_owned())
                }
                Err(_) => Err("The database does not answer within 2 s.".to_owned()),
            }
        })
    })
}

/// Waits until the database has what this binary brings; false when `shutdown` came first.
pub async fn wait(pool: &PgPool, shutdown: &CancellationToken) -> bool {
    loop {
        match with_timeout(STATEMENT_LIMIT, is_complete(pool)).await {
            Ok(true) => return true,
            Ok(false) => {
                tracing::warn!("waiting for the database's migrations: run `lethe migrate`");
            }
            Err(error) => tracing::warn!(%error, "waiting for the database and its migrations"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return false,
            () = sleep(PAUSE) => {}
        }
    }
}

async fn is_complete(pool: &PgPool) -> Result<bool, sqlx::Error> {
    schema::is_complete(&mut *pool.acquire().await?).await
}

//! What a process does when the application's tables change under the erasure map: it looks now and then, records what the
//! map does not speak of, and is not ready while nothing may be erased.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cause::chain;
use crate::db::timeout::with_timeout;
use crate::http::api::health::ReadyCheck;
use crate::map::drift::{self, Drift, DriftState};
use crate::vocabulary::ProcessRole;

/// The time between two looks while everything fits.
const INTERVAL: Duration = Duration::from_secs(30);
/// The time between two looks while something is breaking, so that a mended database is used soon.
const BROKEN_INTERVAL: Duration = Duration::from_secs(2);
/// A look is given up after this time. It reads the catalog only.
const LOOK_LIMIT: Duration = Duration::from_secs(20);
/// The names of tables and columns are for the log.
const BROKEN: &str = "The database no longer fits the erasure map: nothing is erased until it does. The log says what was \
                      found, and so does `lethe map check`.";

/// Looks until `shutdown`. Workers also record what they find.
pub fn start(pool: PgPool, role: ProcessRole, state: Arc<DriftState>, shutdown: CancellationToken) {
    tokio::spawn(async move {
        shutdown
            .run_until_cancelled(watch(&pool, role, &state))
            .await;
    });
}

async fn watch(pool: &PgPool, role: ProcessRole, state: &DriftState) {
    loop {
        look(pool, role, state).await;
        let pause = match state.is_breaking() {
            true => BROKEN_INTERVAL,
            false => INTERVAL,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = state.doubted() => {}
        }
    }
}

/// Looks once. Other loops of the process say that the database is away.
pub async fn look(pool: &PgPool, role: ProcessRole, state: &DriftState) {
    let looked = async {
        let drift = state.look(pool).await?;
        if let (Some(drift), ProcessRole::Worker) = (drift, role) {
            record(pool, &drift).await?;
        }
        Ok(())
    };
    if let Err(error) = with_timeout(LOOK_LIMIT, looked).await {
        let error = chain(&error);
        tracing::debug!(error, "cannot compare the erasure map with the database");
    }
}

async fn record(pool: &PgPool, drift: &Drift) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let is_new = drift::note(&mut connection, drift).await?;
    if is_new && drift.incomplete.is_empty() {
        tracing::info!("the erasure map speaks of everything in the database again");
    } else if is_new {
        tracing::warn!(
            places = drift.incomplete.join(", "),
            "the erasure map does not speak of everything in the database, so receipts say `incomplete`; `lethe map check` \
             says how to mend it"
        );
    }
    Ok(())
}

/// Not ready while something is breaking.
pub fn checked(ready: ReadyCheck, state: Arc<DriftState>) -> ReadyCheck {
    Arc::new(move || {
        let (ready, state) = (ready(), Arc::clone(&state));
        Box::pin(async move {
            let detail = ready.await?;
            match state.is_breaking() {
                true => Err(BROKEN.to_owned()),
                false => Ok(detail),
            }
        })
    })
}

//! Finds the due tasks without claiming any.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::timeout::with_timeout;
use crate::vocabulary::TaskKind;

/// While some transaction holds a snapshot, a full scan also reads the index entries of the tasks that have ended.
/// Measured: 0.2 s for a million of them.
const BEGIN: &str = "begin read only; set local statement_timeout = '60s'; \
                     set local plan_cache_mode = force_generic_plan; \
                     set local enable_seqscan = off; set local jit = off";
const SCAN_LIMIT: Duration = Duration::from_secs(62);

/// The first due task of each lane.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstDue {
    /// The database's time at the query.
    pub now: DateTime<Utc>,
    /// The due time of the first task that no worker holds, by lane in the order of `Lane::ALL`.
    pub first: Vec<Option<DateTime<Utc>>>,
    /// How long the database took.
    pub took_seconds: f64,
}

/// Finds the first due task of each lane from these due times on. It locks nothing.
///
/// # Errors
/// When the query fails, or takes longer than a minute.
pub async fn first_due(
    pool: &PgPool,
    watermarks: [DateTime<Utc>; 3],
) -> Result<FirstDue, sqlx::Error> {
    let scan = async {
        let mut tx = pool.begin_with(BEGIN).await?;
        let found = sqlx::query_file_as!(
            FirstDue,
            "sql/queue/first_due.sql",
            &watermarks,
            TaskKind::ALL as &[TaskKind]
        )
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(found)
    };
    with_timeout(SCAN_LIMIT, scan).await
}

//! What is due: asked without claiming anything.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::timeout::with_timeout;

/// The walk may step over the index entries of every task that ended while something held a snapshot:
/// measured, 0.2 s a million of them.
const SERVER_LIMIT: &str = "begin read only; set local statement_timeout = '60s'; \
                            set local plan_cache_mode = force_generic_plan; \
                            set local enable_seqscan = off; set local jit = off";
const LIMIT: Duration = Duration::from_secs(62);

/// The first due task of each lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Due {
    /// The database's time when it looked.
    pub now: DateTime<Utc>,
    /// When the first task was due that nobody holds, by lane in the order of `Lane::ALL`.
    pub first: Vec<Option<DateTime<Utc>>>,
    /// How long the database looked.
    pub took_seconds: f64,
}

/// Looks at the lanes from these due times on. It locks nothing.
///
/// # Errors
/// When the database cannot be asked, or does not answer within a minute.
pub async fn find(pool: &PgPool, watermarks: [DateTime<Utc>; 3]) -> Result<Due, sqlx::Error> {
    let asked = async {
        let mut transaction = pool.begin_with(SERVER_LIMIT).await?;
        let due = sqlx::query_file_as!(Due, "sql/queue/first_due.sql", &watermarks)
            .fetch_one(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(due)
    };
    with_timeout(LIMIT, asked).await
}

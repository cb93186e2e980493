//! Removes finished tasks whose retention is over, and makes room for the next ones.

use sqlx::PgPool;

use crate::db::timeout::{TRANSACTION_LIMIT, with_timeout};
use crate::db::transaction::begin;

/// For so many days ahead, finished tasks have a partition. Until then some worker has made more.
const DAYS_AHEAD: i32 = 7;

/// Makes the partitions of the next days, drops those past the retention, and removes the rows of workers that were
/// rescued. Returns the number of dropped partitions.
///
/// # Errors
/// When a statement fails, such as one that would have to wait for a long transaction. The next round repeats it.
pub async fn prune(pool: &PgPool, retention_days: u32) -> Result<u64, sqlx::Error> {
    let days = i32::try_from(retention_days).unwrap_or(i32::MAX);
    let make = async {
        let mut tx = begin(pool).await?;
        sqlx::query_file!("sql/queue/make_partitions.sql", DAYS_AHEAD)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await
    };
    with_timeout(TRANSACTION_LIMIT, make).await?;
    let drop = async {
        let mut tx = begin(pool).await?;
        let dropped = sqlx::query_file_scalar!("sql/queue/drop_partitions.sql", days)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(dropped)
    };
    let dropped = with_timeout(TRANSACTION_LIMIT, drop).await?;
    let forget = async {
        let mut tx = begin(pool).await?;
        sqlx::query_file!("sql/queue/forget_workers.sql")
            .execute(&mut *tx)
            .await?;
        tx.commit().await
    };
    with_timeout(TRANSACTION_LIMIT, forget).await?;
    Ok(u64::try_from(dropped).unwrap_or_default())
}

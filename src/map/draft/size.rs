//! How many rows a table has, in words.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::map::catalog::Table;

/// Tables of up to so many rows are counted. Of larger ones the planner's estimate is good enough, and counting is slow.
const MAX_COUNTED: i64 = 10_000;

/// The size of each table, such as `3 rows` or `about 812000 rows`; a table that this role may not read has none.
///
/// # Errors
/// When the connection breaks.
pub(super) async fn sizes(
    tx: &mut PgConnection,
    tables: &[&Table],
) -> Result<BTreeMap<i64, String>, sqlx::Error> {
    let mut sizes = BTreeMap::new();
    for table in tables {
        if table.rows > MAX_COUNTED {
            sizes.insert(table.id, format!("about {} rows", table.rows));
        } else if let Some(rows) = count(tx, table).await? {
            let size = match rows {
                1 => "1 row".to_owned(),
                _ if rows > MAX_COUNTED => format!("more than {MAX_COUNTED} rows"),
                _ => format!("{rows} rows"),
            };
            sizes.insert(table.id, size);
        }
    }
    Ok(sizes)
}

/// Counts one row more than [`MAX_COUNTED`] at most. `None` if this role may not.
async fn count(tx: &mut PgConnection, table: &Table) -> Result<Option<i64>, sqlx::Error> {
    let sql = format!(
        "select count(*) from (select from {} limit {}) t",
        table.sql,
        MAX_COUNTED + 1
    );
    // A refusal must not end the whole transaction.
    let mut savepoint = tx.begin().await?;
    let counted = sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut *savepoint)
        .await;
    savepoint.rollback().await?;
    match counted {
        Err(sqlx::Error::Database(_)) => Ok(None),
        counted => counted.map(Some),
    }
}

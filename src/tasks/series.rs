//! The queue over time, for charts.

use poem_openapi::Object;
use sqlx::{PgConnection, query_file, query_file_scalar};

use crate::db::transaction::read_only;
use crate::vocabulary::{StatsWindow, Timestamp};

/// A bucket with more entries than this is estimated from this number of its ids.
const MAX_COUNTED_PER_BUCKET: i32 = 150;

/// What happened in one stretch of time.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Bucket {
    /// When it begins.
    pub at: Timestamp,
    /// Tasks that ended with nothing left.
    pub completed: i64,
    /// Attempts that failed and are made again.
    pub failed: i64,
    /// Tasks that now wait for a person.
    pub dead: i64,
    /// Objects that the store confirmed to be gone.
    pub objects_deleted: i64,
    /// Whether these numbers are estimates.
    pub estimated: bool,
}

/// The queue over time, oldest bucket first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase")]
pub struct Series {
    pub window: StatsWindow,
    /// The length of a bucket.
    pub bucket_seconds: i32,
    /// The last bucket contains the present time, so it is not yet full.
    pub buckets: Vec<Bucket>,
}

/// Reads the series of a window that ends now. Buckets begin at whole multiples of their length.
///
/// # Errors
/// Those of the database.
pub async fn series(
    connection: &mut PgConnection,
    window: StatsWindow,
) -> Result<Series, sqlx::Error> {
    let mut tx = read_only(connection).await?;
    // A bitmap of all entries of a bucket costs more than the few that are counted.
    sqlx::query("set local enable_bitmapscan = off")
        .execute(&mut *tx)
        .await?;
    let bucket_seconds = window.bucket_seconds();
    let starts_at = query_file_scalar!(
        "sql/tasks/series_start.sql",
        bucket_seconds,
        window.buckets()
    )
    .fetch_one(&mut *tx)
    .await?;
    let completed = query_file!(
        "sql/tasks/series_completed.sql",
        starts_at as Timestamp,
        bucket_seconds,
        window.buckets(),
        MAX_COUNTED_PER_BUCKET
    )
    .fetch_all(&mut *tx)
    .await?;
    let failed = query_file!(
        "sql/tasks/series_failed.sql",
        starts_at as Timestamp,
        bucket_seconds,
        window.buckets(),
        MAX_COUNTED_PER_BUCKET
    )
    .fetch_all(&mut *tx)
    .await?;
    // Both have one row for each bucket, in the same order.
    let buckets = completed
        .into_iter()
        .zip(failed)
        .map(|(completed, failed)| Bucket {
            at: completed.at,
            completed: completed.completed,
            failed: failed.failed,
            dead: failed.dead,
            objects_deleted: completed.objects_deleted + failed.objects_deleted,
            estimated: completed.estimated || failed.estimated,
        })
        .collect();
    Ok(Series {
        window,
        bucket_seconds,
        buckets,
    })
}

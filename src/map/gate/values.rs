//! What PostgreSQL's statistics say of the values of columns. Only counts leave the database, never a value.

use sqlx::{Connection as _, PgConnection, query_file, query_file_scalar};

use super::scope::Scope;
use crate::db::sqlstate::{Meaning, meaning};
use crate::map::catalog::{Column, Table, TypeFamily};

/// How many of a column's values look like what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub looked: i64,
    pub clerk_ids: i64,
    pub emails: i64,
    pub object_keys: i64,
    pub urls: i64,
}

/// What came of looking.
#[derive(Debug)]
pub enum Looked<'c> {
    Counts {
        counts: Vec<(&'c Table, &'c Column, Counts)>,
        /// False if there are rows to look at, and no statistics of any.
        has_statistics: bool,
    },
    /// This role may not read the statistics.
    Forbidden,
}

/// Reads the statistics of every column that can hold a string and of which the map says nothing.
///
/// # Errors
/// Of the database.
pub async fn look<'c>(tx: &mut PgConnection, scope: &Scope<'c>) -> Result<Looked<'c>, sqlx::Error> {
    let mut columns = Vec::new();
    for table in scope.tables() {
        let of_strings = table.columns.iter().filter(|column| {
            let family = column.family;
            let holds_strings = family.is_text() || family == TypeFamily::TextArray;
            (holds_strings || column.base_type == "jsonb") && !scope.is_settled(table, column)
        });
        columns.extend(of_strings.map(|column| (table, column)));
    }
    let ids: Vec<i64> = columns.iter().map(|(table, _)| table.id).collect();
    let names: Vec<String> = columns
        .iter()
        .map(|(_, column)| column.name.clone())
        .collect();
    let buckets = scope.map.map.buckets.iter();
    let bases = buckets.flat_map(|bucket| &bucket.bases);
    let bases: Vec<String> = bases
        .map(|base| format!("{}{}", base.origin, base.path))
        .collect();
    // A refusal must not end the whole transaction.
    let mut savepoint = tx.begin().await?;
    let rows = query_file!("sql/map/values.sql", &ids, &names, &bases)
        .fetch_all(&mut *savepoint)
        .await;
    savepoint.rollback().await?;
    let rows = match rows {
        Err(error) if meaning(&error) == Meaning::Forbidden => return Ok(Looked::Forbidden),
        rows => rows?,
    };
    // An empty table has no values, whether or not somebody has analyzed it.
    let with_rows = columns.iter().filter(|(table, _)| table.rows > 0);
    let with_rows: Vec<i64> = with_rows.map(|(table, _)| table.id).collect();
    let has_statistics = with_rows.is_empty()
        || query_file_scalar!("sql/map/has_statistics.sql", &with_rows)
            .fetch_one(&mut *tx)
            .await?;
    let counts = rows.into_iter().filter_map(|row| {
        let place = usize::try_from(row.place).ok()?.checked_sub(1)?;
        let (table, column) = columns.get(place)?;
        let counts = Counts {
            looked: row.looked,
            clerk_ids: row.clerk_ids,
            emails: row.emails,
            object_keys: row.object_keys,
            urls: row.urls,
        };
        Some((*table, *column, counts))
    });
    Ok(Looked::Counts {
        counts: counts.collect(),
        has_statistics,
    })
}

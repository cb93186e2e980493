//! The migrations that this binary brings, and what the database has of them.

use sqlx::migrate::Migrator;
use sqlx::{PgConnection, PgExecutor};

/// The migrations of this binary. What a newer one applied is left alone, so that a rollback of the
/// binary does not need one of the database.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// Where the database stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Brought by this binary and applied.
    pub applied: Vec<i64>,
    /// Brought by this binary and not applied, with what each does.
    pub due: Vec<(i64, String)>,
    /// Applied, but with another text than this binary's.
    pub changed: Vec<i64>,
    /// Begun and never finished.
    pub unfinished: Vec<i64>,
    /// Applied by another, newer binary.
    pub newer: Vec<i64>,
}

impl State {
    /// Whether this binary can run on the database.
    pub fn is_current(&self) -> bool {
        self.due.is_empty() && self.changed.is_empty() && self.unfinished.is_empty()
    }
}

struct Applied {
    version: i64,
    checksum: Vec<u8>,
    success: bool,
}

/// Compares the database's record with this binary's migrations.
///
/// # Errors
/// Of the database, such as no right to read the record.
pub async fn state(connection: &mut PgConnection) -> Result<State, sqlx::Error> {
    let applied = applied(connection).await?;
    let mut state = State::default();
    let brought = || {
        MIGRATOR
            .iter()
            .filter(|one| !one.migration_type.is_down_migration())
    };
    for migration in brought() {
        let version = migration.version;
        match applied.iter().find(|one| one.version == version) {
            None => state.due.push((version, migration.description.to_string())),
            Some(one) if !one.success => state.unfinished.push(version),
            Some(one) if one.checksum != *migration.checksum => state.changed.push(version),
            Some(_) => state.applied.push(version),
        }
    }
    state.newer = applied
        .iter()
        .map(|one| one.version)
        .filter(|version| brought().all(|migration| migration.version != *version))
        .collect();
    Ok(state)
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
    // sqlx's own table, which is not there before the first migration.
    let is_there: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *connection)
        .await?;
    if !is_there {
        return Ok(Vec::new());
    }
    let rows: Vec<(i64, Vec<u8>, bool)> =
        sqlx::query_as("select version, checksum, success from _sqlx_migrations order by version")
            .fetch_all(&mut *connection)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(version, checksum, success)| Applied {
            version,
            checksum,
            success,
        })
        .collect())
}

/// Whether everything that this binary brings is applied: by the record of migrations, and where this role may
/// not read that, or another tool applied them, by the tables and functions.
///
/// # Errors
/// Of the database.
pub async fn is_complete(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let record =
        "select coalesce(has_table_privilege(to_regclass('_sqlx_migrations'), 'select'), false)";
    let may_read: bool = sqlx::query_scalar(record)
        .fetch_one(&mut *connection)
        .await?;
    if !may_read {
        return is_migrated(connection).await;
    }
    let state = state(connection).await?;
    Ok(state.due.is_empty() && state.unfinished.is_empty())
}

/// Whether the tables and functions that the service needs are there. Needs no right to read
/// the record of migrations, which may belong to another role.
///
/// # Errors
/// Of the database.
pub async fn is_migrated<'e>(executor: impl PgExecutor<'e>) -> Result<bool, sqlx::Error> {
    sqlx::query_file_scalar!("sql/app/migrated.sql")
        .fetch_one(executor)
        .await
}

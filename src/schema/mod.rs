//! The migrations that this binary brings, what the database has of them, and whether this role may use it.

pub mod application;
pub mod needs;

use sqlx::migrate::{Migration, Migrator};
use sqlx::{PgConnection, PgExecutor};

use self::needs::TableRight;
use crate::vocabulary::ProcessRole;

/// The migrations of this binary. What a newer one applied is left alone, so that a rollback of the
/// binary does not need one of the database.
pub static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// A migrator of these migrations that writes the same record as [`MIGRATOR`], and leaves alone what a newer binary
/// applied.
#[must_use]
pub fn migrator(migrations: Vec<Migration>) -> Migrator {
    Migrator {
        migrations: migrations.into(),
        table_name: MIGRATOR.table_name.clone(),
        create_schemas: MIGRATOR.create_schemas.clone(),
        ignore_missing: true,
        ..Migrator::DEFAULT
    }
}

/// How the database's migrations compare with this binary's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationState {
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

impl MigrationState {
    /// Whether this binary can run on the database.
    pub fn is_current(&self) -> bool {
        self.due.is_empty() && self.changed.is_empty() && self.unfinished.is_empty()
    }
}

#[derive(sqlx::FromRow)]
struct Applied {
    version: i64,
    checksum: Vec<u8>,
    success: bool,
}

/// Compares the database's record with this binary's migrations.
///
/// # Errors
/// Of the database, such as no right to read the record.
pub async fn state(connection: &mut PgConnection) -> Result<MigrationState, sqlx::Error> {
    let applied = applied(connection).await?;
    let mut state = MigrationState::default();
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
    let record = sqlx::query_file!("sql/schema/record.sql")
        .fetch_one(&mut *connection)
        .await?;
    if !record.is_there {
        return Ok(Vec::new());
    }
    sqlx::query_as(include_str!("../../sql/schema/applied.sql"))
        .fetch_all(connection)
        .await
}

/// Whether the database has everything that this binary brings: the tables and functions, and by the record of
/// migrations all changes of them. The record is left aside where this role may not read it, or where another
/// tool applied the migrations.
///
/// # Errors
/// Of the database.
pub async fn is_complete(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    if !is_migrated(&mut *connection).await? || !has_map(&mut *connection).await? {
        return Ok(false);
    }
    let record = sqlx::query_file!("sql/schema/record.sql")
        .fetch_one(&mut *connection)
        .await?;
    if !record.may_read {
        return Ok(true);
    }
    let state = state(connection).await?;
    Ok(state.due.is_empty() && state.unfinished.is_empty())
}

/// Whether sqlx's record of the migrations is there, or nothing is migrated yet. It is not where another tool applied the
/// migrations.
///
/// # Errors
/// Of the database.
pub async fn may_have_record(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let record = sqlx::query_file!("sql/schema/record.sql")
        .fetch_one(&mut *connection)
        .await?;
    Ok(record.is_there || !is_migrated(connection).await?)
}

/// Whether an erasure map is applied.
///
/// # Errors
/// Of the database.
pub async fn has_map(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_file_scalar!("sql/schema/has_map.sql")
        .fetch_one(connection)
        .await
}

/// The tables of the applied map; none before the first map was applied, or for a role that may not read it.
///
/// # Errors
/// Of the database.
pub async fn application_tables(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let may_read = sqlx::query_file_scalar!("sql/schema/may_read_map.sql")
        .fetch_one(&mut *connection)
        .await?;
    if !may_read || !has_map(&mut *connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_file_scalar!("sql/schema/application_tables.sql")
        .fetch_all(connection)
        .await
}

/// Whether the tables and functions of [`needs`] are there.
///
/// # Errors
/// Of the database.
pub async fn is_migrated<'e>(executor: impl PgExecutor<'e>) -> Result<bool, sqlx::Error> {
    let (tables, functions) = (needs::table_names(), needs::own_function_names());
    sqlx::query_file_scalar!("sql/schema/migrated.sql", &tables, &functions)
        .fetch_one(executor)
        .await
}

/// The rights of [`needs`] that this database role lacks for processes of these roles, each as `select on users`.
/// `application` are the rights on the application's tables; without them, what [`needs::application_rights`] knows.
///
/// # Errors
/// Of the database.
pub async fn missing_rights(
    connection: &mut PgConnection,
    roles: &[ProcessRole],
    application: Option<&[TableRight]>,
) -> Result<Vec<String>, sqlx::Error> {
    let schemas = needs::SCHEMAS.map(str::to_owned);
    let usage = missing_usage(&mut *connection, &schemas, &[]).await?;
    if !usage.is_empty() {
        return Ok(usage);
    }
    let tables = application_tables(&mut *connection).await?;
    let usage = missing_usage(&mut *connection, &[], &tables).await?;
    if !usage.is_empty() {
        return Ok(usage);
    }
    let rights = Rights::new(roles, application, &tables);
    sqlx::query_file_scalar!(
        "sql/schema/missing_rights.sql",
        &rights.tables,
        &rights.privileges,
        &rights.columns,
        &needs::functions_of(roles)
    )
    .fetch_all(connection)
    .await
}

/// The schemas that this role may not use.
async fn missing_usage(
    connection: &mut PgConnection,
    schemas: &[String],
    tables: &[String],
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_file_scalar!("sql/schema/missing_usage.sql", schemas, tables)
        .fetch_all(connection)
        .await
}

/// What this database role may do beyond the needs of processes of these roles, each as `delete on users`; for a
/// superuser, or the owner of Lethe's schema, only that.
///
/// # Errors
/// Of the database.
pub async fn surplus_rights(
    connection: &mut PgConnection,
    roles: &[ProcessRole],
    application: Option<&[TableRight]>,
) -> Result<Vec<String>, sqlx::Error> {
    let tables = application_tables(&mut *connection).await?;
    let rights = Rights::new(roles, application, &tables);
    sqlx::query_file_scalar!(
        "sql/schema/surplus_rights.sql",
        &[needs::table_names(), tables].concat(),
        &rights.tables,
        &rights.privileges,
        &rights.columns,
        &needs::function_names(),
        &needs::functions_of(roles)
    )
    .fetch_all(connection)
    .await
}

/// Rights on tables as lists of the same length; the column is empty for a whole table.
#[derive(Default)]
struct Rights {
    tables: Vec<String>,
    privileges: Vec<String>,
    columns: Vec<String>,
}

impl Rights {
    fn new(roles: &[ProcessRole], application: Option<&[TableRight]>, tables: &[String]) -> Self {
        let of_application = match application {
            Some(application) => application.to_vec(),
            None => needs::application_rights(roles, tables),
        };
        let mut rights = Self::default();
        for right in needs::own_rights(roles).into_iter().chain(of_application) {
            rights.tables.push(right.table);
            rights.privileges.push(right.privilege);
            rights.columns.push(right.column.unwrap_or_default());
        }
        rights
    }
}

/// The tables of [`needs`] of which row level security hides rows from this role.
///
/// # Errors
/// Of the database.
pub async fn tables_with_hidden_rows(
    connection: &mut PgConnection,
) -> Result<Vec<String>, sqlx::Error> {
    let tables = [
        needs::table_names(),
        application_tables(&mut *connection).await?,
    ]
    .concat();
    sqlx::query_file_scalar!("sql/schema/row_security.sql", &tables)
        .fetch_all(connection)
        .await
}

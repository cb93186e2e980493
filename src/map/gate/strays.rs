//! Tables of the application in the schemas of Lethe. They come there by mistake: a role named `lethe` creates its
//! tables in the schema of its own name, because the search path begins with `"$user"`.

use sqlx::{PgConnection, query_file, query_file_scalar};

use super::finding::{Code, Finding};

/// Lethe's own tables in schema `lethe`. A test compares them with the migrations.
pub const LETHES_TABLES: &[&str] = &[
    "_sqlx_migrations",
    "cleanup_audit",
    "cleanup_reconciliations",
    "cleanup_tasks",
    "cleanup_workers",
    "erasure_slots",
    "finished_tasks",
    "map_drift",
    "maps",
    "notice_settings",
    "notices",
    "process_settings",
    "receipt_keys",
    "receipts",
    "settings",
    "user_tombstones",
    "webhook_events",
];
/// The migration that these tables are of. A later one may have made others.
pub const NEWEST_MIGRATION: i64 = 13;

/// # Errors
/// Of the database.
pub(super) async fn look(tx: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let own: Vec<String> = LETHES_TABLES.iter().map(|&name| name.to_owned()).collect();
    let strays = query_file!("sql/map/strays.sql", &own)
        .fetch_all(&mut *tx)
        .await?;
    if strays.is_empty() || is_ahead(tx).await? {
        return Ok(Vec::new());
    }
    let finding = |schema: &str, name: &str, sql: &str| {
        let what =
            format!("Stands in schema {schema}, which is Lethe's own, and is no table of Lethe.");
        let remedy = format!(
            "Move it: alter table {sql} set schema public; and give the role that created it another search path, such as: \
             alter role … set search_path = public;"
        );
        Finding::incomplete(Code::StrayTable, format!("{schema}.{name}"), what, remedy)
    };
    let findings = strays.iter();
    Ok(findings
        .map(|stray| finding(&stray.schema, &stray.name, &stray.sql))
        .collect())
}

/// Whether a later version of Lethe has migrated the database, whose tables this one does not know.
async fn is_ahead(tx: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let may_read = query_file_scalar!("sql/map/may_read_record.sql")
        .fetch_one(&mut *tx)
        .await?;
    if !may_read {
        return Ok(false);
    }
    let newest: Option<i64> = sqlx::query_scalar("select max(version) from lethe._sqlx_migrations")
        .fetch_one(tx)
        .await?;
    Ok(newest.is_some_and(|newest| newest > NEWEST_MIGRATION))
}

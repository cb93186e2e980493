//! The application's tables. `lethe migrate` creates them if none exists, and uses them as they are if they fit.

use sqlx::PgConnection;

/// The columns that Lethe reads and writes: table, column, type as `format_type` gives it.
const COLUMNS: &[(&str, &str, &str)] = &[
    ("users", "id", "text"),
    ("users", "deleted_at", "timestamp with time zone"),
    ("users", "deleted_by", "text"),
    ("collections", "id", "uuid"),
    ("collections", "user_id", "text"),
    ("collections", "deleted_at", "timestamp with time zone"),
    ("collections", "deleted_by", "text"),
    ("samples", "id", "uuid"),
    ("samples", "user_id", "text"),
    ("samples", "collection_id", "uuid"),
    ("samples", "name", "text"),
    ("samples", "created_at", "timestamp with time zone"),
    ("samples", "deleted_at", "timestamp with time zone"),
    ("samples", "deleted_by", "text"),
    ("sample_images", "id", "uuid"),
    ("sample_images", "sample_id", "uuid"),
    ("sample_images", "object_key", "text"),
    ("sample_images", "deleted_at", "timestamp with time zone"),
    ("sample_images", "deleted_by", "text"),
];

/// The columns of these that must not be null: who owns a row, and the only record of an object.
const NOT_NULL: &[(&str, &str)] = &[
    ("collections", "user_id"),
    ("samples", "user_id"),
    ("sample_images", "sample_id"),
    ("sample_images", "object_key"),
];

/// What to do about tables that do not fit.
pub const REMEDY: &str = "With the built-in map Lethe needs the tables users, collections, samples and sample_images as the README \
     describes them, or none of them: then `lethe migrate` creates them. For tables of your own, `lethe map init` drafts a map.";

/// The tables, each with `id` as its primary key.
const TABLES: [&str; 4] = ["users", "collections", "samples", "sample_images"];

/// Why no map can be used on this database: it is one of Lethe 0.1. `None` if it is not.
///
/// # Errors
/// Of the database.
pub async fn old_version(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let is_old = sqlx::query_file_scalar!("sql/schema/old_version.sql")
        .fetch_one(connection)
        .await?;
    Ok(is_old.then(|| {
        "This database has the tables of Lethe 0.1 (public.cleanup_tasks), which was never released. \
         This version keeps its own tables in the schema \"lethe\" and does not convert them: finish the open \
         tasks with 0.1, then drop its tables and functions, or begin with a new database."
            .to_owned()
    }))
}

/// Why the migrations cannot be applied to this database, one sentence each. Empty when they can.
///
/// # Errors
/// Of the database.
pub async fn obstacles(connection: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let found = sqlx::query_file!("sql/schema/application.sql", &TABLES as &[&str])
        .fetch_all(&mut *connection)
        .await?;
    if let Some(obstacle) = old_version(connection).await? {
        return Ok(vec![obstacle]);
    }
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut obstacles = Vec::new();
    for table in TABLES {
        if !found.iter().any(|column| column.table_name == table) {
            obstacles.push(format!("table public.{table} is missing"));
            continue;
        }
        let key: Vec<&str> = found
            .iter()
            .filter(|column| column.table_name == table && column.is_key)
            .map(|column| column.column_name.as_str())
            .collect();
        if key != ["id"] {
            obstacles.push(format!("the primary key of public.{table} is not (id)"));
        }
    }
    for (table, name, of_type) in COLUMNS {
        if !found.iter().any(|column| column.table_name == *table) {
            continue;
        }
        let column = found
            .iter()
            .find(|column| column.table_name == *table && column.column_name == *name);
        match column {
            None => obstacles.push(format!("column {name} of public.{table} is missing")),
            Some(column) if column.data_type != *of_type => obstacles.push(format!(
                "column {name} of public.{table} is {}, not {of_type}",
                column.data_type
            )),
            Some(column) if column.is_nullable && NOT_NULL.contains(&(table, name)) => {
                obstacles.push(format!("column {name} of public.{table} may be null"));
            }
            Some(_) => {}
        }
    }
    Ok(obstacles)
}

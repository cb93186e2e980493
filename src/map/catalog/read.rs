//! Reads the snapshot, by a fixed number of queries whatever the number of tables.

use std::collections::HashMap;

use sqlx::{PgConnection, Postgres, Transaction, query_file, query_file_as};

use super::types::{
    Catalog, Column, ForeignKey, Hook, HookKind, Index, OnDelete, Server, Table, TableKind,
    TypeFamily,
};
use crate::db::transaction;

/// Begins the transaction in which a map is compared with a database: one snapshot, nothing is written, and no name
/// is found without its schema.
///
/// # Errors
/// Of the database.
pub async fn begin(
    connection: &mut PgConnection,
) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
    let mut tx = transaction::snapshot(connection).await?;
    query_file!("sql/map/begin.sql").fetch_one(&mut *tx).await?;
    Ok(tx)
}

/// Reads the catalog in a transaction that [`begin`] began.
///
/// # Errors
/// Of the database.
pub async fn read(tx: &mut PgConnection) -> Result<Catalog, sqlx::Error> {
    let server = query_file!("sql/map/server.sql")
        .fetch_one(&mut *tx)
        .await?;
    let mut catalog = Catalog {
        server: Server {
            version: server.version,
            database: server.database,
            role: server.role,
        },
        tables: tables(tx).await?,
        by_id: HashMap::new(),
    };
    let places = catalog.tables.iter().enumerate();
    catalog.by_id = places.map(|(place, table)| (table.id, place)).collect();
    let ids: Vec<i64> = catalog.tables.iter().map(|table| table.id).collect();
    columns(tx, &ids, &mut catalog).await?;
    constraints(tx, &ids, &mut catalog).await?;
    indexes(tx, &ids, &mut catalog).await?;
    hooks(tx, &ids, &mut catalog).await?;
    Ok(catalog)
}

impl Catalog {
    fn table_mut(&mut self, id: i64) -> Option<&mut Table> {
        self.tables.get_mut(*self.by_id.get(&id)?)
    }
}

struct TableRow {
    id: i64,
    schema: String,
    name: String,
    sql: String,
    kind: String,
    is_partition: bool,
    parent_id: Option<i64>,
    rows: Option<i64>,
    has_row_security: bool,
    hides_rows: bool,
}

async fn tables(tx: &mut PgConnection) -> Result<Vec<Table>, sqlx::Error> {
    let rows = query_file_as!(TableRow, "sql/map/tables.sql")
        .fetch_all(tx)
        .await?;
    let table = |row: TableRow| Table {
        id: row.id,
        schema: row.schema,
        name: row.name,
        sql: row.sql,
        kind: match row.kind.as_str() {
            "p" => TableKind::Partitioned,
            "f" => TableKind::Foreign,
            _ => TableKind::Plain,
        },
        is_partition: row.is_partition,
        parent_id: row.parent_id,
        rows: row.rows.unwrap_or(0),
        has_row_security: row.has_row_security,
        hides_rows: row.hides_rows,
        columns: Vec::new(),
        primary_key: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        hooks: Vec::new(),
    };
    Ok(rows.into_iter().map(table).collect())
}

async fn columns(
    tx: &mut PgConnection,
    ids: &[i64],
    catalog: &mut Catalog,
) -> Result<(), sqlx::Error> {
    let rows = query_file!("sql/map/columns.sql", ids)
        .fetch_all(tx)
        .await?;
    for row in rows {
        let column = Column {
            number: row.number,
            name: row.name,
            sql: row.sql,
            type_sql: row.type_sql,
            family: TypeFamily::of(&row.base_type, &row.category, row.is_enum),
            base_type: row.base_type,
            base_sql: row.base_sql,
            not_null: row.not_null,
            is_generated: row.is_generated,
            equals: row.equals,
        };
        if let Some(table) = catalog.table_mut(row.table_id) {
            table.columns.push(column);
        }
    }
    Ok(())
}

async fn constraints(
    tx: &mut PgConnection,
    ids: &[i64],
    catalog: &mut Catalog,
) -> Result<(), sqlx::Error> {
    let rows = query_file!("sql/map/constraints.sql", ids)
        .fetch_all(tx)
        .await?;
    for row in rows {
        let Some(table) = catalog.table_mut(row.table_id) else {
            continue;
        };
        match (row.kind.as_str(), row.parent_id) {
            ("p", _) => table.primary_key = row.columns,
            (_, Some(parent_id)) => table.foreign_keys.push(ForeignKey {
                name: row.name,
                columns: row.columns,
                parent_id,
                parent_columns: row.parent_columns.unwrap_or_default(),
                on_delete: OnDelete::of(&row.on_delete),
                equals: row.equals.unwrap_or_default(),
            }),
            _ => {}
        }
    }
    Ok(())
}

async fn indexes(
    tx: &mut PgConnection,
    ids: &[i64],
    catalog: &mut Catalog,
) -> Result<(), sqlx::Error> {
    let rows = query_file!("sql/map/indexes.sql", ids)
        .fetch_all(tx)
        .await?;
    for row in rows {
        let index = Index {
            method: row.method,
            is_unique: row.is_unique,
            columns: row.columns,
            condition: row.condition,
        };
        if let Some(table) = catalog.table_mut(row.table_id) {
            table.indexes.push(index);
        }
    }
    Ok(())
}

async fn hooks(
    tx: &mut PgConnection,
    ids: &[i64],
    catalog: &mut Catalog,
) -> Result<(), sqlx::Error> {
    let rows = query_file!("sql/map/triggers.sql", ids)
        .fetch_all(tx)
        .await?;
    for row in rows {
        let hook = Hook {
            name: row.name,
            kind: match row.kind.as_str() {
                "before" => HookKind::BeforeDelete,
                "after" => HookKind::AfterDelete,
                "rule" => HookKind::Rule,
                _ => HookKind::Copy,
            },
        };
        if let Some(table) = catalog.table_mut(row.table_id) {
            table.hooks.push(hook);
        }
    }
    Ok(())
}

//! The tables and rows of a case as SQL: rows before foreign keys, so that cycles need no care.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::case::{Case, ColumnNo, Kind, OnDelete, Row, Table, Target};

/// Removes what an earlier case left, and makes this one with these rows.
pub fn script(case: &Case, rows: &[Vec<Row>]) -> String {
    let mut sql =
        "drop schema if exists public cascade;\ndrop schema if exists \"My Data\" cascade;\n\
                   create schema public;\ncreate schema \"My Data\";\n"
            .to_owned();
    for table in &case.tables {
        create(table, &mut sql);
    }
    for (table, rows) in case.tables.iter().zip(rows) {
        insert(table, rows, &mut sql);
    }
    for table in &case.tables {
        foreign_keys(case, table, &mut sql);
    }
    sql
}

pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

pub fn table_name(table: &Table) -> String {
    format!("{}.{}", quoted(&table.schema), quoted(&table.name))
}

fn names(table: &Table, columns: &[ColumnNo]) -> String {
    let names = columns.iter().map(|one| quoted(&table.columns[*one].name));
    Vec::from_iter(names).join(", ")
}

fn create(table: &Table, sql: &mut String) {
    let columns = table.columns.iter().map(|column| {
        let (name, null) = (
            quoted(&column.name),
            match column.nullable {
                true => "",
                false => " not null",
            },
        );
        let kind = match column.kind {
            Kind::Uuid => "uuid",
            Kind::Bigint => "bigint",
            Kind::Integer => "integer",
            Kind::Text => "text",
            Kind::Varchar => "varchar(200)",
            Kind::Texts => "text[]",
            Kind::Jsonb => "jsonb",
            Kind::Json => "json",
            Kind::Timestamp => "timestamptz",
            Kind::Boolean => "boolean",
            Kind::Generated(of) => {
                let of = quoted(&table.columns[of].name);
                return format!("{name} boolean generated always as ({of} is not null) stored");
            }
        };
        format!("{name} {kind}{null}")
    });
    let mut parts: Vec<String> = columns.collect();
    if !table.key.is_empty() {
        parts.push(format!("primary key ({})", names(table, &table.key)));
    }
    parts.extend(
        table
            .uniques
            .iter()
            .map(|one| format!("unique ({})", names(table, &[*one]))),
    );
    let name = table_name(table);
    let _ = write!(sql, "create table {name} ({})", parts.join(", "));
    if table.is_partitioned {
        let _ = writeln!(
            sql,
            " partition by hash ({});",
            names(table, &table.key[..1])
        );
        for remainder in 0..2 {
            let part = format!(
                "{}.{}",
                quoted(&table.schema),
                quoted(&format!("{} {remainder}", table.name))
            );
            let _ = writeln!(
                sql,
                "create table {part} partition of {name} for values with (modulus 2, remainder {remainder});"
            );
        }
    } else {
        sql.push_str(";\n");
    }
}

fn insert(table: &Table, rows: &[Row], sql: &mut String) {
    if rows.is_empty() {
        return;
    }
    let written = table.columns.iter().enumerate();
    let written = written.filter(|(_, column)| !matches!(column.kind, Kind::Generated(_)));
    let written: Vec<ColumnNo> = written.map(|(number, _)| number).collect();
    let rows = rows.iter().map(|row| {
        let columns = written
            .iter()
            .map(|one| (table.columns[*one].name.clone(), row[*one].clone()));
        Value::Object(Map::from_iter(columns)).to_string()
    });
    let (name, columns) = (table_name(table), names(table, &written));
    let rows = Vec::from_iter(rows).join(",\n ");
    let _ = writeln!(
        sql,
        "insert into {name} ({columns}) select {columns} from json_populate_recordset(null::{name}, {});",
        literal(&format!("[{rows}]"))
    );
}

pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    match quoted.contains('\\') {
        true => format!("E'{}'", quoted.replace('\\', "\\\\")),
        false => format!("'{quoted}'"),
    }
}

fn foreign_keys(case: &Case, table: &Table, sql: &mut String) {
    for reference in &table.references {
        let (
            Some(on_delete),
            Target::Columns {
                table: parent,
                columns,
            },
        ) = (reference.foreign_key, &reference.target)
        else {
            continue;
        };
        let on_delete = match on_delete {
            OnDelete::NoAction => "no action",
            OnDelete::Restrict => "restrict",
            OnDelete::Cascade => "cascade",
            OnDelete::SetNull => "set null",
            OnDelete::SetDefault => "set default",
        };
        let parent = &case.tables[*parent];
        let _ = writeln!(
            sql,
            "alter table {} add foreign key ({}) references {} ({}) on delete {on_delete};",
            table_name(table),
            names(table, &reference.columns),
            table_name(parent),
            names(parent, columns)
        );
    }
}

//! The map of a case as the text of its file.

use std::fmt::Write as _;

use lethe::map::format::{toml_key, toml_string};
use serde_json::Value;

use super::case::{
    Action, Case, Changes, ColumnNo, Reference, Rule, Table, TableNo, Target, UserModel,
};

pub fn map(case: &Case) -> String {
    let mut text = "version = 1\n".to_owned();
    for bucket in &case.buckets {
        let _ = writeln!(text, "[bucket.{}]", bucket.alias);
        if let Some(name) = &bucket.name {
            let _ = writeln!(text, "name = {}", toml_string(name));
        }
        if !bucket.urls.is_empty() {
            let urls: Vec<String> = bucket.urls.iter().map(|url| toml_string(url)).collect();
            let _ = writeln!(text, "urls = [{}]", urls.join(", "));
        }
    }
    user(case, &mut text);
    for (number, table) in case.tables.iter().enumerate() {
        if table.is_mapped && !case.is_users(number) {
            let _ = writeln!(text, "[table.{}]", toml_key(&section(case, number)));
            if needs_name(table) {
                let _ = writeln!(text, "name = {}", full_name(table));
            }
            let _ = writeln!(text, "type = \"{}\"", case.type_name(number));
            if table.is_api {
                text += "api = true\n";
            }
            columns(case, table, &mut text);
            rules(case, table, &mut text);
        }
    }
    text
}

fn user(case: &Case, text: &mut String) {
    text.push_str("[user]\nnever = [\"user_ghost\"]\n");
    let UserModel::Rows { id, clerk_id, keep } = &case.user else {
        return;
    };
    let table = &case.tables[0];
    let name = match needs_name(table) {
        true => full_name(table),
        false => toml_string(&plain_name(table)),
    };
    let _ = writeln!(text, "table = {name}");
    let column = |number: ColumnNo| toml_string(&table.columns[number].name);
    if table.key != [*id] {
        let _ = writeln!(text, "id = {}", column(*id));
    }
    if id != clerk_id {
        let _ = writeln!(text, "clerk_id = {}", column(*clerk_id));
    }
    if let Some(keep) = keep {
        let changes = changes(table, &keep.changes);
        let why = toml_string(&keep.why);
        let _ = writeln!(text, "on_erase = {{ do = \"keep\", why = {why}{changes} }}");
    }
    columns(case, table, text);
    if table.references.iter().any(|one| one.rule.is_some()) {
        let _ = writeln!(text, "[table.{}]", toml_key(&section(case, 0)));
        if needs_name(table) {
            let _ = writeln!(text, "name = {}", full_name(table));
        }
        rules(case, table, text);
    }
}

/// Soft delete and objects.
fn columns(case: &Case, table: &Table, text: &mut String) {
    let parts = [
        ("at", table.deleted_at),
        ("by", table.deleted_by),
        ("flag", table.flag),
    ];
    let parts = parts.iter().filter_map(|(key, column)| {
        let name = toml_string(&table.columns[(*column)?].name);
        Some(format!("{key} = {name}"))
    });
    let parts: Vec<String> = parts.collect();
    if !parts.is_empty() {
        let _ = writeln!(text, "soft_delete = {{ {} }}", parts.join(", "));
    }
    let objects = table.objects.iter().map(|object| {
        let name = toml_string(&table.columns[object.column].name);
        let json = object.path.map_or(String::new(), |path| {
            format!(", json = {}", toml_string(path))
        });
        let on_keep = match object.erased_of_kept {
            true => ", on_keep = \"erase\"",
            false => "",
        };
        format!(
            "  {{ column = {name}{json}, bucket = \"{}\", within = {}{on_keep} }},\n",
            case.buckets[object.bucket].alias,
            toml_string(&object.within)
        )
    });
    let objects: String = objects.collect();
    if !objects.is_empty() {
        let _ = write!(text, "objects = [\n{objects}]\n");
    }
}

/// Rules of the same columns stand in one list.
fn rules(case: &Case, table: &Table, text: &mut String) {
    let mut done: Vec<&[ColumnNo]> = Vec::new();
    for reference in &table.references {
        if reference.rule.is_none() || done.contains(&reference.columns.as_slice()) {
            continue;
        }
        done.push(&reference.columns);
        let same = table
            .references
            .iter()
            .filter(|one| one.columns == reference.columns);
        let rules = same.filter_map(|one| Some(rule(case, table, one, one.rule.as_ref()?)));
        let rules: Vec<String> = rules.collect();
        let value = match &rules[..] {
            [rule] if reference.discriminator.is_none() => rule.clone(),
            rules => format!("[ {} ]", rules.join(", ")),
        };
        let names: Vec<&str> = reference
            .columns
            .iter()
            .map(|column| table.columns[*column].name.as_str())
            .collect();
        let _ = writeln!(text, "on_erase.{} = {value}", toml_key(&names.join(",")));
    }
}

fn rule(case: &Case, table: &Table, reference: &Reference, rule: &Rule) -> String {
    let mut parts = format!("do = \"{}\"", rule.action.word());
    if reference.foreign_key.is_none() {
        let _ = write!(parts, ", to = {}", toml_string(&target(case, reference)));
    }
    if let Some((column, value)) = &reference.discriminator {
        let column = toml_key(&table.columns[*column].name);
        let _ = write!(parts, ", where = {{ {column} = {} }}", toml_string(value));
    }
    if rule.takes_others {
        parts += ", others = \"too\"";
    }
    if rule.action == Action::Keep {
        let _ = write!(parts, ", why = {}", toml_string(&rule.why));
    }
    if rule.holds {
        parts += ", hold = true";
    }
    parts += &changes(table, &rule.changes);
    match parts.contains(',') {
        true => format!("{{ {parts} }}"),
        false => toml_string(rule.action.word()),
    }
}

fn target(case: &Case, reference: &Reference) -> String {
    let Target::Columns { table, columns } = &reference.target else {
        return "user.clerk_id".to_owned();
    };
    if case.is_users(*table) {
        match case.user_columns() {
            Some((id, _)) if columns[..] == [id] => return "user.id".to_owned(),
            Some((_, clerk_id)) if columns[..] == [clerk_id] => {
                return "user.clerk_id".to_owned();
            }
            _ => {}
        }
    }
    let column = &case.tables[*table].columns[columns[0]].name;
    format!("{}.{column}", section(case, *table))
}

fn changes(table: &Table, changes: &Changes) -> String {
    let mut text = String::new();
    let name = |column: &ColumnNo| table.columns[*column].name.as_str();
    let set = changes.set.iter().map(|(column, value)| {
        let value = match value {
            Value::String(string) => toml_string(string),
            other => other.to_string(),
        };
        format!("{} = {value}", toml_key(name(column)))
    });
    let set: Vec<String> = set.collect();
    if !set.is_empty() {
        let _ = write!(text, ", set = {{ {} }}", set.join(", "));
    }
    for (key, columns) in [("clear", &changes.clear), ("leave", &changes.leave)] {
        let columns: Vec<String> = columns.iter().map(|one| toml_string(name(one))).collect();
        if !columns.is_empty() {
            let _ = write!(text, ", {key} = [{}]", columns.join(", "));
        }
    }
    text
}

/// The key of a table's section. That of the users has one only if it makes references itself.
fn section(case: &Case, number: TableNo) -> String {
    let table = &case.tables[number];
    if case.is_users(number) && table.references.iter().all(|one| one.rule.is_none()) {
        return "user".to_owned();
    }
    match needs_name(table) {
        true => format!("s{number}"),
        false => plain_name(table),
    }
}

fn needs_name(table: &Table) -> bool {
    table.name.contains('.') || table.schema.contains('.')
}

fn plain_name(table: &Table) -> String {
    match table.schema.as_str() {
        "public" => table.name.clone(),
        schema => format!("{schema}.{}", table.name),
    }
}

fn full_name(table: &Table) -> String {
    format!(
        "{{ schema = {}, name = {} }}",
        toml_string(&table.schema),
        toml_string(&table.name)
    )
}

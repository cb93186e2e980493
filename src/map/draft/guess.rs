//! What a database's names say: which table holds the users, and which columns are a soft delete or name objects.

use super::sketch::{ClerkIdGuess, SketchObject};
use crate::map::catalog::{Column, Edge, Table, TypeFamily};
use crate::map::gate::names::{names_an_object, words};

/// Below this a table does not look like one of users.
const MIN_SCORE: usize = 8;
/// A reference to a table counts for so much; more than five say nothing new.
const MAX_REFERENCES: usize = 5;

/// The table that looks most like that of the users.
pub(super) fn users<'c>(edges: &[Edge<'c>], tables: &[&'c Table]) -> Option<&'c Table> {
    let references = |table: &Table| {
        let edges = edges.iter();
        let count = edges.filter(|edge| edge.parent.id == table.id).count();
        count.min(MAX_REFERENCES)
    };
    let score = |table: &Table| {
        let words = words(&table.name);
        let name = match words.last().map(|word| word.trim_end_matches('s')) {
            Some("user") if words.len() == 1 => 10,
            Some("user") => 6,
            Some("account" | "profile" | "member") => 4,
            _ => 0,
        };
        let clerk = table.columns.iter().any(is_clerk_id);
        let is_the_user = name + usize::from(clerk) * 6;
        let is_keyed = table.key().len() == 1;
        (is_the_user + references(table)) * usize::from(is_keyed && is_the_user >= 6)
    };
    let best = tables.iter().map(|table| (score(table), *table));
    let best = best.filter(|(score, _)| *score >= MIN_SCORE);
    best.max_by_key(|(score, table)| (*score, std::cmp::Reverse(table.name.len())))
        .map(|(_, table)| table)
}

fn is_clerk_id(column: &Column) -> bool {
    let words = words(&column.name);
    let is_id = words.last().is_some_and(|word| word == "id");
    column.family.is_text() && is_id && words.iter().any(|word| word == "clerk")
}

/// The column with Clerk's id.
pub(super) fn clerk_id(users: &Table) -> ClerkIdGuess {
    let external = |column: &&Column| {
        let words = words(&column.name);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        column.family.is_text() && matches!(words[..], ["external" | "auth" | "provider", "id"])
    };
    let mut columns = users.columns.iter();
    if let Some(column) = columns.find(|column| is_clerk_id(column)) {
        return ClerkIdGuess::Column(column.name.clone());
    }
    match (users.key().first(), users.columns.iter().find(external)) {
        (_, Some(column)) => ClerkIdGuess::Column(column.name.clone()),
        (Some(key), None) if key.family.is_text() => ClerkIdGuess::Id,
        _ => ClerkIdGuess::Unknown,
    }
}

/// The columns of a soft delete.
pub(super) fn soft_delete(table: &Table) -> Vec<(&'static str, String)> {
    let find = |expected: [&str; 2], fits: fn(&Column) -> bool| {
        let named = |column: &&Column| words(&column.name) == expected && fits(column);
        table
            .columns
            .iter()
            .find(named)
            .map(|column| column.name.clone())
    };
    let at = find(["deleted", "at"], |column| {
        column.family == TypeFamily::Timestamp && !column.not_null
    });
    let by = find(["deleted", "by"], |column| column.family.is_text());
    let flag = find(["is", "deleted"], |column| {
        column.family == TypeFamily::Boolean
    });
    let is_referenced = |name: &str| {
        let number = table.column(name).map(|column| column.number);
        let mut keys = table.foreign_keys.iter();
        keys.any(|key| number.is_some_and(|number| key.columns.contains(&number)))
    };
    let by = by.filter(|by| at.is_some() && !is_referenced(by));
    let parts = [("at", at), ("by", by), ("flag", flag)];
    let parts = parts.into_iter();
    parts
        .filter_map(|(key, column)| Some((key, column?)))
        .collect()
}

/// The columns that seem to name objects; `seen` says so of a column's values.
pub(super) fn objects(table: &Table, seen: impl Fn(&Column) -> bool) -> Vec<SketchObject> {
    let fits = |column: &&Column| {
        let family = column.family;
        let is_text = family.is_text() || family == TypeFamily::TextArray;
        let by_name = names_an_object(&column.name);
        (is_text || family == TypeFamily::Json) && (by_name || seen(column))
    };
    let columns = table.columns.iter().filter(fits);
    columns
        .map(|column| SketchObject {
            column: column.name.clone(),
            is_json: column.family == TypeFamily::Json,
        })
        .collect()
}

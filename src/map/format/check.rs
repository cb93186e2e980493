//! What the parts of a file say about each other.

use std::collections::BTreeMap;

use super::fault::Faults;
use super::types::{Action, ErasureMap, MappedTable, Target};

pub(super) fn check(map: &ErasureMap, faults: &mut Faults<'_>) {
    types_are_unique(map, faults);
    tables_are_unique(map, faults);
    for table in map.all_tables() {
        held_rows_stay(table, faults);
        buckets_are_there(map, table, faults);
        targets_are_there(map, table, faults);
    }
    if map.user.table.is_none() {
        without_users_table(map, faults);
    }
}

fn key(table: &MappedTable) -> String {
    format!("table.{}", table.section)
}

fn types_are_unique(map: &ErasureMap, faults: &mut Faults<'_>) {
    let mut seen: BTreeMap<&str, &str> = BTreeMap::from([("user", "the user's table")]);
    for table in &map.tables {
        if let Some(other) = seen.insert(&table.type_name, &table.section) {
            let problem = format!("has the type {:?}, as {other} has.", table.type_name);
            faults.add(
                table.line,
                &key(table),
                &problem,
                "Give one of the two another `type`.",
            );
        }
    }
}

fn tables_are_unique(map: &ErasureMap, faults: &mut Faults<'_>) {
    let mut seen = BTreeMap::new();
    for table in map.all_tables() {
        if let Some(other) = seen.insert(&table.name, &table.section) {
            let problem = format!("is the same table as {other:?}.");
            faults.add(
                table.line,
                &key(table),
                &problem,
                "Put the two sections together.",
            );
        }
    }
}

/// Nothing may delete a row that a rule holds.
fn held_rows_stay(table: &MappedTable, faults: &mut Faults<'_>) {
    if !table.rules.iter().any(|rule| rule.holds) {
        return;
    }
    let remedy = "Remove `hold`, or give \"keep\" or \"detach\" here.";
    for rule in table
        .rules
        .iter()
        .filter(|rule| rule.action == Action::Delete)
    {
        let key = format!("{}.on_erase.{}", key(table), rule.columns);
        faults.add(
            rule.line,
            &key,
            "deletes rows that another rule holds.",
            remedy,
        );
    }
    if table.is_api {
        let problem = "may be deleted alone, although a rule holds its rows.";
        faults.add(table.line, &key(table), problem, "Remove `api`, or `hold`.");
    }
}

fn buckets_are_there(map: &ErasureMap, table: &MappedTable, faults: &mut Faults<'_>) {
    for object in &table.objects {
        if map.bucket(&object.bucket).is_none() {
            let problem = format!("names the bucket {:?}, which is not there.", object.bucket);
            let remedy = format!("Add [bucket.{}].", object.bucket);
            let key = format!("{}.objects", key(table));
            faults.add(object.line, &key, &problem, &remedy);
        }
    }
}

fn targets_are_there(map: &ErasureMap, table: &MappedTable, faults: &mut Faults<'_>) {
    for rule in &table.rules {
        let Some(Target::Column { section, .. }) = &rule.target else {
            continue;
        };
        if !map.all_tables().any(|table| table.section == *section) {
            let key = format!("{}.on_erase.{}", key(table), rule.columns);
            let problem = format!("points at {section:?}, of which there is no section.");
            let remedy = "Give the section's key and a column, as in to = \"Asset.id\".";
            faults.add(rule.line, &key, &problem, remedy);
        }
    }
}

/// Without a table, `user.id` and `user.clerk_id` are both the Clerk id, and a prefix may use it.
fn without_users_table(map: &ErasureMap, faults: &mut Faults<'_>) {
    let points_at_user =
        |target: &Option<Target>| matches!(target, Some(Target::UserId | Target::ClerkId));
    let mut rules = map.tables.iter().flat_map(|table| &table.rules);
    if !rules.any(|rule| points_at_user(&rule.target)) {
        let remedy = "Name the table, or give a rule to = \"user.clerk_id\".";
        faults.add(
            map.user.line,
            "user",
            "has no table, and no rule points at the user.",
            remedy,
        );
    }
}

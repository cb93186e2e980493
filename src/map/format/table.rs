//! `[table.X]`, and the parts of it that `[user]` has too.

use super::fault::Faults;
use super::names::{default_type_name, given_type_name, split_name, table_name};
use super::reader::{Fields, Item};
use super::rule::rules;
use super::types::{MappedTable, ObjectSource, SoftDelete, TableName, Within};

const KNOWN: &str = "name, type, soft_delete, on_erase, api, objects";

/// A section of a table.
pub(super) fn table(
    section: String,
    item: &Item<'_>,
    schema: &str,
    faults: &mut Faults<'_>,
) -> Option<MappedTable> {
    let mut fields = item.table(faults)?;
    let name = name(&section, item, &mut fields, schema, faults)?;
    let type_name = fields.take("type", faults);
    let type_name = type_name.and_then(|item| given_type_name(&item, faults));
    let on_erase = fields.take("on_erase", faults);
    let table = MappedTable {
        line: item.line,
        type_name: type_name.unwrap_or_else(|| default_type_name(&name.name)),
        section,
        name,
        soft_delete: soft_delete(&mut fields, faults),
        rules: on_erase.map_or_else(Vec::new, |item| rules(&item, faults)),
        is_api: fields.switch("api", faults),
        objects: objects(&mut fields, faults),
    };
    fields.finish(faults, KNOWN);
    Some(table)
}

fn name(
    section: &str,
    item: &Item<'_>,
    fields: &mut Fields<'_>,
    schema: &str,
    faults: &mut Faults<'_>,
) -> Option<TableName> {
    if let Some(name) = fields.take("name", faults) {
        return table_name(&name, schema, faults);
    }
    let name = split_name(section, schema);
    if name.is_none() {
        let remedy = "Give the section its key `name`, as { schema = \"…\", name = \"…\" }.";
        item.fault(faults, "is no name of a table.", remedy);
    }
    name
}

/// `soft_delete = { at, by, flag }`.
pub(super) fn soft_delete(fields: &mut Fields<'_>, faults: &mut Faults<'_>) -> SoftDelete {
    let item = fields.take("soft_delete", faults);
    let Some(mut fields) = item.and_then(|item| item.table(faults)) else {
        return SoftDelete::default();
    };
    let soft_delete = SoftDelete {
        at: fields.text("at", faults),
        by: fields.text("by", faults),
        flag: fields.text("flag", faults),
    };
    fields.finish(faults, "at, by, flag");
    soft_delete
}

/// `objects`, as a list or as sections.
pub(super) fn objects(fields: &mut Fields<'_>, faults: &mut Faults<'_>) -> Vec<ObjectSource> {
    let item = fields.take("objects", faults);
    let items = item.map_or_else(Vec::new, |item| item.list(faults));
    items
        .iter()
        .filter_map(|item| object(item, faults))
        .collect()
}

fn object(item: &Item<'_>, faults: &mut Faults<'_>) -> Option<ObjectSource> {
    let mut fields = item.table(faults)?;
    let column = fields.text("column", faults);
    let bucket = fields.text("bucket", faults);
    let within = fields.text("within", faults);
    let json = fields.text("json", faults);
    let on_keep = fields.take("on_keep", faults);
    let words = &[("keep", false), ("erase", true)];
    let erased_of_kept = on_keep.and_then(|item| item.word(faults, words));
    fields.finish(faults, "column, json, bucket, within, on_keep");
    let given = [&column, &bucket, &within].map(Option::is_some);
    if given != [true; 3] {
        let remedy = "Give all three; within = \"any\" lets every key be deleted.";
        item.fault(faults, "needs column, bucket and within.", remedy);
    }
    let within = within?;
    check_within(&within, item, faults);
    Some(ObjectSource {
        line: item.line,
        column: column?,
        json,
        bucket: bucket?,
        within: match within.as_str() {
            "any" => Within::Any,
            _ => Within::Prefix(within),
        },
        erased_of_kept: erased_of_kept.unwrap_or(false),
    })
}

/// The only braces of a prefix are those of the two placeholders, and a prefix that could take every key says so.
fn check_within(within: &str, item: &Item<'_>, faults: &mut Faults<'_>) {
    let rest = within
        .replace("{user.id}", "x")
        .replace("{user.clerk_id}", "x");
    if rest.contains(['{', '}']) {
        let remedy = "Known: {user.id} and {user.clerk_id}.";
        item.fault(
            faults,
            &format!("has an unknown placeholder in {within:?}."),
            remedy,
        );
    }
    if rest.trim_matches('/').is_empty() {
        let remedy = "Give a prefix such as \"avatars/\", or \"any\".";
        item.fault(faults, "has a prefix that names nothing.", remedy);
    }
    let ends_open = ["{user.id}", "{user.clerk_id}"]
        .iter()
        .any(|placeholder| within.ends_with(placeholder));
    if ends_open {
        let problem =
            format!("ends in a placeholder: {within:?} also fits a user whose id only begins so.");
        item.fault(faults, &problem, "End it with a slash.");
    }
}

//! Names: of a table in its schema, and of a table's type.

use super::fault::Faults;
use super::node::Node;
use super::reader::Item;
use super::types::TableName;

/// A type name stands in paths of the API, in the audit and in receipts.
const MAX_TYPE_NAME_BYTES: usize = 63;
/// A final `s` goes only where at least so many letters of the word are left.
const MIN_SINGULAR_LETTERS: usize = 3;

/// The table that a name means: `"X"` stands in the default schema, `"schema.X"` in another.
pub(super) fn table_name(
    item: &Item<'_>,
    schema: &str,
    faults: &mut Faults<'_>,
) -> Option<TableName> {
    if matches!(item.node, Node::Table(_)) {
        let mut fields = item.table(faults)?;
        let (schema, name) = (fields.text("schema", faults), fields.text("name", faults));
        fields.finish(faults, "schema, name");
        if schema.is_none() || name.is_none() {
            item.fault(faults, "needs both schema and name.", "Give both.");
        }
        return Some(TableName {
            schema: schema?,
            name: name?,
        });
    }
    let text = item.text(faults)?;
    let name = split_name(&text, schema);
    if name.is_none() {
        let remedy = "Give { schema = \"…\", name = \"…\" }; in a section, as its key `name`.";
        item.fault(faults, "has more than one dot.", remedy);
    }
    name
}

/// The name of a section's key, unless it has more than one dot.
pub(super) fn split_name(text: &str, schema: &str) -> Option<TableName> {
    let (schema, name) = match text.split_once('.') {
        None => (schema, text),
        Some((schema, name)) => (schema, name),
    };
    let fits = !schema.is_empty() && !name.is_empty() && !name.contains('.');
    fits.then(|| TableName {
        schema: schema.to_owned(),
        name: name.to_owned(),
    })
}

/// A type name that the file gives.
pub(super) fn given_type_name(item: &Item<'_>, faults: &mut Faults<'_>) -> Option<String> {
    let text = item.text(faults)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.chars().all(is_plain) && text.len() <= MAX_TYPE_NAME_BYTES {
        return Some(text);
    }
    let remedy = format!("Give at most {MAX_TYPE_NAME_BYTES} of a-z, 0-9 and hyphens.");
    item.fault(faults, "is no type name.", &remedy);
    None
}

/// The type name of a table that is given none: in kebab case, without a final `s` where that leaves a word.
#[must_use]
pub fn default_type_name(table: &str) -> String {
    let kebab = kebab_case(table);
    let last_word = kebab.rsplit('-').next().unwrap_or_default();
    let letters = last_word.chars().count();
    match kebab.strip_suffix('s') {
        Some(singular) if letters > MIN_SINGULAR_LETTERS => singular.to_owned(),
        _ => kebab,
    }
}

/// A name in kebab case, whether it was in snake case or in camel case.
#[must_use]
pub fn kebab_case(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut kebab = String::new();
    for (at, &c) in chars.iter().enumerate() {
        if !c.is_alphanumeric() {
            if !kebab.ends_with('-') {
                kebab.push('-');
            }
            continue;
        }
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        let after = chars.get(at + 1);
        let begins_word = c.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_numeric()
                    || before.is_uppercase() && after.is_some_and(|after| after.is_lowercase())
            });
        if begins_word {
            kebab.push('-');
        }
        kebab.extend(c.to_lowercase());
    }
    match kebab.trim_matches('-') {
        "" => "table".to_owned(),
        trimmed => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_the_table_in_kebab_case_and_singular_where_a_word_is_left() {
        for (table, expected) in [
            ("sample_images", "sample-image"),
            ("User", "user"),
            ("WorkspaceMember", "workspace-member"),
            ("_AssetToTag", "asset-to-tag"),
            ("APIKeys", "api-key"),
            ("OAuthToken", "o-auth-token"),
            ("bus", "bus"),
            ("user_gas", "user-gas"),
            ("cats", "cat"),
            ("blob2Refs", "blob2-ref"),
            ("größen", "größen"),
            ("a\"b'; drop table x; --", "a-b-drop-table-x"),
            ("\"", "table"),
        ] {
            assert_eq!(default_type_name(table), expected, "{table}");
        }
    }

    #[test]
    fn a_dot_names_another_schema_and_two_dots_name_nothing() {
        let name = |text| split_name(text, "public").map(|name| (name.schema, name.name));
        let named = |schema: &str, name: &str| Some((schema.to_owned(), name.to_owned()));
        assert_eq!(name("User"), named("public", "User"));
        assert_eq!(name("analytics.events"), named("analytics", "events"));
        assert_eq!(name("a.b.c"), None);
        assert_eq!(name(".b"), None);
    }
}

//! `[user]`: the root.

use super::fault::Faults;
use super::names::table_name;
use super::node::Node;
use super::reader::{Fields, Item};
use super::rule::changes;
use super::table::{objects, soft_delete};
use super::types::{KeptUser, Late, MappedTable, User};

/// The form of Clerk's ids of users.
const DEFAULT_IDS: &str = "^user_";
/// The type of the user's table, whatever the table is called.
pub(super) const TYPE_NAME: &str = "user";
const KNOWN: &str = "table, id, clerk_id, ids, never, on_erase, late, soft_delete, objects";

pub(super) fn user(item: &Item<'_>, schema: &str, faults: &mut Faults<'_>) -> Option<User> {
    let mut fields = item.table(faults)?;
    let late = fields.take("late", faults);
    let words = &[("refuse", Late::Refuse), ("sweep", Late::Sweep)];
    let on_erase = fields.take("on_erase", faults);
    let user = User {
        line: item.line,
        table: root_table(&mut fields, schema, faults),
        id: fields.text("id", faults),
        clerk_id: fields.text("clerk_id", faults),
        ids: fields
            .text("ids", faults)
            .unwrap_or_else(|| DEFAULT_IDS.to_owned()),
        never: fields.texts("never", faults),
        keep: on_erase.and_then(|item| kept(&item, faults)),
        late: late
            .and_then(|item| item.word(faults, words))
            .unwrap_or(Late::Refuse),
    };
    fields.finish(faults, KNOWN);
    if user.table.is_none() && (user.id.is_some() || user.clerk_id.is_some() || user.keep.is_some())
    {
        let remedy = "Name the table, or remove id, clerk_id and on_erase.";
        item.fault(faults, "describes a row without a table.", remedy);
    }
    Some(user)
}

fn root_table(
    fields: &mut Fields<'_>,
    schema: &str,
    faults: &mut Faults<'_>,
) -> Option<MappedTable> {
    let item = fields.take("table", faults);
    let (soft_delete, objects) = (soft_delete(fields, faults), objects(fields, faults));
    let Some(item) = item else {
        if !objects.is_empty() || soft_delete.at.is_some() {
            let remedy = "Name the table, or remove soft_delete and objects.";
            fields.fault(faults, "describes columns without a table.", remedy);
        }
        return None;
    };
    let name = table_name(&item, schema, faults)?;
    Some(MappedTable {
        line: item.line,
        section: TYPE_NAME.to_owned(),
        name,
        type_name: TYPE_NAME.to_owned(),
        soft_delete,
        rules: Vec::new(),
        is_api: false,
        objects,
    })
}

fn kept(item: &Item<'_>, faults: &mut Faults<'_>) -> Option<KeptUser> {
    let words = &[("delete", false), ("keep", true)];
    if matches!(item.node, Node::Text(_)) {
        if item.word(faults, words) == Some(true) {
            let remedy = "Give { do = \"keep\", why = \"…\", set = { … }, clear = [ … ] }.";
            item.fault(faults, "keeps the row without a reason.", remedy);
        }
        return None;
    }
    let mut fields = item.table(faults)?;
    let keeps = fields.take("do", faults);
    let keeps = keeps.and_then(|item| item.word(faults, words));
    let why = fields.text("why", faults);
    let changes = changes(&mut fields, faults);
    fields.finish(faults, "do, why, set, clear, leave");
    match (keeps, why) {
        (Some(true), Some(why)) => Some(KeptUser { why, changes }),
        (Some(true), None) => {
            item.fault(
                faults,
                "keeps the row without a reason.",
                "Say in `why` why it stays.",
            );
            None
        }
        (Some(false), _) => None,
        (None, _) => {
            item.fault(faults, "has no `do`.", "Give do = \"delete\" or \"keep\".");
            None
        }
    }
}

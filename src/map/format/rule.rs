//! `on_erase`: what happens to a row when the row that one of its references points at is erased.

use super::fault::Faults;
use super::node::Node;
use super::reader::{Fields, Item};
use super::types::{Action, Changes, Constant, Rule, Target};

const ACTIONS: &[(&str, Action)] = &[
    ("delete", Action::Delete),
    ("detach", Action::Detach),
    ("keep", Action::Keep),
];
const KNOWN: &str = "do, to, where, others, why, hold, set, clear, leave";

/// The rules of a table.
pub(super) fn rules(item: &Item<'_>, faults: &mut Faults<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (columns, item) in item.named(faults) {
        if columns.split(',').any(|column| column.trim().is_empty()) {
            item.fault(faults, "names no column.", "Give a column, or \"a,b\".");
        }
        match item.node {
            Node::List(_) => several(&columns, &item, faults, &mut rules),
            _ => rules.extend(rule(&columns, &item, faults)),
        }
    }
    rules
}

/// A list: a polymorphic reference, of which each rule says where it holds.
fn several(columns: &str, item: &Item<'_>, faults: &mut Faults<'_>, rules: &mut Vec<Rule>) {
    let items = item.list(faults);
    if items.is_empty() {
        item.fault(
            faults,
            "is an empty list.",
            "Give a rule, or remove the key.",
        );
    }
    for one in &items {
        let Some(rule) = rule(columns, one, faults) else {
            continue;
        };
        if rule.discriminator.is_empty() && items.len() > 1 {
            let remedy = "Give each rule of a list its `where`.";
            one.fault(faults, "does not say which rows it is for.", remedy);
        }
        rules.push(rule);
    }
}

fn rule(columns: &str, item: &Item<'_>, faults: &mut Faults<'_>) -> Option<Rule> {
    let mut rule = Rule {
        line: item.line,
        columns: columns.to_owned(),
        action: Action::Keep,
        target: None,
        discriminator: Vec::new(),
        takes_others: false,
        why: None,
        holds: false,
        changes: Changes::default(),
    };
    if matches!(item.node, Node::Text(_)) {
        rule.action = item.word(faults, ACTIONS)?;
        check(&rule, item, faults);
        return Some(rule);
    }
    let mut fields = item.table(faults)?;
    let action = fields.take("do", faults);
    if action.is_none() {
        let remedy = "Give do = \"delete\", \"detach\" or \"keep\".";
        item.fault(faults, "has no `do`.", remedy);
    }
    let action = action.and_then(|action| action.word(faults, ACTIONS));
    rule.target = fields
        .text("to", faults)
        .map(|to| target(&to, item, faults));
    rule.discriminator = constants(&mut fields, "where", faults);
    let others = fields.take("others", faults);
    rule.takes_others =
        others.is_some_and(|others| others.word(faults, &[("too", true)]) == Some(true));
    rule.why = fields.text("why", faults);
    rule.holds = fields.switch("hold", faults);
    rule.changes = changes(&mut fields, faults);
    fields.finish(faults, KNOWN);
    rule.action = action?;
    check(&rule, item, faults);
    Some(rule)
}

fn target(text: &str, item: &Item<'_>, faults: &mut Faults<'_>) -> Target {
    match text {
        "user.id" => return Target::UserId,
        "user.clerk_id" => return Target::ClerkId,
        _ => {}
    }
    let (section, column) = text.rsplit_once('.').unwrap_or((text, ""));
    if section.is_empty() || column.is_empty() {
        let remedy = "Give to = \"user.id\", \"user.clerk_id\" or \"Table.column\".";
        item.fault(faults, &format!("points at {text:?}."), remedy);
    }
    Target::Column {
        section: section.to_owned(),
        column: column.to_owned(),
    }
}

/// What a table of columns and literals says.
fn constants(
    fields: &mut Fields<'_>,
    key: &str,
    faults: &mut Faults<'_>,
) -> Vec<(String, Constant)> {
    let item = fields.take(key, faults);
    let named = item.map_or_else(Vec::new, |item| item.named(faults));
    named
        .into_iter()
        .filter_map(|(column, item)| Some((column, item.constant(faults)?)))
        .collect()
}

/// `set`, `clear` and `leave`.
pub(super) fn changes(fields: &mut Fields<'_>, faults: &mut Faults<'_>) -> Changes {
    let changes = Changes {
        set: constants(fields, "set", faults),
        clear: fields.texts("clear", faults),
        leave: fields.texts("leave", faults),
    };
    let named = changes.set.iter().map(|(column, _)| column);
    let mut named: Vec<&String> = named.chain(&changes.clear).chain(&changes.leave).collect();
    named.sort();
    for pair in named.windows(2) {
        if pair[0] == pair[1] {
            let problem = format!("names {:?} twice in set, clear and leave.", pair[0]);
            fields.fault(faults, &problem, "Name each column once.");
        }
    }
    changes
}

/// Whether the parts of a rule go together.
fn check(rule: &Rule, item: &Item<'_>, faults: &mut Faults<'_>) {
    let changes = &rule.changes;
    let changes_columns = !changes.set.is_empty() || !changes.clear.is_empty();
    let keeps = rule.action == Action::Keep;
    if keeps && rule.why.is_none() {
        item.fault(
            faults,
            "keeps rows without a reason.",
            "Say in `why` why they stay.",
        );
    }
    if rule.holds && !keeps {
        let remedy = "Remove `hold`, or give do = \"keep\".";
        item.fault(faults, "holds rows that it does not keep.", remedy);
    }
    if rule.action == Action::Delete && changes_columns {
        let remedy = "Remove set and clear: the row goes.";
        item.fault(faults, "changes columns of a row that is deleted.", remedy);
    }
    if !keeps && !changes.leave.is_empty() {
        item.fault(
            faults,
            "leaves columns of a row that it does not keep.",
            "Remove `leave`.",
        );
    }
    if rule.takes_others && rule.action != Action::Delete {
        let remedy = "Remove `others`: only a deletion takes rows of others.";
        item.fault(
            faults,
            "consents to a deletion that it does not make.",
            remedy,
        );
    }
    if !rule.discriminator.is_empty() && rule.target.is_none() {
        let remedy = "Say in `to` which table these rows point at.";
        item.fault(faults, "has `where` without `to`.", remedy);
    }
}

//! The whole file: from its text to an [`ErasureMap`], or to all its faults.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::bucket::buckets;
use super::check::check;
use super::fault::{Faults, InvalidMap};
use super::node::{DATE_KEY, Node};
use super::reader::{Fields, Item};
use super::table::table;
use super::types::{ErasureMap, GateLevel, MappedTable, Reason, User};
use super::user::user;

/// The only version of the format.
const VERSION: i64 = 1;
/// A map of a thousand tables has a tenth of this; a log that was given by mistake is refused before it is read.
const MAX_BYTES: usize = 1 << 20;
const GATES: &[(&str, GateLevel)] = &[
    ("references", GateLevel::References),
    ("suspects", GateLevel::Suspects),
    ("every-table", GateLevel::EveryTable),
];
const KNOWN: &str = "version, schema, gate, user, table, bucket, ignore, accept";

impl ErasureMap {
    /// Parses a map's file.
    ///
    /// # Errors
    /// All faults of the file at once.
    pub fn parse(text: &str) -> Result<Self, InvalidMap> {
        let mut faults = Faults::of(text);
        if text.len() > MAX_BYTES {
            let problem = format!("The file has more than {MAX_BYTES} bytes.");
            faults.add(1, "", &problem, "Give the path of a map.");
            return faults.finish(None);
        }
        match toml::from_str::<Node>(text) {
            Ok(node) => {
                let map = map(&node, text, &mut faults);
                faults.finish(map)
            }
            Err(error) => {
                let line = faults.line(&error.span().unwrap_or(0..0));
                let message = error.message().trim();
                if message.contains(DATE_KEY) {
                    faults.add(line, "", "A value is a date.", "Give it as a string.");
                } else {
                    let problem = format!("The file is no TOML: {message}.");
                    faults.add(line, "", &problem, "Mend the syntax.");
                }
                faults.finish(None)
            }
        }
    }

    /// The map of the tables that Lethe's own migrations make.
    ///
    /// # Errors
    /// None, as a test says: the text is part of the program.
    pub fn built_in() -> Result<Self, InvalidMap> {
        Self::parse(BUILT_IN)
    }

    /// Whether this is the built-in map, byte for byte.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.digest == digest(BUILT_IN)
    }
}

/// The text of the built-in map.
pub const BUILT_IN: &str = include_str!("../built_in.toml");

fn map(node: &Node, text: &str, faults: &mut Faults<'_>) -> Option<ErasureMap> {
    let mut fields = Fields::of_file(node);
    version(&mut fields, faults);
    let schema = fields.text("schema", faults);
    let schema = schema.unwrap_or_else(|| "public".to_owned());
    let gate = fields.take("gate", faults);
    let gate = gate.and_then(|item| item.word(faults, GATES));
    let user_item = fields.take("user", faults);
    if user_item.is_none() {
        let remedy = "Give [user]; without `table` the Clerk id itself is the user.";
        faults.add(1, "user", "is missing.", remedy);
    }
    let user = user_item.and_then(|item| user(&item, &schema, faults));
    let tables = fields.take("table", faults);
    let tables = tables.map_or_else(Vec::new, |item| tables_of(&item, &schema, faults));
    let bucket = fields.take("bucket", faults);
    let buckets = bucket.map_or_else(Vec::new, |item| buckets(&item, faults));
    let ignored = reasons(fields.take("ignore", faults), faults);
    let accepted = reasons(fields.take("accept", faults), faults);
    fields.finish(faults, KNOWN);
    let (user, tables) = give_root_its_rules(user?, tables, faults);
    let map = ErasureMap {
        digest: digest(text),
        schema,
        gate: gate.unwrap_or(GateLevel::Suspects),
        user,
        tables,
        buckets,
        ignored,
        accepted,
    };
    check(&map, faults);
    Some(map)
}

fn version(fields: &mut Fields<'_>, faults: &mut Faults<'_>) {
    let remedy = format!("Give version = {VERSION}.");
    match fields.take("version", faults) {
        None => faults.add(1, "version", "is missing.", &remedy),
        Some(item) if !matches!(item.node, Node::Whole(VERSION)) => {
            item.fault(faults, "is no version that this program knows.", &remedy);
        }
        Some(_) => {}
    }
}

fn tables_of(item: &Item<'_>, schema: &str, faults: &mut Faults<'_>) -> Vec<MappedTable> {
    let named = item.named(faults);
    named
        .into_iter()
        .filter_map(|(section, item)| table(section, &item, schema, faults))
        .collect()
}

/// A section of the user's own table says what becomes of a user's row when a row that it points at is erased.
fn give_root_its_rules(
    mut user: User,
    mut tables: Vec<MappedTable>,
    faults: &mut Faults<'_>,
) -> (User, Vec<MappedTable>) {
    if let Some(root) = &mut user.table
        && let Some(at) = tables.iter().position(|table| table.name == root.name)
    {
        let section = tables.remove(at);
        if section.is_api
            || !section.objects.is_empty()
            || section.soft_delete != Default::default()
        {
            let key = format!("table.{}", section.section);
            let remedy = "Write everything but `on_erase` into [user].";
            faults.add(section.line, &key, "is the user's table.", remedy);
        }
        root.section = section.section;
        root.rules = section.rules;
    }
    (user, tables)
}

fn reasons(item: Option<Item<'_>>, faults: &mut Faults<'_>) -> Vec<Reason> {
    let named = item.map_or_else(Vec::new, |item| item.named(faults));
    let reason = |(key, item): (String, Item<'_>)| {
        Some(Reason {
            line: item.line,
            key,
            why: item.text(faults)?,
        })
    };
    named.into_iter().filter_map(reason).collect()
}

/// SHA-256 of a text, in hexadecimal.
#[must_use]
pub fn digest(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

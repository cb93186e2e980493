//! The text of a map as a tree of values, each with its place in the text. serde's derived types would stop at the
//! first fault; a tree can be read to its end, so that all faults are told at once.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use toml::Spanned;

/// How `toml` hands a date to serde: as a table with this one key. No key of a map takes a date.
pub(super) const DATE_KEY: &str = "$__toml_private_datetime";

/// A value of the file.
#[derive(Debug)]
pub(super) enum Node {
    Text(String),
    Whole(i64),
    Fraction(f64),
    Switch(bool),
    List(Vec<(Range<usize>, Node)>),
    Table(Vec<Entry>),
}

/// A key of a table, its place in the text in bytes, and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Range<usize>,
    pub(super) node: Node,
}

impl Node {
    /// What it is, for the message of a fault.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Whole(_) | Self::Fraction(_) => "a number",
            Self::Switch(_) => "true or false",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Whole(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Fraction(number))
    }

    fn visit_bool<E>(self, switch: bool) -> Result<Node, E> {
        Ok(Node::Switch(switch))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(element) = list.next_element::<Spanned<Node>>()? {
            nodes.push((element.span(), element.into_inner()));
        }
        Ok(Node::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = table.next_key::<Spanned<String>>()? {
            let node = table.next_value()?;
            let place = key.span();
            entries.push(Entry {
                key: key.into_inner(),
                place,
                node,
            });
        }
        Ok(Node::Table(entries))
    }
}

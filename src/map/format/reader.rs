//! Typed access to the tree of a map. Each wrong type and each unknown key becomes a fault, and reading goes on.

use super::fault::Faults;
use super::node::{Entry, Node};
use super::types::Constant;

/// What `lethe map init` writes where a person must decide.
pub(super) const TODO: &str = "TODO";

/// A value with its path and line, for the messages.
pub(super) struct Item<'n> {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) node: &'n Node,
}

impl<'n> Item<'n> {
    pub(super) fn fault(&self, faults: &mut Faults<'_>, problem: &str, remedy: &str) {
        faults.add(self.line, &self.path, problem, remedy);
    }

    fn wrong_kind(&self, faults: &mut Faults<'_>, expected: &str) {
        let problem = format!("is {}, not {expected}.", self.node.kind());
        self.fault(faults, &problem, &format!("Give {expected}."));
    }

    /// A string that is not empty and no longer `TODO`.
    pub(super) fn text(&self, faults: &mut Faults<'_>) -> Option<String> {
        match self.node {
            Node::Text(text) if text == TODO => {
                let remedy = "Replace \"TODO\" by your decision.";
                self.fault(faults, "is not decided yet.", remedy);
                None
            }
            Node::Text(text) if text.trim().is_empty() => {
                self.fault(faults, "is empty.", "Give a value, or remove the key.");
                None
            }
            Node::Text(text) => Some(text.clone()),
            _ => {
                self.wrong_kind(faults, "a string");
                None
            }
        }
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, faults: &mut Faults<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(faults)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let allowed: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
            let remedy = format!("Give {}.", allowed.join(" or "));
            self.fault(
                faults,
                &format!("is {text:?}, which means nothing here."),
                &remedy,
            );
        }
        found.map(|(_, value)| *value)
    }

    pub(super) fn switch(&self, faults: &mut Faults<'_>) -> Option<bool> {
        match self.node {
            Node::Switch(switch) => Some(*switch),
            _ => {
                self.wrong_kind(faults, "true or false");
                None
            }
        }
    }

    /// A string, a number, or true or false.
    pub(super) fn constant(&self, faults: &mut Faults<'_>) -> Option<Constant> {
        match self.node {
            Node::Text(text) if text != TODO => Some(Constant::Text(text.clone())),
            Node::Text(_) => self.text(faults).map(Constant::Text),
            Node::Whole(number) => Some(Constant::Whole(*number)),
            Node::Fraction(number) if number.is_finite() => Some(Constant::Fraction(*number)),
            Node::Switch(switch) => Some(Constant::Switch(*switch)),
            _ => {
                self.wrong_kind(faults, "a string, a finite number, or true or false");
                None
            }
        }
    }

    pub(super) fn list(&self, faults: &mut Faults<'_>) -> Vec<Item<'n>> {
        let Node::List(nodes) = self.node else {
            self.wrong_kind(faults, "a list");
            return Vec::new();
        };
        let item = |(index, (place, node)): (usize, &'n (std::ops::Range<usize>, Node))| Item {
            path: format!("{}[{index}]", self.path),
            line: faults.line(place),
            node,
        };
        nodes.iter().enumerate().map(item).collect()
    }

    pub(super) fn texts(&self, faults: &mut Faults<'_>) -> Vec<String> {
        let items = self.list(faults);
        items.iter().filter_map(|item| item.text(faults)).collect()
    }

    pub(super) fn table(&self, faults: &mut Faults<'_>) -> Option<Fields<'n>> {
        let Node::Table(entries) = self.node else {
            self.wrong_kind(faults, "a table");
            return None;
        };
        Some(Fields {
            path: self.path.clone(),
            line: self.line,
            left: entries.iter().collect(),
        })
    }

    /// A table of which every key is a name of the application's, such as a column.
    pub(super) fn named(&self, faults: &mut Faults<'_>) -> Vec<(String, Item<'n>)> {
        let Some(mut fields) = self.table(faults) else {
            return Vec::new();
        };
        let left = std::mem::take(&mut fields.left);
        let item = |entry: &'n Entry| (entry.key.clone(), fields.item(entry, faults));
        left.into_iter().map(item).collect()
    }
}

/// The keys of a table that were not read yet.
pub(super) struct Fields<'n> {
    pub(super) path: String,
    pub(super) line: usize,
    left: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    pub(super) fn of_file(node: &'n Node) -> Self {
        let left = match node {
            Node::Table(entries) => entries.iter().collect(),
            _ => Vec::new(),
        };
        Self {
            path: String::new(),
            line: 1,
            left,
        }
    }

    fn item(&self, entry: &'n Entry, faults: &Faults<'_>) -> Item<'n> {
        let path = match self.path.as_str() {
            "" => entry.key.clone(),
            path => format!("{path}.{}", entry.key),
        };
        Item {
            path,
            line: faults.line(&entry.place),
            node: &entry.node,
        }
    }

    pub(super) fn take(&mut self, key: &str, faults: &Faults<'_>) -> Option<Item<'n>> {
        let at = self.left.iter().position(|entry| entry.key == key)?;
        let entry = self.left.remove(at);
        Some(self.item(entry, faults))
    }

    pub(super) fn text(&mut self, key: &str, faults: &mut Faults<'_>) -> Option<String> {
        self.take(key, faults)?.text(faults)
    }

    pub(super) fn switch(&mut self, key: &str, faults: &mut Faults<'_>) -> bool {
        let item = self.take(key, faults);
        item.and_then(|item| item.switch(faults)).unwrap_or(false)
    }

    pub(super) fn texts(&mut self, key: &str, faults: &mut Faults<'_>) -> Vec<String> {
        let item = self.take(key, faults);
        item.map_or_else(Vec::new, |item| item.texts(faults))
    }

    pub(super) fn fault(&self, faults: &mut Faults<'_>, problem: &str, remedy: &str) {
        faults.add(self.line, &self.path, problem, remedy);
    }

    /// Refuses the keys that nobody asked for; `known` says which ones there are.
    pub(super) fn finish(self, faults: &mut Faults<'_>, known: &str) {
        for entry in &self.left {
            let item = self.item(entry, faults);
            item.fault(
                faults,
                "is an unknown key.",
                &format!("Known here: {known}."),
            );
        }
    }
}

//! What is wrong with a map's file: every fault, with its key and its line.

use std::fmt;
use std::ops::Range;

/// One fault of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFault {
    /// Counted from 1.
    pub line: usize,
    /// The path of the key, such as `table.Asset.on_erase.projectId`; empty for the whole file.
    pub key: String,
    /// What is wrong, as a sentence.
    pub problem: String,
    /// How to mend it, as a sentence.
    pub remedy: String,
}

impl fmt::Display for MapFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            key,
            problem,
            remedy,
        } = self;
        match key.as_str() {
            "" => write!(formatter, "line {line}: {problem} {remedy}"),
            key => write!(formatter, "line {line}, {key}: {problem} {remedy}"),
        }
    }
}

/// Every fault of a map's file, in the order of their lines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct InvalidMap(pub Vec<MapFault>);

/// Collects the faults of one text.
pub(super) struct Faults<'t> {
    text: &'t str,
    found: Vec<MapFault>,
}

impl<'t> Faults<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
        }
    }

    /// The line, counted from 1, in which a place of the text begins.
    pub(super) fn line(&self, place: &Range<usize>) -> usize {
        let before = self.text.as_bytes().iter().take(place.start);
        1 + before.filter(|byte| **byte == b'\n').count()
    }

    pub(super) fn add(&mut self, line: usize, key: &str, problem: &str, remedy: &str) {
        self.found.push(MapFault {
            line,
            key: key.to_owned(),
            problem: problem.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    /// The value, unless there is a fault.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<T, InvalidMap> {
        self.found.sort_by_key(|fault| fault.line);
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(InvalidMap(self.found)),
        }
    }
}

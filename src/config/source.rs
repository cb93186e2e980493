//! Where values come from: layers, of which the first that has a value wins.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;

use super::fault::Fault;
use super::layer::{Entry, Layer, Origin};
use super::variables::{self, Variable};

/// The file of the working directory that is read after the environment.
const ENV_FILE: &str = ".env";

/// The layers of values, from the strongest to the weakest: flags, environment, `.env`, and what
/// `lethe dev` adds.
///
/// An empty value counts as unset. A secret may be given by a file, whose path stands in
/// `NAME_FILE`; within one layer the two exclude each other, while a stronger layer's `NAME` or
/// `NAME_FILE` simply wins over a weaker layer's. Files are read once, when the layer is added,
/// so that parsing is pure and a pipe works as a file.
#[derive(Default)]
pub struct Source {
    layers: Vec<Layer>,
    faults: Vec<Fault>,
}

/// A value as it was found.
#[derive(Clone, Copy)]
pub(super) struct SourceValue<'a> {
    pub(super) entry: &'a Entry,
    pub(super) origin: Origin,
    /// 0 for the strongest layer.
    pub(super) rank: usize,
}

impl Source {
    /// No values at all: the start for tests and for embedding.
    pub fn empty() -> Self {
        Self::default()
    }

    /// What this process was given: `flags` (pairs of variable and value), its environment, and
    /// the `.env` of its working directory. Nothing is written to the environment.
    pub fn of_process(flags: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut source = Self::empty()
            .with(Origin::Flag, flags)
            .with_os(Origin::Environment, std::env::vars_os());
        match fs::read_to_string(ENV_FILE) {
            Ok(text) => source = source.with_env_file(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => source.faults.push(Fault::new(
                ENV_FILE,
                format!("cannot be read: {error}."),
                "Make it a readable UTF-8 text, or remove it.",
            )),
        }
        source
    }

    /// Adds a layer below the present ones. Names that are not Lethe's are ignored.
    pub fn with<N, V>(self, origin: Origin, pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (name.into().into(), value.into().into()));
        self.with_os(origin, pairs)
    }

    /// Lays values over all layers. Unlike elsewhere, an empty value says something here: the
    /// variable is unset, whatever the layers below have.
    pub fn over<N, V>(mut self, origin: Origin, pairs: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        let (unset, set): (Vec<_>, Vec<_>) =
            pairs.partition(|(_, value): &(String, String)| value.trim().is_empty());
        for layer in &mut self.layers {
            layer
                .entries
                .retain(|name, _| unset.iter().all(|(other, _)| other != name));
        }
        let mut layers = Self::empty().with(origin, set).layers;
        layers.append(&mut self.layers);
        self.layers = layers;
        self
    }

    fn with_os(
        mut self,
        origin: Origin,
        pairs: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        self.layers.push(Layer::new(origin, pairs));
        self
    }

    /// Adds the text of a `.env` file as a layer below the present ones. A line that cannot be
    /// parsed is a fault, told without its content, which may well be a secret.
    pub fn with_env_file(mut self, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut pairs: Vec<(String, String)> = Vec::new();
        for item in dotenvy::from_read_iter(text.as_bytes()) {
            match item {
                Ok(pair) => pairs.push(pair),
                Err(_) => {
                    let place = match pairs.last() {
                        Some((name, _)) => format!("after `{name}`"),
                        None => "at its beginning".to_owned(),
                    };
                    self.faults.push(Fault::new(
                        ENV_FILE,
                        format!("has a line {place} that cannot be parsed."),
                        "Write NAME=value, with quotes around values that contain spaces, # or $.",
                    ));
                }
            }
        }
        self.with(Origin::EnvFile, pairs)
    }

    /// Whether any layer sets `variable`, itself or by a file, well or badly.
    pub fn is_set(&self, variable: &Variable) -> bool {
        self.find(variable).is_some()
    }

    /// The value of the variable called `name`, wherever it came from and with its file read;
    /// `None` if it is unset, at fault or not Lethe's.
    pub fn lookup(&self, name: &str) -> Option<String> {
        self.find(variables::find(name)?)?.entry.clone().ok()
    }

    pub(super) fn find(&self, variable: &Variable) -> Option<SourceValue<'_>> {
        self.layers.iter().enumerate().find_map(|(rank, layer)| {
            let entry = layer.entries.get(variable.name)?;
            Some(SourceValue {
                entry,
                origin: layer.origin,
                rank,
            })
        })
    }

    pub(super) fn faults(&self) -> &[Fault] {
        &self.faults
    }
}

/// Names only: a value may be a secret.
impl fmt::Debug for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut map = formatter.debug_map();
        for layer in &self.layers {
            map.entry(&layer.origin, &layer.entries.keys());
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::variables::{BIND_ADDR, DATABASE_URL};

    fn value(source: &Source, variable: &Variable) -> Option<String> {
        source.find(variable)?.entry.clone().ok()
    }

    #[test]
    fn flags_win_over_the_environment_over_the_env_file_over_lethe_dev() {
        let order = [
            Origin::Flag,
            Origin::Environment,
            Origin::EnvFile,
            Origin::Dev,
        ];
        for strongest in 0..order.len() {
            let source = order[strongest..]
                .iter()
                .fold(Source::empty(), |source, origin| {
                    source.with(*origin, [("BIND_ADDR", format!("{origin:?}"))])
                });
            assert_eq!(
                value(&source, &BIND_ADDR),
                Some(format!("{:?}", order[strongest]))
            );
        }
    }

    #[test]
    fn an_empty_value_counts_as_unset() {
        let source = Source::empty()
            .with(
                Origin::Environment,
                [("BIND_ADDR", " "), ("DATABASE_URL_FILE", "")],
            )
            .with(Origin::EnvFile, [("BIND_ADDR", "[::1]:1")]);
        assert_eq!(value(&source, &BIND_ADDR).as_deref(), Some("[::1]:1"));
        assert!(!source.is_set(&DATABASE_URL));
    }

    #[test]
    fn a_flag_wins_over_a_file_named_by_the_environment() {
        let source = Source::empty()
            .with(Origin::Flag, [("DATABASE_URL", "postgres://flag")])
            .with(Origin::Environment, [("DATABASE_URL_FILE", "/nonexistent")]);
        assert_eq!(
            value(&source, &DATABASE_URL).as_deref(),
            Some("postgres://flag")
        );
    }

    #[test]
    fn the_env_file_is_parsed_and_its_faults_show_no_content() {
        let text = "\u{feff}# comment\nBIND_ADDR=\"[::1]:80\"\nBIND_ADDR=second\n\
                    this secret line is broken\nexport DATABASE_URL='postgres://a$b'\n";
        let source = Source::empty().with_env_file(text);
        assert_eq!(value(&source, &BIND_ADDR).as_deref(), Some("[::1]:80"));
        assert_eq!(
            value(&source, &DATABASE_URL).as_deref(),
            Some("postgres://a$b")
        );
        assert_eq!(source.faults().len(), 1);
        let shown = source.faults()[0].to_string();
        assert!(
            shown.contains(".env") && shown.contains("BIND_ADDR"),
            "{shown}"
        );
        assert!(!shown.contains("secret line"), "{shown}");
    }

    #[test]
    fn what_is_laid_over_wins_and_its_empty_values_unset() {
        let environment = [("AWS_SESSION_TOKEN", "token"), ("BIND_ADDR", "[::1]:1")];
        let source = Source::empty().with(Origin::Environment, environment).over(
            Origin::Dev,
            [("AWS_SESSION_TOKEN", ""), ("BIND_ADDR", "[::1]:2")],
        );
        assert_eq!(source.lookup("AWS_SESSION_TOKEN"), None);
        assert_eq!(source.lookup("BIND_ADDR").as_deref(), Some("[::1]:2"));
        assert_eq!(source.lookup("PATH"), None);
    }

    #[test]
    fn a_source_shows_names_but_no_values() {
        let source = Source::empty().with(
            Origin::Environment,
            [("DATABASE_URL", "postgres://u:hunter2@h")],
        );
        let shown = format!("{source:?}");
        assert!(
            shown.contains("DATABASE_URL") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
}

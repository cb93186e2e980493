//! Reads settings one by one and collects every fault, so that all of them are reported at once.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;

use super::fault::{ConfigError, Fault};
use super::source::Source;
use super::variables::{self, DefaultValue, Kind, Variable};
use crate::secret::Secret;

/// Builds a section. It first reads every field, so that every fault is found, and only then returns
/// `None` if a field failed. A field expression gives `None` after a fault. An optional field that is
/// unset gives `Some(None)`.
macro_rules! read_all {
    ($section:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        $(let $field = $value;)*
        Some($section { $($field: $field?),* })
    }};
}
pub(super) use read_all;

/// A set of settings that is parsed as a whole.
///
/// Tuples are sections too: `<(Log, Serve, Worker)>::parse(&source)` merges the faults of all
/// three, each told once.
pub trait Section: Sized {
    /// Reads the section and records its faults in `reader`. It returns `None` only after a fault.
    fn read(reader: &mut Reader<'_>) -> Option<Self>;

    /// Parses the section.
    ///
    /// # Errors
    /// With every fault of the section's variables at once.
    fn parse(source: &Source) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(source);
        let section = Self::read(&mut reader);
        reader.finish(section)
    }

    /// Checks the settings that are set and ignores missing ones. `lethe dev` calls it first and then
    /// supplies the missing ones.
    ///
    /// # Errors
    /// With every fault of a value that is set.
    fn check_given(source: &Source) -> Result<(), ConfigError> {
        let Err(ConfigError { mut faults }) = Self::parse(source) else {
            return Ok(());
        };
        faults.retain(|fault| {
            variables::find(&fault.variable).is_none_or(|variable| source.is_set(variable))
        });
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { faults })
        }
    }
}

impl<A: Section, B: Section> Section for (A, B) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (a, b) = (A::read(reader), B::read(reader));
        a.zip(b)
    }
}

impl<A: Section, B: Section, C: Section> Section for (A, B, C) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (a, b, c) = (A::read(reader), B::read(reader), C::read(reader));
        Some((a?, b?, c?))
    }
}

impl<A: Section, B: Section, C: Section, D: Section> Section for (A, B, C, D) {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (a, b) = (A::read(reader), B::read(reader));
        let (c, d) = (C::read(reader), D::read(reader));
        Some((a?, b?, c?, d?))
    }
}

/// Reads values from a [`Source`] and collects their faults.
pub struct Reader<'a> {
    source: &'a Source,
    faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source) -> Self {
        Self {
            source,
            faults: source.faults().to_vec(),
        }
    }

    fn finish<T>(mut self, section: Option<T>) -> Result<T, ConfigError> {
        match section {
            Some(section) if self.faults.is_empty() => Ok(section),
            _ => {
                // Sort faults in the documented order of the variables. Faults of `.env` itself come first.
                let place = |fault: &Fault| {
                    variables::ALL
                        .iter()
                        .position(|variable| variable.name == fault.variable)
                };
                self.faults.sort_by_key(place);
                Err(ConfigError {
                    faults: self.faults,
                })
            }
        }
    }

    /// Records a fault of `variable`. `problem` follows the variable's name, for example `PORT` + `is 0`.
    /// The origin of the value is appended.
    pub(super) fn fault(&mut self, variable: &Variable, problem: &str, remedy: impl Into<String>) {
        let origin = self
            .source
            .find(variable)
            .map(|value| value.origin.suffix(variable));
        let problem = format!("{problem}{}.", origin.unwrap_or_default());
        self.push(Fault::new(variable.name, problem, remedy));
    }

    fn push(&mut self, fault: Fault) {
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// The layer that sets `variable`, 0 being the strongest.
    pub(super) fn rank(&self, variable: &Variable) -> Option<usize> {
        self.source.find(variable).map(|value| value.rank)
    }

    /// The text of `variable`, or its default. If its file could not be read, the result is `None` and a
    /// fault is recorded. For an unset variable that has no default, it is `None` without a fault.
    pub(super) fn text(&mut self, variable: &Variable) -> Option<&'a str> {
        let Some(value) = self.source.find(variable) else {
            return match variable.default {
                DefaultValue::Value(text) => Some(text),
                DefaultValue::Count(_) | DefaultValue::Rule(_) => None,
            };
        };
        match value.entry {
            Ok(text) => Some(text),
            Err(fault) => {
                self.push(fault.clone());
                None
            }
        }
    }

    /// The text of `variable`. If it is unset, a fault is recorded.
    pub(super) fn required(&mut self, variable: &Variable, remedy: &str) -> Option<&'a str> {
        if !self.source.is_set(variable) {
            let or_file = match variable.file_name() {
                Some(name) => format!("{remedy} {name} may name a file that holds it."),
                None => remedy.to_owned(),
            };
            self.fault(variable, "is required but not set", or_file);
        }
        self.text(variable)
    }

    /// The text of `variable` as a secret.
    pub(super) fn secret(&mut self, variable: &Variable) -> Option<Secret> {
        self.text(variable).map(Secret::new)
    }

    /// A whole number within the variable's bounds, or its default.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, variable: &Variable) -> Option<T> {
        let value = self
            .explicit_number(variable)
            .or(variable.default_number())?;
        T::try_from(value).ok()
    }

    /// A whole number within the variable's bounds. `None` if it is unset or has a fault.
    fn explicit_number(&mut self, variable: &Variable) -> Option<u64> {
        let Kind::Number { unit, min, max } = variable.kind else {
            return None;
        };
        let text = self.text(variable)?;
        let number = text.parse::<u64>().ok();
        if let Some(number) = number.filter(|number| (min..=max).contains(number)) {
            return Some(number);
        }
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let problem = match number {
            Some(number) if number < min => format!("is {number}, which is too small"),
            None if !digits => format!("is `{text}`, which is not a whole number"),
            _ => format!("is {text}, which is too large"),
        };
        let default = match variable.default_number() {
            Some(default) => format!("the default is {default}"),
            None => "without it there is no limit".to_owned(),
        };
        self.fault(
            variable,
            &problem,
            format!("Give {unit} from {min} to {max}; {default}."),
        );
        None
    }

    /// Milliseconds within the variable's bounds, or its default.
    pub(super) fn millis(&mut self, variable: &Variable) -> Option<Duration> {
        self.number(variable).map(Duration::from_millis)
    }

    /// Two durations of which the first may not exceed the second.
    ///
    /// If only one is set, the other's default is adjusted to fit, so that the pair is always valid.
    pub(super) fn ordered_millis(
        &mut self,
        shorter: &Variable,
        longer: &Variable,
    ) -> Option<(Duration, Duration)> {
        let given = (self.explicit_number(shorter), self.explicit_number(longer));
        let (low, high) = match given {
            (Some(low), Some(high)) => {
                if low > high {
                    let problem = format!("is {low}, more than {} ({high})", longer.name);
                    let remedy = format!("Lower it, or raise {}.", longer.name);
                    self.fault(shorter, &problem, remedy);
                }
                (low, high)
            }
            (Some(low), None) => (low, longer.default_number()?.max(low)),
            (None, Some(high)) => (shorter.default_number()?.min(high), high),
            (None, None) => (shorter.default_number()?, longer.default_number()?),
        };
        Some((Duration::from_millis(low), Duration::from_millis(high)))
    }

    /// `true` or `false`, also written as yes/no, on/off and 1/0.
    pub(super) fn switch(&mut self, variable: &Variable) -> Option<bool> {
        let text = self.text(variable)?;
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => {
                let default = variable.default_text();
                let remedy = format!("Give true or false; the default is {default}.");
                self.fault(variable, &format!("is `{text}`"), remedy);
                None
            }
        }
    }

    /// An address with its port.
    pub(super) fn address(&mut self, variable: &Variable) -> Option<SocketAddr> {
        let text = self.text(variable)?;
        let address = SocketAddr::from_str(text).ok();
        if address.is_none() {
            self.fault(
                variable,
                &format!("is `{text}`, which is not an IP address with a port"),
                "Give one such as 127.0.0.1:8080, 0.0.0.0:8080 or [::]:8080.",
            );
        }
        address
    }

    /// An `http` or `https` URL. It is not shown in a fault: somebody may have put a password in.
    pub(super) fn http_url(&mut self, variable: &Variable) -> Option<Url> {
        let problem = match Url::parse(self.text(variable)?) {
            Err(error) => format!("is not a URL: {error}"),
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                "is not an http or https URL".to_owned()
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "contains a user name or password".to_owned()
            }
            Ok(url) if url.fragment().is_some() => "contains a fragment (#)".to_owned(),
            Ok(url) => return Some(url),
        };
        self.fault(
            variable,
            &problem,
            "Give one such as https://host or http://host:9000.",
        );
        None
    }

    /// The entries of a comma-separated list, trimmed; blank ones are left out.
    pub(super) fn list(&mut self, variable: &Variable) -> Vec<&'a str> {
        let text = self.text(variable).unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .collect()
    }
}

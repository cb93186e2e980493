//! What is logged, and how.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::reader::{Reader, Section};
use super::variables::{LOG_FORMAT, RUST_LOG};

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Pretty on a terminal, else JSON, unless told otherwise.
    pub format: LogFormat,
    /// A filter that `tracing-subscriber` is known to accept.
    pub filter: String,
}

impl Section for Log {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        // The log goes to standard error, so that is the stream that matters.
        let format = format(reader, std::io::stderr().is_terminal());
        let filter = reader.text(&RUST_LOG).unwrap_or(RUST_LOG.unset);
        if EnvFilter::try_new(filter).is_err() {
            reader.fault(
                &RUST_LOG,
                &format!("is `{filter}`, which is not a log filter"),
                "Give a level (error, warn, info, debug, trace), or directives such as \
                 info,lethe=debug.",
            );
        }
        Some(Self {
            format: format?,
            filter: filter.to_owned(),
        })
    }
}

fn format(reader: &mut Reader<'_>, on_terminal: bool) -> Option<LogFormat> {
    let Some(text) = reader.text(&LOG_FORMAT) else {
        return Some(if on_terminal {
            LogFormat::Pretty
        } else {
            LogFormat::Json
        });
    };
    match text.to_ascii_lowercase().as_str() {
        "pretty" => Some(LogFormat::Pretty),
        "json" => Some(LogFormat::Json),
        _ => {
            reader.fault(&LOG_FORMAT, &format!("is `{text}`"), "Give pretty or json.");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ConfigError, Origin, Source};

    fn parse(pairs: &[(&str, &str)]) -> Result<Log, ConfigError> {
        Log::parse(&Source::empty().with(Origin::Environment, pairs.iter().copied()))
    }

    #[test]
    fn the_filter_is_info_unless_told_otherwise() {
        assert_eq!(parse(&[]).unwrap().filter, "info");
        assert_eq!(
            parse(&[("RUST_LOG", "warn,lethe=trace")]).unwrap().filter,
            "warn,lethe=trace"
        );
    }

    #[test]
    fn a_format_can_be_chosen() {
        assert_eq!(
            parse(&[("LOG_FORMAT", "pretty")]).unwrap().format,
            LogFormat::Pretty
        );
        assert_eq!(
            parse(&[("LOG_FORMAT", "JSON")]).unwrap().format,
            LogFormat::Json
        );
    }

    #[test]
    fn an_unknown_format_and_a_broken_filter_are_both_told() {
        let error = parse(&[("LOG_FORMAT", "xml"), ("RUST_LOG", "lethe=loud")]).unwrap_err();
        let variables: Vec<&str> = error
            .faults
            .iter()
            .map(|fault| fault.variable.as_str())
            .collect();
        assert_eq!(variables, ["LOG_FORMAT", "RUST_LOG"]);
    }
}

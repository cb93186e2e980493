//! What is logged, and how.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::reader::{Reader, Section, read_all};
use super::variables::{LOG_FORMAT, RUST_LOG};
use crate::telemetry::logging::LogFormat;

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
        read_all!(Self {
            // The log goes to standard error, so that is the stream that matters.
            format: format(reader, std::io::stderr().is_terminal()),
            filter: filter(reader),
        })
    }
}

fn filter(reader: &mut Reader<'_>) -> Option<String> {
    let filter = reader.text(&RUST_LOG)?;
    if EnvFilter::try_new(filter).is_err() {
        reader.fault(
            &RUST_LOG,
            &format!("is `{filter}`, which is not a log filter"),
            "Give a level (error, warn, info, debug, trace), or directives such as \
             info,lethe=debug.",
        );
    }
    Some(filter.to_owned())
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
    use crate::config::testing::{at_fault, parse};

    #[test]
    fn the_filter_is_info_unless_told_otherwise() {
        assert_eq!(parse::<Log>(&[]).unwrap().filter, "info");
        let log: Log = parse(&[("RUST_LOG", "warn,lethe=trace")]).unwrap();
        assert_eq!(log.filter, "warn,lethe=trace");
    }

    #[test]
    fn a_format_can_be_chosen() {
        for (text, format) in [("pretty", LogFormat::Pretty), ("JSON", LogFormat::Json)] {
            assert_eq!(
                parse::<Log>(&[("LOG_FORMAT", text)]).unwrap().format,
                format
            );
        }
    }

    #[test]
    fn an_unknown_format_and_a_broken_filter_are_both_told() {
        let pairs = [("LOG_FORMAT", "xml"), ("RUST_LOG", "lethe=loud")];
        let error = parse::<Log>(&pairs).unwrap_err();
        assert_eq!(at_fault(&error), ["LOG_FORMAT", "RUST_LOG"]);
    }
}

//! The log: on standard error, for people or as one JSON object a line.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, ParseError};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

/// Libraries that log their own business at `info` and very much at `debug`. A filter that is
/// just a level leaves them at `warn`; one that names targets is used as it stands.
const QUIET: &str = "aws_config=warn,aws_credential_types=warn,aws_runtime=warn,aws_sdk_s3=warn,\
                     aws_sigv4=warn,aws_smithy_http_client=warn,aws_smithy_runtime=warn,\
                     aws_smithy_runtime_api=warn,h2=warn,hyper=warn,hyper_util=warn,\
                     reqwest=warn,rustls=warn,s3s=warn,s3s_fs=warn,sqlx::query=warn,\
                     tokio_util=warn";

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("the log filter cannot be parsed")]
    Filter(#[from] ParseError),
    #[error("the log cannot be set up")]
    Init(#[from] TryInitError),
}

/// Sends events and spans, and the messages of libraries that use `log`, to standard error.
///
/// JSON lines carry the event's fields at the top level, those of the innermost span under
/// `span`, and RFC 3339 times in UTC.
///
/// # Errors
/// If `filter` cannot be parsed, or if the process has a log already.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LoggingError> {
    let filter = env_filter(filter)?;
    match format {
        LogFormat::Pretty => fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(wants_colour())
            .finish()
            .try_init()?,
        LogFormat::Json => fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .finish()
            .try_init()?,
    }
    Ok(())
}

fn env_filter(filter: &str) -> Result<EnvFilter, ParseError> {
    match filter.trim().parse::<LevelFilter>() {
        Ok(level) if level > LevelFilter::WARN => EnvFilter::try_new(format!("{level},{QUIET}")),
        _ => EnvFilter::try_new(filter),
    }
}

/// Colours are for terminals, unless the person refused them (<https://no-color.org>).
fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !refused
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Which of one event of each kind a subscriber with this filter writes.
    fn passed(filter: &str) -> Vec<&'static str> {
        let written = LogBuffer::default();
        let subscriber = fmt()
            .with_env_filter(env_filter(filter).unwrap())
            .with_ansi(false)
            .with_writer(written.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "lethe", "lethe-debug");
            tracing::info!(target: "lethe", "lethe-info");
            tracing::info!(target: "aws_config::profile", "aws-info");
            tracing::debug!(target: "sqlx::query", "sqlx-debug");
            tracing::warn!(target: "sqlx::query", "sqlx-warn");
        });
        let bytes = written.0.lock().unwrap();
        let text = std::str::from_utf8(&bytes).unwrap();
        [
            "lethe-debug",
            "lethe-info",
            "aws-info",
            "sqlx-debug",
            "sqlx-warn",
        ]
        .into_iter()
        .filter(|event| text.contains(event))
        .collect()
    }

    #[derive(Clone, Default)]
    struct LogBuffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for LogBuffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> fmt::MakeWriter<'a> for LogBuffer {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    #[test]
    fn a_level_alone_keeps_noisy_libraries_quiet() {
        assert_eq!(passed("info"), ["lethe-info", "sqlx-warn"]);
        assert_eq!(passed("debug"), ["lethe-debug", "lethe-info", "sqlx-warn"]);
        assert_eq!(passed("error"), Vec::<&str>::new());
        assert_eq!(passed("off"), Vec::<&str>::new());
    }

    #[test]
    fn a_filter_that_names_targets_is_used_as_it_stands() {
        let all = ["lethe-info", "aws-info", "sqlx-debug", "sqlx-warn"];
        assert_eq!(passed("info,sqlx::query=debug"), all);
    }
}

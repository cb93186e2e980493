//! Where traces go.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

use super::insecure::{self, Connection};
use super::reader::{Reader, Section};
use super::variables::{
    OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME,
};
use crate::telemetry::traces::TraceOptions;

/// `OTEL_EXPORTER_OTLP_ENDPOINT` with what belongs to it, if it is set.
#[derive(Debug, Clone)]
pub struct Tracing(pub Option<TraceOptions>);

impl Section for Tracing {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if reader.rank(&OTEL_EXPORTER_OTLP_ENDPOINT).is_none() {
            return Some(Self(None));
        }
        let endpoint = insecure::url(reader, &OTEL_EXPORTER_OTLP_ENDPOINT, Connection::Traces);
        let service_name = reader.text(&OTEL_SERVICE_NAME).map(str::to_owned);
        let mut headers = HashMap::new();
        for entry in reader.list(&OTEL_EXPORTER_OTLP_HEADERS) {
            let header = entry.split_once('=').and_then(|(name, value)| {
                let name = name.trim().to_ascii_lowercase();
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                let is_whole = name.parse::<http::HeaderName>().is_ok()
                    && value.parse::<http::HeaderValue>().is_ok();
                is_whole.then(|| (name, value.into_owned()))
            });
            match header {
                Some((name, value)) => drop(headers.insert(name, value)),
                None => reader.fault(
                    &OTEL_EXPORTER_OTLP_HEADERS,
                    "has an entry that is no header",
                    "Give name=value, separated by commas.",
                ),
            }
        }
        Some(Self(Some(TraceOptions {
            endpoint: endpoint?,
            headers,
            service_name: service_name?,
        })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{at_fault, parse};

    #[test]
    fn without_an_endpoint_nothing_is_traced() {
        assert!(parse::<Tracing>(&[]).unwrap().0.is_none());
    }

    #[test]
    fn headers_are_read_and_a_bad_one_is_a_fault_that_does_not_show_it() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
        let good = ("OTEL_EXPORTER_OTLP_HEADERS", "X-Key=a%20b, other=c=d");
        let options = parse::<Tracing>(&[endpoint, good]).unwrap().0.unwrap();
        assert_eq!(options.headers["x-key"], "a b");
        assert_eq!(options.headers["other"], "c=d");
        assert_eq!(options.service_name, "lethe");
        for bad in ["hunter2", "a b=hunter2", "x=hunter2%0A"] {
            let given = [endpoint, ("OTEL_EXPORTER_OTLP_HEADERS", bad)];
            let error = parse::<Tracing>(&given).unwrap_err();
            assert_eq!(at_fault(&error), ["OTEL_EXPORTER_OTLP_HEADERS"], "{bad}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn an_unencrypted_collector_elsewhere_needs_consent() {
        let far = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let error = parse::<Tracing>(&[far]).unwrap_err();
        assert_eq!(at_fault(&error), ["OTEL_EXPORTER_OTLP_ENDPOINT"]);
        assert!(parse::<Tracing>(&[far, ("ALLOW_INSECURE", "traces")]).is_ok());
    }
}

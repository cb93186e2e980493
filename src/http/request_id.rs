//! Gives each request an id, a log span and one log line, and turns errors and panics into problem bodies.

use std::{any::Any, net::IpAddr, panic::AssertUnwindSafe, time::Instant};

use futures::FutureExt;
use http::{Method, StatusCode};
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use poem_openapi::OperationId;
use tracing::{Instrument, field};

use super::{
    catch_all::respond, client, correlation, problem::Problem, request_metrics::NO_OPERATION,
};
use crate::telemetry::traces::RequestSpan;

/// A longer path is cut in the log.
const MAX_LOGGED_PATH_CHARS: usize = 256;

/// The outermost middleware of every endpoint: `routes.with(RequestId)`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestId;

impl<E: Endpoint> Middleware<E> for RequestId {
    type Output = RequestIdEndpoint<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        RequestIdEndpoint { inner: endpoint }
    }
}

/// An extension of an answer: the credentials of its request were valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Authenticated;

/// The endpoint made by [`RequestId`]. It never returns an error.
pub struct RequestIdEndpoint<E> {
    inner: E,
}

impl<E: Endpoint> Endpoint for RequestIdEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let id = correlation::id_for(request.headers());
        // Of the highest level, so that a filter which lets only errors through keeps the id on them.
        let span = tracing::error_span!("request", request_id = %id);
        let answer = async {
            let mut line = LogLine::begin(&request);
            let traced = traced(&request);
            let answering = answer(&self.inner, request);
            let (mut response, operation) = match &traced {
                Some(span) => span.around(answering).await,
                None => answering.await,
            };
            if let Some(span) = traced {
                span.end(operation, response.status());
            }
            line.finish(response.status());
            if let (Some(_), None) = correlation::caller() {
                response.set_data(Authenticated);
            }
            correlation::set(response.headers_mut(), &id);
            response
        };
        Ok(correlation::scope(id.clone(), answer.instrument(span)).await)
    }
}

/// The span of a request; none for probes and metrics, which come all the time.
fn traced(request: &Request) -> Option<RequestSpan> {
    let path = request.uri().path();
    let is_quiet = path == "/metrics" || path.starts_with("/health/");
    (!is_quiet).then(|| RequestSpan::begin(request.method(), request.headers()))
}

/// The answer, and the operation of the document that gave it.
async fn answer<E: Endpoint>(endpoint: &E, request: Request) -> (Response, &'static str) {
    let (response, operation) = match AssertUnwindSafe(endpoint.call(request))
        .catch_unwind()
        .await
    {
        Ok(Ok(output)) => {
            let response = output.into_response();
            let operation = response.data::<OperationId>().copied();
            (response, operation)
        }
        Ok(Err(error)) => {
            let operation = error.data::<OperationId>().copied();
            (respond(error), operation)
        }
        Err(panic) => {
            tracing::error!(panic = panic_message(&*panic), "handler panicked");
            let problem = Problem::opaque(StatusCode::INTERNAL_SERVER_ERROR);
            (problem.into_response(), None)
        }
    };
    let operation = operation.map_or(NO_OPERATION, |operation| operation.0);
    (response, operation)
}

/// The text of a panic, if it has one.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Writes one log line for each request, also for one that is dropped before its answer. Neither the headers nor
/// the query are logged, because both may contain secrets.
struct LogLine {
    method: Method,
    path: String,
    client: Option<IpAddr>,
    begun: Instant,
    finished: bool,
}

impl LogLine {
    fn begin(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            path: printable(request.uri().path()),
            client: client::of(request),
            begun: Instant::now(),
            finished: false,
        }
    }

    fn finish(&mut self, status: StatusCode) {
        self.finished = true;
        let (actor, refused) = correlation::caller();
        let refused = refused.map(field::display);
        let client = self.client.map(field::display);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    method = %self.method,
                    path = %self.path,
                    status = status.as_u16(),
                    client,
                    actor,
                    refused,
                    duration_ms = self.elapsed_ms(),
                    "answered"
                )
            };
        }
        // Probes and scrapes come every few seconds for ever.
        if self.path.starts_with("/health/") || self.path == "/metrics" {
            line!(debug);
        } else {
            line!(info);
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        if !self.finished {
            tracing::warn!(
                method = %self.method,
                path = %self.path,
                client = self.client.map(field::display),
                duration_ms = self.elapsed_ms(),
                "dropped before an answer"
            );
        }
    }
}

/// The path for the log: cut, and without characters that a terminal would obey or hide.
fn printable(path: &str) -> String {
    let mut text = String::new();
    for character in path.chars().take(MAX_LOGGED_PATH_CHARS) {
        if character.is_ascii_graphic() {
            text.push(character);
        } else {
            text.extend(character.escape_unicode());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use parking_lot::Mutex;
    use poem::{EndpointExt, Route, get, handler};
    use serde_json::Value;
    use tracing::Level;
    use uuid::Uuid;

    use super::*;
    use crate::http::correlation::{HEADER, MAX_ID_BYTES, current};

    #[handler]
    fn panics() -> String {
        panic!("select * from secrets")
    }

    #[handler]
    fn tells() -> String {
        current().unwrap_or_default()
    }

    async fn call(path: &str, id: Option<&str>) -> Response {
        let endpoint = Route::new()
            .at("/panics", get(panics))
            .at("/tells", get(tells))
            .with(RequestId);
        let mut request = Request::builder().uri(path.parse().unwrap());
        if let Some(id) = id {
            request = request.header(HEADER, id);
        }
        endpoint.get_response(request.finish()).await
    }

    fn id_of(response: &Response) -> String {
        response.headers()[HEADER].to_str().unwrap().to_owned()
    }

    async fn json_of(response: Response) -> Value {
        serde_json::from_slice(&response.into_body().into_bytes().await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn a_sane_id_is_kept_and_known_inside() {
        let response = call("/tells", Some("abc-123")).await;
        assert_eq!(id_of(&response), "abc-123");
        assert_eq!(response.into_body().into_string().await.unwrap(), "abc-123");
    }

    #[tokio::test]
    async fn without_a_sane_id_a_uuid_of_version_7_is_made() {
        let long = "x".repeat(MAX_ID_BYTES + 1);
        for id in [
            None,
            Some(""),
            Some("two words"),
            Some("tab\there"),
            Some("a\"b<script>"),
            Some("$(reboot)"),
            Some(long.as_str()),
        ] {
            let made = id_of(&call("/tells", id).await);
            assert_eq!(made.parse::<Uuid>().unwrap().get_version_num(), 7, "{id:?}");
        }
    }

    #[tokio::test]
    async fn problems_carry_the_id_of_the_header() {
        let response = call("/nowhere", Some("lost")).await;
        assert_eq!(
            (response.status(), id_of(&response).as_str()),
            (StatusCode::NOT_FOUND, "lost")
        );
        assert_eq!(json_of(response).await["requestId"], "lost");
    }

    #[tokio::test]
    async fn a_panic_becomes_a_problem_without_its_message() {
        let response = call("/panics", Some("boom")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = json_of(response).await;
        assert_eq!(body["requestId"], "boom");
        assert!(!body.to_string().contains("secrets"));
    }

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_line_of_the_log_has_the_id_whatever_level_is_logged() {
        for level in [Level::INFO, Level::ERROR] {
            let written = Written::default();
            let writer = written.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_ansi(false)
                .with_max_level(level)
                .with_writer(move || writer.clone())
                .finish();
            let _guard = tracing::subscriber::set_default(subscriber);
            call("/panics", Some("boom")).await;
            let text = String::from_utf8(written.0.lock().clone()).unwrap();
            let line = text.lines().find(|line| line.contains("handler panicked"));
            assert!(line.unwrap().contains("boom"), "{level}: {text}");
        }
    }

    #[test]
    fn a_logged_path_has_visible_ascii_only() {
        assert_eq!(printable("/a/%20~b"), "/a/%20~b");
        assert_eq!(printable("/\u{202e}x\u{e4}"), "/\\u{202e}x\\u{e4}");
        assert_eq!(printable(&"x".repeat(300)).len(), MAX_LOGGED_PATH_CHARS);
    }

    #[tokio::test]
    async fn nothing_is_current_outside_a_request() {
        assert_eq!(current(), None);
    }
}

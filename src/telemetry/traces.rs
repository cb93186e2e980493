//! Traces by OpenTelemetry, if they are configured. One trace goes from the request that asks for a deletion to the last
//! task of it: the task keeps the request's span as its parent. A batch of the worker, which serves many traces, has a
//! trace of its own, and the spans of its tasks are linked with it. No span names a user, an object or a row.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use http::{HeaderMap, Method, StatusCode};
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::{
    FutureExt as _, Link, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _,
};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest::Url;

use crate::vocabulary::{TaskId, TaskKind};

const SCOPE: &str = "lethe";
/// The header of W3C Trace Context, and the form in which a task keeps its parent.
const TRACE_PARENT: &str = "traceparent";
/// How long one export may take.
const EXPORT_LIMIT: Duration = Duration::from_secs(10);
/// How long sending the last spans may take at the end of a process.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);
/// Most links of one span to the requests whose tasks a batch has.
const MAX_LINKS: usize = 128;

/// Where traces go.
#[derive(Clone)]
pub struct TraceOptions {
    /// The collector, without `/v1/traces`.
    pub endpoint: Url,
    /// Headers of each export, such as a key.
    pub headers: HashMap<String, String>,
    pub service_name: String,
}

impl std::fmt::Debug for TraceOptions {
    /// Without the headers, which may hold a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TraceOptions({}, {})", self.endpoint, self.service_name)
    }
}

/// Traces are sent as long as this lives.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to trace. Call it within the runtime, which sends the spans.
    ///
    /// # Errors
    /// When the exporter cannot be made.
    pub fn start(options: &TraceOptions) -> Result<Self, ExporterBuildError> {
        let mut url = options.endpoint.clone();
        let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
        url.set_path(&path);
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new())
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_headers(options.headers.clone())
            .with_timeout(EXPORT_LIMIT)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(options.service_name.clone())
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        global::set_tracer_provider(provider.clone());
        Ok(Self(provider))
    }

    /// Sends what is left.
    pub async fn stop(self) {
        // It waits for its thread, which needs the runtime to send.
        let stopping = tokio::task::spawn_blocking(move || self.0.shutdown());
        match tokio::time::timeout(FLUSH_LIMIT, stopping).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the last traces were not sent"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the last traces were not sent in time"),
        }
    }
}

/// Sends the exporter's requests on the runtime, because its thread has none.
#[derive(Debug)]
struct Client {
    inner: reqwest::Client,
    runtime: tokio::runtime::Handle,
}

impl Client {
    fn new() -> Self {
        Self {
            inner: reqwest::Client::new(),
            runtime: tokio::runtime::Handle::current(),
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.inner.clone();
        let sent = self.runtime.spawn(async move {
            let request = reqwest::Request::try_from(request)?;
            let mut answer = client.execute(request).await?;
            let headers = std::mem::take(answer.headers_mut());
            let mut response = Response::builder().status(answer.status());
            if let Some(of_response) = response.headers_mut() {
                *of_response = headers;
            }
            Ok(response.body(answer.bytes().await?)?)
        });
        sent.await?
    }
}

/// The span of a request.
pub struct RequestSpan(Context);

impl RequestSpan {
    /// Begins the span, as a part of the caller's trace if there is one. Its path is left out, because ids of users stand
    /// in paths.
    #[must_use]
    pub fn begin(method: &Method, headers: &HeaderMap) -> Self {
        let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
        let tracer = global::tracer(SCOPE);
        let span = tracer
            .span_builder("request")
            .with_kind(SpanKind::Server)
            .with_attributes([KeyValue::new("http.request.method", method.to_string())])
            .start_with_context(&tracer, &parent);
        Self(parent.with_span(span))
    }

    /// Runs the request within the span: what is asked for meanwhile belongs to its trace.
    pub async fn around<F: Future>(&self, request: F) -> F::Output {
        request.with_context(self.0.clone()).await
    }

    /// Ends the span. It gets the name of the operation, as the OpenAPI document has it.
    pub fn end(self, operation: &'static str, status: StatusCode) {
        let span = self.0.span();
        span.update_name(operation);
        let code = i64::from(status.as_u16());
        span.set_attribute(KeyValue::new("http.response.status_code", code));
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// The span of the request that is being served, in the form of the header `traceparent`. `None` if it is not traced.
#[must_use]
pub fn current_parent() -> Option<String> {
    let context = Context::current();
    let span = context.span().span_context().clone();
    (span.is_valid() && span.is_sampled()).then(|| {
        format!(
            "00-{}-{}-{:02x}",
            span.trace_id(),
            span.span_id(),
            span.trace_flags().to_u8()
        )
    })
}

/// The span that a task keeps.
fn parent_of(text: &str) -> Option<SpanContext> {
    let carrier = HashMap::from([(TRACE_PARENT.to_owned(), text.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    let span = context.span().span_context().clone();
    span.is_valid().then_some(span)
}

/// A batch of the worker.
#[derive(Clone)]
pub struct BatchSpan {
    context: Context,
    begun: SystemTime,
}

/// How a task went, for its span.
pub struct TaskEnd<'a> {
    pub id: TaskId,
    pub kind: TaskKind,
    pub attempt: i32,
    /// What the task keeps of the request that asked for it.
    pub parent: Option<&'a str>,
    pub outcome: &'static str,
    pub objects: usize,
    pub rows: u64,
    pub is_failed: bool,
}

impl BatchSpan {
    /// Begins the span of a batch, linked with the requests of its tasks.
    #[must_use]
    pub fn begin<'p>(tasks: usize, parents: impl Iterator<Item = &'p str>) -> Self {
        let tracer = global::tracer(SCOPE);
        let mut parents: Vec<&str> = parents.collect();
        parents.sort_unstable();
        parents.dedup();
        let links = parents.into_iter().take(MAX_LINKS).filter_map(parent_of);
        let links = links.map(Link::with_context);
        let span = tracer
            .span_builder("cleanup batch")
            .with_kind(SpanKind::Consumer)
            .with_links(links.collect())
            .with_attributes([KeyValue::new("lethe.tasks", count(tasks))])
            .start_with_context(&tracer, &Context::new());
        Self {
            context: Context::new().with_span(span),
            begun: SystemTime::now(),
        }
    }

    /// Runs one stage of the batch within a span of its own.
    pub async fn stage<F: Future>(&self, name: &'static str, stage: F) -> F::Output {
        let tracer = global::tracer(SCOPE);
        let span = tracer.start_with_context(name, &self.context);
        let context = self.context.with_span(span);
        let output = stage.with_context(context.clone()).await;
        context.span().end();
        output
    }

    /// Writes the span of a task that this batch settled, into the trace of the request that asked for it.
    pub fn task(&self, end: &TaskEnd<'_>) {
        let Some(parent) = end.parent.and_then(parent_of) else {
            return;
        };
        let tracer = global::tracer(SCOPE);
        let parent = Context::new().with_remote_span_context(parent);
        let batch = self.context.span().span_context().clone();
        let span = tracer
            .span_builder(end.kind.as_str())
            .with_kind(SpanKind::Consumer)
            .with_start_time(self.begun)
            .with_links(vec![Link::with_context(batch)])
            .with_attributes([
                KeyValue::new("lethe.task.id", end.id.to_string()),
                KeyValue::new("lethe.task.attempt", i64::from(end.attempt)),
                KeyValue::new("lethe.task.outcome", end.outcome),
                KeyValue::new("lethe.objects", count(end.objects)),
                KeyValue::new("lethe.rows", i64::try_from(end.rows).unwrap_or(i64::MAX)),
            ])
            .start_with_context(&tracer, &parent);
        let context = Context::new().with_span(span);
        if end.is_failed {
            context.span().set_status(Status::error(end.outcome));
        }
        context.span().end();
    }

    /// Ends the span of the batch.
    pub fn end(self) {
        self.context.span().end();
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_what_the_header_says_and_nothing_else() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = parent_of(text).unwrap();
        assert_eq!(parent.trace_id().to_string(), &text[3..35]);
        assert!(parent.is_sampled() && parent.is_remote());
        for text in [
            "",
            "00",
            "00-0-0-01",
            "x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ] {
            assert!(parent_of(text).is_none(), "{text}");
        }
    }

    #[test]
    fn without_a_collector_nothing_is_kept() {
        assert_eq!(current_parent(), None);
        let request = RequestSpan::begin(&Method::GET, &HeaderMap::new());
        let _entered = request.0.clone().attach();
        assert_eq!(current_parent(), None);
    }

    #[test]
    fn the_options_hide_the_headers() {
        let options = TraceOptions {
            endpoint: "https://collector.example".parse().unwrap(),
            headers: HashMap::from([("x-key".to_owned(), "hunter2".to_owned())]),
            service_name: "lethe".to_owned(),
        };
        assert!(!format!("{options:?}").contains("hunter2"));
    }
}

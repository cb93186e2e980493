//! One peer's connection, and the requests on it.

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
};

use http::{StatusCode, Version, header, uri::Scheme};
use hyper::{
    body::{Body, Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use parking_lot::Mutex;
use poem::{
    Endpoint, IntoResponse, Request, Response,
    endpoint::BoxEndpoint,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    net::TcpStream,
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::{AnswerBody, AnswerBudget},
    body::{self, BodyNeeds, Held},
    budget::{CallerClass, RequestBudgets},
    client::{ClientAddress, TrustedProxies},
    connections::Place,
    correlation,
    limits::{BUSY_RETRY_AFTER, Limits},
    problem::Problem,
    refusals::{Refusal, RefusalLog},
    request_id::Authenticated,
    request_metrics::NO_OPERATION,
    socket::Socket,
    usage::{EndReason, Usage},
};
use crate::telemetry::metrics::Metrics;

/// Most bytes of one request's head, for HTTP/1 and for HTTP/2.
const MAX_HEAD_BYTES_HTTP1: usize = 32 * 1024;
const MAX_HEAD_BYTES_HTTP2: u32 = 16 * 1024;
/// Most requests and unread answers on one HTTP/2 connection.
const MAX_STREAMS: u32 = 16;
/// Most bytes of request bodies that an HTTP/2 peer may send before a handler has read them.
const HTTP2_WINDOW_BYTES: u32 = 64 * 1024;

/// What all connections of a server share.
pub(super) struct Shared {
    pub endpoint: BoxEndpoint<'static, Response>,
    pub limits: Limits,
    pub trusted_proxies: TrustedProxies,
    pub shutdown: CancellationToken,
    /// Cancelled when the time limit of the shutdown has passed. The remaining connections are cut then.
    pub cut: CancellationToken,
    /// The connections and the handlers. A handler may outlive its connection.
    pub tasks: TaskTracker,
    pub requests: RequestBudgets,
    /// The memory of all request bodies, in bytes.
    pub bodies: Arc<Semaphore>,
    pub answers: AnswerBudget,
    pub refusals: Arc<RefusalLog>,
    /// Counts the requests that do not come to the endpoint.
    pub metrics: Option<Arc<Metrics>>,
}

/// A connection of one peer.
pub(super) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    usage: Arc<Usage>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, peer: SocketAddr, usage: Arc<Usage>) -> Arc<Self> {
        Arc::new(Self {
            shared,
            peer,
            usage,
        })
    }

    /// Serves the connection to its end.
    pub(super) async fn run(self: Arc<Self>, stream: TcpStream, place: &Place) {
        // Without TCP_NODELAY, small answers may wait for the peer's delayed acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let local = stream.local_addr().unwrap_or(self.peer);
        let socket = Socket::new(stream, Arc::clone(&self.usage));
        let service = service_fn(|request| {
            let connection = Arc::clone(&self);
            async move { Ok::<_, Infallible>(connection.answer(request, local).await) }
        });
        let protocol = protocol(&self.shared.limits);
        let mut serving = pin!(protocol.serve_connection(TokioIo::new(socket), service));
        let shutdown = &self.shared.shutdown;
        let ended = tokio::select! {
            ended = serving.as_mut() => Some(ended),
            () = place.evicted() => return,
            reason = self.usage.must_end() => match reason {
                EndReason::Idle => None,
                EndReason::UnreadAnswer => return self.tell_unread(),
            },
            () = sleep(self.shared.limits.age) => {
                serving.as_mut().graceful_shutdown();
                // What is under way goes on, with the limits that it has anyway.
                tokio::select! {
                    ended = serving.as_mut() => Some(ended),
                    () = place.evicted() => return,
                    _ = self.usage.must_end() => None,
                    () = shutdown.cancelled() => None,
                }
            }
            () = shutdown.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = serving.as_mut() => ended,
                    () = self.usage.no_request_for(self.shared.limits.drain_grace) => return,
                    () = place.evicted() => return,
                    () = self.shared.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, error, "a connection ended early");
        }
    }

    fn tell_unread(&self) {
        tracing::info!(
            peer = %self.peer,
            "closed a connection: the peer did not read an answer within the limit"
        );
    }

    async fn answer(
        self: Arc<Self>,
        mut request: http::Request<Incoming>,
        local: SocketAddr,
    ) -> http::Response<impl Body<Data = Bytes, Error = io::Error> + use<>> {
        let _under_way = self.usage.begin_request();
        let id = correlation::id_for(request.headers());
        correlation::set(request.headers_mut(), &id);
        let client = self
            .shared
            .trusted_proxies
            .client(self.peer.ip(), request.headers());
        let answer = self.response(request, local, client, &id).await;
        if answer.data::<Authenticated>().is_some() {
            self.usage.was_useful();
        }
        let answer = http::Response::from(answer);
        let (answer, bytes) = match self.shared.answers.take(&answer) {
            Ok(bytes) => (answer, bytes),
            Err(_) => {
                self.shared.refusals.note(Refusal::Answers, client);
                let detail = "Too many answers wait to be read. This one may have been completed.";
                (self.refuse(busy(detail), &id).into(), None)
            }
        };
        let unread = self.usage.begin_answer();
        answer.map(|body| AnswerBody::new(body, bytes, unread))
    }

    /// Runs the endpoint in a task of its own, so that neither a peer that disconnects nor a time-out drops a handler
    /// in the middle of its transaction.
    async fn response(
        &self,
        request: http::Request<Incoming>,
        local: SocketAddr,
        client: IpAddr,
        id: &str,
    ) -> Response {
        if !has_one_host(&request) {
            return self.refuse(Problem::bad_field("host", "must be given once"), id);
        }
        let Some((request, held)) = self.admit(request, local, client) else {
            self.shared.refusals.note(Refusal::Requests, client);
            return self.refuse(busy("Too many requests are under way."), id);
        };
        let handler = self
            .shared
            .tasks
            .spawn(handle(Arc::clone(&self.shared), request, held));
        match timeout(self.shared.limits.request, handler).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(request_id = %id, %error, "answered with 500: the handler's task failed");
                self.refuse(Problem::opaque(StatusCode::INTERNAL_SERVER_ERROR), id)
            }
            Err(_) => {
                tracing::warn!(request_id = %id, "answered with 503: the request took too long");
                let detail = "The request took too long. It may still be completed.";
                self.refuse(busy(detail), id)
            }
        }
    }

    /// Makes poem's request, with a place in the budget of its class. A request with a body takes that place when the
    /// body is complete. `None` if there is no place.
    fn admit(
        &self,
        request: http::Request<Incoming>,
        local: SocketAddr,
        client: IpAddr,
    ) -> Option<(Request, Arc<Mutex<Held>>)> {
        let shared = &self.shared;
        let class = CallerClass::of(request.method(), request.uri().path(), request.headers());
        let budget = shared.requests.of(class);
        let local = LocalAddr(local.into());
        let remote = RemoteAddr(self.peer.into());
        let mut request = Request::from((request, local, remote, Scheme::HTTP));
        request.set_data(ClientAddress(client));
        let unlimited = request.take_body();
        let held = Arc::new(Mutex::new(Held::default()));
        if unlimited.is_empty() {
            let permit = budget.take(client)?;
            *held.lock() = Held::handled(permit, self.usage.begin_handling());
            request.set_body(unlimited);
        } else {
            let place = shared.requests.receiving().enter(client);
            let given_up = place.given_up();
            *held.lock() = Held::receiving(place);
            let needs = BodyNeeds {
                memory: Arc::clone(&shared.bodies),
                budget: Arc::clone(budget),
                client,
                held: Arc::clone(&held),
                given_up,
                refusals: Arc::clone(&shared.refusals),
                usage: Arc::clone(&self.usage),
            };
            request.set_body(body::limited(unlimited, &shared.limits, needs));
        }
        Some((request, held))
    }

    /// Answers without the endpoint and its middleware.
    fn refuse(&self, problem: Problem, id: &str) -> Response {
        if let Some(metrics) = &self.shared.metrics {
            metrics
                .http
                .refused(NO_OPERATION, problem.status().as_u16());
        }
        let mut response = problem.with_request_id(id).into_response();
        correlation::set(response.headers_mut(), id);
        response
    }
}

async fn handle(shared: Arc<Shared>, request: Request, held: Arc<Mutex<Held>>) -> Response {
    let response = shared.endpoint.get_response(request).await;
    drop(held);
    response
}

/// Whether a request of HTTP/1.1 has exactly one `Host` (RFC 9112, 3.2). A proxy that reads two of them in another order
/// would route a request by one and log the other.
fn has_one_host<B>(request: &http::Request<B>) -> bool {
    request.version() != Version::HTTP_11
        || request.headers().get_all(header::HOST).iter().count() == 1
}

fn busy(detail: &str) -> Problem {
    Problem::unavailable(detail, BUSY_RETRY_AFTER)
}

fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper's time starts at the end of the previous request, so our own limits take effect first.
        .header_read_timeout(limits.idle + limits.head)
        .max_buf_size(MAX_HEAD_BYTES_HTTP1);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .max_header_list_size(MAX_HEAD_BYTES_HTTP2);
    builder
}

//! One peer's connection, and the requests on it.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{StatusCode, uri::Scheme};
use hyper::{
    body::{Body, Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use poem::{
    Endpoint, IntoResponse, Request, Response,
    endpoint::BoxEndpoint,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    answer::{AnswerBody, AnswerBudget},
    body, correlation,
    limits::Limits,
    problem::Problem,
    usage::{EndReason, Usage},
};

/// Most bytes of one request's head, for HTTP/1 and for HTTP/2.
const MAX_HEAD_BYTES_HTTP1: usize = 32 * 1024;
const MAX_HEAD_BYTES_HTTP2: u32 = 16 * 1024;
/// Most requests and unread answers on one HTTP/2 connection.
const MAX_STREAMS: u32 = 32;
/// How long a client is told to wait when there are too many requests, or when its own took too long.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What all connections of a server share.
pub(super) struct Shared {
    pub endpoint: BoxEndpoint<'static, Response>,
    pub limits: Limits,
    pub shutdown: CancellationToken,
    /// Cancelled when the time limit of the shutdown has passed. The remaining connections are cut then.
    pub cut: CancellationToken,
    /// The connections and the handlers. A handler may outlive its connection.
    pub tasks: TaskTracker,
    pub requests: Arc<Semaphore>,
    pub answers: AnswerBudget,
}

/// A connection of one peer.
pub(super) struct Connection {
    shared: Arc<Shared>,
    peer: SocketAddr,
    usage: Arc<Usage>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, peer: SocketAddr) -> Arc<Self> {
        let usage = Usage::new(shared.limits);
        Arc::new(Self {
            shared,
            peer,
            usage,
        })
    }

    /// Serves the connection to its end.
    pub(super) async fn run(self: Arc<Self>, stream: TcpStream) {
        // Without TCP_NODELAY, small answers may wait for the peer's delayed acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let local = stream.local_addr().unwrap_or(self.peer);
        let socket = Socket {
            stream,
            usage: Arc::clone(&self.usage),
        };
        let service = service_fn(|request| {
            let connection = Arc::clone(&self);
            async move { Ok::<_, Infallible>(connection.answer(request, local).await) }
        });
        let protocol = protocol(&self.shared.limits);
        let mut serving = pin!(protocol.serve_connection(TokioIo::new(socket), service));
        let ended = tokio::select! {
            ended = serving.as_mut() => Some(ended),
            reason = self.usage.must_end() => match reason {
                EndReason::Idle => None,
                EndReason::UnreadAnswer => {
                    tracing::info!(
                        peer = %self.peer,
                        "closed a connection: the peer did not read an answer within the limit"
                    );
                    return;
                }
            },
            () = self.shared.shutdown.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = serving.as_mut() => ended,
                    () = self.usage.no_request_for(self.shared.limits.drain_grace) => return,
                    () = self.shared.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, error, "a connection ended early");
        }
    }

    async fn answer(
        self: Arc<Self>,
        mut request: http::Request<Incoming>,
        local: SocketAddr,
    ) -> http::Response<impl Body<Data = Bytes, Error = io::Error> + use<>> {
        let _under_way = self.usage.begin_request();
        let id = correlation::id_for(request.headers());
        correlation::set(request.headers_mut(), &id);
        let answer = http::Response::from(self.response(request, local, &id).await);
        let (answer, bytes) = match self.shared.answers.take(&answer) {
            Ok(bytes) => (answer, bytes),
            Err(_) => {
                tracing::warn!(request_id = %id, "answered with 503: too many answers wait to be read");
                let detail = "Too many answers wait to be read. This one may have been completed.";
                (busy(detail, &id).into(), None)
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
        id: &str,
    ) -> Response {
        let Ok(permit) = Arc::clone(&self.shared.requests).try_acquire_owned() else {
            tracing::warn!(request_id = %id, "answered with 503: too many requests are under way");
            return busy("Too many requests are under way.", id);
        };
        let request = self.to_poem(request, local);
        let handler = self
            .shared
            .tasks
            .spawn(handle(Arc::clone(&self.shared), request, permit));
        match timeout(self.shared.limits.request, handler).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(request_id = %id, %error, "answered with 500: the handler's task failed");
                let problem = Problem::opaque(StatusCode::INTERNAL_SERVER_ERROR);
                without_endpoint(problem, id)
            }
            Err(_) => {
                tracing::warn!(request_id = %id, "answered with 503: the request took too long");
                busy("The request took too long. It may still be completed.", id)
            }
        }
    }

    fn to_poem(&self, request: http::Request<Incoming>, local: SocketAddr) -> Request {
        let local = LocalAddr(local.into());
        let remote = RemoteAddr(self.peer.into());
        let mut request = Request::from((request, local, remote, Scheme::HTTP));
        let unlimited = request.take_body();
        request.set_body(if unlimited.is_empty() {
            unlimited
        } else {
            body::limited(unlimited, &self.shared.limits)
        });
        request
    }
}

async fn handle(shared: Arc<Shared>, request: Request, _permit: OwnedSemaphorePermit) -> Response {
    shared.endpoint.get_response(request).await
}

fn busy(detail: &str, id: &str) -> Response {
    without_endpoint(Problem::unavailable(detail, BUSY_RETRY_AFTER), id)
}

/// Makes an answer without the endpoint and its middleware.
fn without_endpoint(problem: Problem, id: &str) -> Response {
    let mut response = problem.with_request_id(id).into_response();
    correlation::set(response.headers_mut(), id);
    response
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
        .max_header_list_size(MAX_HEAD_BYTES_HTTP2);
    builder
}

/// The peer's socket. It reports to the connection's usage when bytes arrive.
struct Socket {
    stream: TcpStream,
    usage: Arc<Usage>,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.usage.bytes_came();
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

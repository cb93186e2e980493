//! The accept loop. poem's own server has no time-out for request headers; here no connection and
//! no request lasts longer than its limit, whatever the peer does.

use std::{
    convert::Infallible,
    fmt, io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt, stream::BoxStream};
use http::{StatusCode, uri::Scheme};
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use poem::{
    Body, Endpoint, EndpointExt, IntoResponse, Request, Response,
    endpoint::BoxEndpoint,
    web::{LocalAddr, RemoteAddr},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    problem::{Problem, source_of},
    request_id,
};

/// The first and the longest pause after a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE_MIN: Duration = Duration::from_millis(10);
const ACCEPT_PAUSE_MAX: Duration = Duration::from_secs(1);
/// Bytes of one request's head, HTTP/1 and HTTP/2.
const MAX_HEAD_BYTES_HTTP1: usize = 32 * 1024;
const MAX_HEAD_BYTES_HTTP2: u32 = 16 * 1024;
/// Requests under way on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// What a client is told to wait when there are too many requests, or its own took too long.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// What one peer, and all of them together, may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// Requests being handled, over all connections; further ones are answered with 503.
    pub requests: usize,
    /// From the accept to the head of the first request: for silent peers.
    pub first_request: Duration,
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// For a request's body, from its head on.
    pub body: Duration,
    /// The largest body. A route may allow less.
    pub body_bytes: usize,
    /// From a request's head to the head of its answer. The handler is not stopped (it may be in a
    /// transaction), but its client need not wait for it any longer.
    pub request: Duration,
    /// A connection without any request under way is closed after this; an answer must have been
    /// read by then. Longer than the 60 s for which load balancers keep theirs (ALB, nginx), so
    /// that they never send a request into a connection that we are closing.
    pub idle: Duration,
    /// How long a connection may take to end once it was asked to, with no request under way.
    pub goodbye: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            requests: 1024,
            first_request: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            body_bytes: 1024 * 1024,
            request: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            goodbye: Duration::from_secs(2),
        }
    }
}

/// Serves `endpoint` until `shutdown` is cancelled, then takes no more connections and returns when
/// all requests are answered, or after `limit`. Connections still open then are cut.
pub async fn serve(
    listener: TcpListener,
    endpoint: impl Endpoint + 'static,
    shutdown: CancellationToken,
    limit: Duration,
) {
    serve_with(listener, endpoint, shutdown, limit, Limits::default()).await;
}

/// Like [`serve`], with other limits.
pub async fn serve_with(
    listener: TcpListener,
    endpoint: impl Endpoint + 'static,
    shutdown: CancellationToken,
    limit: Duration,
    limits: Limits,
) {
    let server = Arc::new(Server {
        endpoint: endpoint.map_to_response().boxed(),
        limits,
        shutdown: shutdown.clone(),
        cut: CancellationToken::new(),
        tasks: TaskTracker::new(),
        requests: Arc::new(Semaphore::new(limits.requests)),
    });
    shutdown
        .run_until_cancelled(accept_loop(&server, &listener))
        .await;
    drop(listener);
    server.tasks.close();
    if timeout(limit, server.tasks.wait()).await.is_err() {
        let left = server.tasks.len();
        tracing::warn!(
            left,
            "connections or requests outlasted the shutdown; cutting them"
        );
    }
    server.cut.cancel();
}

/// What all connections share.
struct Server {
    endpoint: BoxEndpoint<'static, Response>,
    limits: Limits,
    shutdown: CancellationToken,
    /// Cancelled when the shutdown's own limit has passed.
    cut: CancellationToken,
    /// Connections, and handlers, which may outlive theirs.
    tasks: TaskTracker,
    requests: Arc<Semaphore>,
}

async fn accept_loop(server: &Arc<Server>, listener: &TcpListener) {
    let places = Arc::new(Semaphore::new(server.limits.connections));
    let mut pause = ACCEPT_PAUSE_MIN;
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = ACCEPT_PAUSE_MIN;
                let connection = Connection::new(Arc::clone(server), peer);
                server.tasks.spawn(async move {
                    connection.run(stream).await;
                    drop(place);
                });
            }
            Err(error) if concerns_one_peer(&error) => {
                tracing::debug!(%error, "a connection was gone before it was accepted");
            }
            Err(error) => {
                tracing::warn!(%error, pause_ms = pause.as_millis(), "cannot accept connections");
                sleep(pause).await;
                pause = (pause * 2).min(ACCEPT_PAUSE_MAX);
            }
        }
    }
}

fn concerns_one_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// One peer's connection, shared by the requests on it.
struct Connection {
    server: Arc<Server>,
    peer: SocketAddr,
    activity: Mutex<Activity>,
    /// Told when `idle_until` or the need for it changed.
    changed: Notify,
}

/// Whether the connection is in use, and until when it may stay if it is not.
struct Activity {
    under_way: usize,
    idle_until: Instant,
    /// Bytes of a next request have come.
    head_begun: bool,
}

impl Connection {
    fn new(server: Arc<Server>, peer: SocketAddr) -> Arc<Self> {
        let idle_until = Instant::now() + server.limits.first_request;
        let activity = Activity {
            under_way: 0,
            idle_until,
            head_begun: false,
        };
        Arc::new(Self {
            server,
            peer,
            activity: Mutex::new(activity),
            changed: Notify::new(),
        })
    }

    async fn run(self: Arc<Self>, stream: TcpStream) {
        // Without it, small answers may wait for the peer's delayed acknowledgements.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let local = stream.local_addr().unwrap_or(self.peer);
        let socket = Socket {
            stream,
            connection: Arc::clone(&self),
        };
        let service = service_fn(|request| {
            let connection = Arc::clone(&self);
            async move {
                Ok::<http::Response<_>, Infallible>(connection.answer(request, local).await.into())
            }
        });
        let protocol = protocol(&self.server.limits);
        let mut serving = pin!(protocol.serve_connection(TokioIo::new(socket), service));
        let ended = tokio::select! {
            ended = serving.as_mut() => Some(ended),
            () = self.idle() => None,
            () = self.server.shutdown.cancelled() => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                serving.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = serving.as_mut() => ended,
                    () = self.unused_for(self.server.limits.goodbye) => return,
                    () = self.server.cut.cancelled() => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, error, "a connection ended early");
        }
    }

    /// Returns when the connection has had no request under way for as long as it may.
    async fn idle(&self) {
        loop {
            let until =
                self.activity(|activity| (activity.under_way == 0).then_some(activity.idle_until));
            match until {
                Some(until) if until <= Instant::now() => return,
                // Woken or not, the next round looks again.
                Some(until) => drop(timeout_at(until, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// Bytes from the peer, when no request is under way, are the beginning of a head.
    fn bytes_came(&self) {
        let head_until = Instant::now() + self.server.limits.head;
        self.activity(|activity| {
            if activity.under_way == 0 && !activity.head_begun {
                activity.head_begun = true;
                activity.idle_until = activity.idle_until.min(head_until);
                self.changed.notify_one();
            }
        });
    }

    /// Returns when, from now on, there was no request under way for `time`.
    async fn unused_for(&self, time: Duration) {
        let mut unused_since = Instant::now();
        while unused_since.elapsed() < time {
            sleep(time.saturating_sub(unused_since.elapsed()).min(time / 4)).await;
            if self.activity(|activity| activity.under_way > 0) {
                unused_since = Instant::now();
            }
        }
    }

    fn activity<T>(&self, look: impl FnOnce(&mut Activity) -> T) -> T {
        look(&mut self.activity.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs the endpoint in a task of its own: a peer that goes away, or a time-out, must not drop
    /// a handler in the middle of its transaction.
    async fn answer(
        self: Arc<Self>,
        request: http::Request<Incoming>,
        local: SocketAddr,
    ) -> Response {
        let _under_way = UnderWay::begin(&self);
        let mut request = request;
        let id = request_id::id_for(request.headers());
        request_id::set(request.headers_mut(), &id);
        let Ok(place) = Arc::clone(&self.server.requests).try_acquire_owned() else {
            tracing::warn!(request_id = %id, "too many requests at once");
            return busy("Too many requests are under way.", &id);
        };
        let request = self.to_poem(request, local);
        let handler = self
            .server
            .tasks
            .spawn(handle(Arc::clone(&self.server), request, place));
        match timeout(self.server.limits.request, handler).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                tracing::error!(request_id = %id, %error, "a handler was lost");
                let problem = Problem::opaque(StatusCode::INTERNAL_SERVER_ERROR);
                out_of_band(problem, &id)
            }
            Err(_) => {
                tracing::warn!(request_id = %id, "a request took too long to answer");
                busy("The request took too long. It may still be completed.", &id)
            }
        }
    }

    fn to_poem(&self, request: http::Request<Incoming>, local: SocketAddr) -> Request {
        let local = LocalAddr(local.into());
        let remote = RemoteAddr(self.peer.into());
        let mut request = Request::from((request, local, remote, Scheme::HTTP));
        let body = request.take_body();
        request.set_body(if body.is_empty() {
            body
        } else {
            limited(body, &self.server.limits)
        });
        request
    }
}

async fn handle(server: Arc<Server>, request: Request, _place: OwnedSemaphorePermit) -> Response {
    server.endpoint.get_response(request).await
}

/// Counts a request of its connection for as long as it lives.
struct UnderWay<'a> {
    connection: &'a Connection,
}

impl<'a> UnderWay<'a> {
    fn begin(connection: &'a Connection) -> Self {
        connection.activity(|activity| {
            activity.under_way += 1;
            activity.head_begun = false;
        });
        Self { connection }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let idle_until = Instant::now() + self.connection.server.limits.idle;
        self.connection.activity(|activity| {
            activity.under_way -= 1;
            activity.idle_until = idle_until;
        });
        self.connection.changed.notify_one();
    }
}

/// The peer's socket, which tells its connection when bytes come.
struct Socket {
    stream: TcpStream,
    connection: Arc<Connection>,
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
            self.connection.bytes_came();
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

fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // hyper counts from the end of the request before, so this is the rest behind our own.
        .header_read_timeout(limits.idle + limits.head)
        .max_buf_size(MAX_HEAD_BYTES_HTTP1);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES_HTTP2);
    builder
}

fn busy(detail: &str, id: &str) -> Response {
    out_of_band(Problem::unavailable(detail, BUSY_RETRY_AFTER), id)
}

/// An answer that the endpoint, with its middleware, has no part in.
fn out_of_band(problem: Problem, id: &str) -> Response {
    let mut response = problem.with_request_id(id).into_response();
    request_id::set(response.headers_mut(), id);
    response
}

/// Why a body is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyRefused {
    TooLarge,
    TooSlow,
}

impl BodyRefused {
    /// Finds the reason in what poem made of it.
    pub(super) fn behind(error: &io::Error) -> Option<Self> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref::<Self>() {
                return Some(*refused);
            }
            next = source_of(error);
        }
        None
    }
}

impl fmt::Display for BodyRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "The body is too large.",
            Self::TooSlow => "The body did not arrive in time.",
        })
    }
}

impl std::error::Error for BodyRefused {}

/// The same body, which fails when it grows too large or has not arrived in time.
fn limited(body: Body, limits: &Limits) -> Body {
    Body::from_bytes_stream(LimitedBody {
        chunks: Some(body.into_bytes_stream().boxed()),
        bytes_left: limits.body_bytes,
        deadline: Box::pin(sleep(limits.body)),
    })
}

struct LimitedBody {
    /// None after the end, or a failure.
    chunks: Option<BoxStream<'static, io::Result<Bytes>>>,
    bytes_left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl LimitedBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some(chunks) = &mut self.chunks else {
            return Poll::Ready(None);
        };
        let chunk = match chunks.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(chunk))) => chunk,
            Poll::Ready(end) => return Poll::Ready(end),
            Poll::Pending => {
                return self.deadline.as_mut().poll(cx).map(|()| {
                    Some(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        BodyRefused::TooSlow,
                    )))
                });
            }
        };
        Poll::Ready(Some(match self.bytes_left.checked_sub(chunk.len()) {
            Some(left) => {
                self.bytes_left = left;
                Ok(chunk)
            }
            None => Err(io::Error::other(BodyRefused::TooLarge)),
        }))
    }
}

impl Stream for LimitedBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_chunk(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.chunks = None;
        }
        polled
    }
}

/// A handler that answers before the end of the body (413, 401) must not cut the peer short: closing
/// a socket with unread bytes resets it, and the answer is lost. So the rest is read, within the
/// limits, and thrown away.
impl Drop for LimitedBody {
    fn drop(&mut self) {
        let Some(chunks) = self.chunks.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let deadline = self.deadline.deadline();
        let bytes_left = self.bytes_left;
        runtime.spawn(async move {
            let rest = LimitedBody {
                chunks: Some(chunks),
                bytes_left,
                deadline: Box::pin(sleep_until(deadline)),
            };
            rest.for_each(|_| std::future::ready(())).await;
        });
    }
}

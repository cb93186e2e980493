//! The edge of the service as a peer meets it: the server's limits, credentials, and Clerk's keys.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use lethe::http::{
    access::{AdminAuth, SessionOrAdminAuth, declare_roles},
    admin_tokens::AdminTokens,
    answer::SharedBody,
    credentials::{Authenticator, Caller},
    json_body::JsonBody,
    jwks::JwksTiming,
    limits::{Limits, RequestLimits},
    problem::{Problem, Problems},
    request_id::RequestId,
    server::serve,
    session::{SessionConfig, SessionError, SessionVerifier},
    session_keys::SessionKeys,
};
use lethe::telemetry::metrics::Metrics;
use lethe::vocabulary::Role;
use poem::{Body, EndpointExt, Response, Route, get, handler, post};
use poem_openapi::{Object, OpenApi, OpenApiService, param::Query, payload::PlainText};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

const KEY: &str = include_str!("fixtures/session-key.pem");
const PUBLIC_KEY: &str = include_str!("fixtures/session-key.pub.pem");
const OTHER_KEY: &str = include_str!("fixtures/other-key.pem");

/// Far longer than anything here should take, far shorter than a hang.
const PATIENCE: Duration = Duration::from_secs(10);

fn short_limits() -> Limits {
    Limits {
        first_request: Duration::from_millis(300),
        head: Duration::from_millis(300),
        body: Duration::from_millis(300),
        body_bytes: 64 * 1024,
        request: Duration::from_millis(1500),
        idle: Duration::from_millis(600),
        drain_grace: Duration::from_millis(200),
        ..Limits::default()
    }
}

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl Running {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Ends the server and tells how long that took.
    async fn stop(self) -> Duration {
        let begun = Instant::now();
        self.shutdown.cancel();
        timeout(PATIENCE, self.server)
            .await
            .expect("the server hangs")
            .unwrap();
        begun.elapsed()
    }
}

async fn start(endpoint: impl poem::Endpoint + 'static, limits: Limits) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    let limit = Duration::from_secs(2);
    let server = tokio::spawn(serve(listener, endpoint, stop, limit, limits.into()));
    Running {
        address,
        shutdown,
        server,
    }
}

#[handler]
fn hello() -> &'static str {
    "hello"
}

#[handler]
async fn swallow(body: Body) -> poem::Result<String> {
    Ok(body.into_bytes_limit(1024).await?.len().to_string())
}

fn routes() -> impl poem::Endpoint {
    Route::new()
        .at("/", get(hello))
        .at("/swallow", post(swallow))
        .with(RequestId)
}

/// What the peer sends until it closes, and after how long it did.
async fn read_to_close(stream: &mut TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    // A reset is a way of closing, too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut bytes))
        .await
        .expect("never closed");
    (
        String::from_utf8_lossy(&bytes).into_owned(),
        begun.elapsed(),
    )
}

/// One answer with a `content-length`, from a connection that stays open.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .unwrap()
            .unwrap();
        assert!(
            count > 0,
            "closed after {:?}",
            String::from_utf8_lossy(&answer)
        );
        answer.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |length| length.parse::<usize>().unwrap());
        if body.len() >= length {
            return text;
        }
    }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let running = start(routes(), short_limits()).await;
    let (answer, after) = read_to_close(&mut running.connect().await).await;
    assert_eq!(answer, "");
    assert!(after < Duration::from_secs(2), "{after:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_head_that_drips_is_cut_off() {
    let running = start(routes(), short_limits()).await;
    for beginning in ["GET / HTTP/1.1\r\nhost: x\r\n", "PRI * HTTP/2.0\r\n", "G"] {
        let (mut reader, mut writer) = running.connect().await.into_split();
        writer.write_all(beginning.as_bytes()).await.unwrap();
        let drip = tokio::spawn(async move {
            while writer.write_all(b"a").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        });
        let begun = Instant::now();
        let mut bytes = Vec::new();
        let _ = timeout(PATIENCE, reader.read_to_end(&mut bytes))
            .await
            .expect("never closed");
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{beginning}: {:?}",
            begun.elapsed()
        );
        drip.abort();
    }
    running.stop().await;
}

#[tokio::test]
async fn a_second_head_that_drips_is_cut_off_before_the_idle_limit() {
    let limits = Limits {
        idle: Duration::from_secs(8),
        ..short_limits()
    };
    let running = start(routes(), limits).await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_answer(&mut stream).await;
    stream.write_all(b"GET / HT").await.unwrap();
    let (_, after) = read_to_close(&mut stream).await;
    assert!(after < Duration::from_secs(3), "{after:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_stalls_is_answered_with_408() {
    let running = start(routes(), short_limits()).await;
    let mut stream = running.connect().await;
    let head = "POST /swallow HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nten bytes.";
    stream.write_all(head.as_bytes()).await.unwrap();
    let (answer, after) = read_to_close(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(after < Duration::from_secs(2), "{after:?}");
    running.stop().await;
}

#[tokio::test]
async fn a_body_over_the_route_s_limit_is_answered_with_413_though_it_was_sent_whole() {
    let running = start(routes(), short_limits()).await;
    for size in [1025, 60_000] {
        let answer = reqwest::Client::new()
            .post(running.url("/swallow"))
            .body("x".repeat(size))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 413);
        assert_eq!(answer.json::<Value>().await.unwrap()["status"], 413);
    }
    let whole = reqwest::Client::new()
        .post(running.url("/swallow"))
        .body("x".repeat(1024));
    assert_eq!(whole.send().await.unwrap().text().await.unwrap(), "1024");
    running.stop().await;
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_and_closed_when_idle() {
    let running = start(routes(), short_limits()).await;
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(read_answer(&mut stream).await.ends_with("hello"));
        // Longer than a head may take: the pause between requests is not part of a head.
        sleep(Duration::from_millis(400)).await;
    }
    let (_, after) = read_to_close(&mut stream).await;
    assert!(after < Duration::from_secs(2), "{after:?}");
    running.stop().await;
}

#[tokio::test]
async fn http_2_without_upgrade_is_served_too() {
    let running = start(routes(), short_limits()).await;
    let mut stream = running.connect().await;
    // The preface and an empty SETTINGS frame; the answer begins with the server's own SETTINGS.
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut frame = [0; 9];
    timeout(PATIENCE, stream.read_exact(&mut frame))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(frame[3], 4, "not a SETTINGS frame");
    let (_, after) = read_to_close(&mut stream).await;
    assert!(after < Duration::from_secs(2), "{after:?}");
    running.stop().await;
}

#[tokio::test]
async fn over_the_connection_limit_a_silent_peer_gives_its_place_to_a_new_one() {
    let limits = Limits {
        connections: 1,
        ..short_limits()
    };
    let running = start(routes(), limits).await;
    let mut silent = running.connect().await;
    let answer = reqwest::get(running.url("/")).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello");
    assert_eq!(read_to_close(&mut silent).await.0, "");
    running.stop().await;
}

/// Handlers that wait for `go`, and are counted when they begin and when they end.
#[derive(Clone, Default)]
struct Gate {
    go: Arc<Notify>,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Gate {
    fn endpoint(&self) -> impl poem::Endpoint + use<> {
        let gate = self.clone();
        poem::endpoint::make(move |_| {
            let gate = gate.clone();
            async move {
                gate.begun.fetch_add(1, Ordering::SeqCst);
                gate.go.notified().await;
                gate.ended.fetch_add(1, Ordering::SeqCst);
                Ok::<_, poem::Error>("through")
            }
        })
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn too_many_requests_at_once_are_told_to_come_back() {
    let gate = Gate::default();
    let running = start(gate.endpoint(), one_anonymous_place()).await;
    let first = tokio::spawn(reqwest::get(running.url("/")));
    until("the first request is inside", || {
        gate.begun.load(Ordering::SeqCst) == 1
    })
    .await;
    let second = reqwest::get(running.url("/")).await.unwrap();
    assert_eq!(second.status(), 503);
    assert!(second.headers().contains_key("retry-after"));
    let id = second.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    assert_eq!(second.json::<Value>().await.unwrap()["requestId"], id);
    gate.go.notify_one();
    assert_eq!(
        first.await.unwrap().unwrap().text().await.unwrap(),
        "through"
    );
    running.stop().await;
}

/// A budget of one place for anonymous callers.
fn one_anonymous_place() -> Limits {
    Limits {
        requests: RequestLimits {
            anonymous: 1,
            ..RequestLimits::default()
        },
        ..short_limits()
    }
}

#[tokio::test]
async fn anonymous_callers_take_no_place_of_others() {
    let gate = Gate::default();
    let running = start(gate.endpoint(), one_anonymous_place()).await;
    let client = reqwest::Client::new();
    let send = |request: reqwest::RequestBuilder| tokio::spawn(request.send());
    let first = send(client.get(running.url("/health/ready")));
    until("the first request is inside", || {
        gate.begun.load(Ordering::SeqCst) == 1
    })
    .await;
    let second = client.get(running.url("/health/ready")).send().await;
    assert_eq!(second.unwrap().status(), 503);
    let others = [
        send(client.post(running.url("/webhooks/clerk"))),
        send(client.get(running.url("/samples/1")).bearer_auth("x")),
        send(client.get(running.url("/admin/stats")).bearer_auth("x")),
    ];
    until("the others are inside", || {
        gate.begun.load(Ordering::SeqCst) == 4
    })
    .await;
    gate.go.notify_waiters();
    for answer in others.into_iter().chain([first]) {
        assert_eq!(answer.await.unwrap().unwrap().status(), 200);
    }
    running.stop().await;
}

#[tokio::test]
async fn a_request_takes_its_place_only_when_its_body_has_come() {
    let running = start(routes(), one_anonymous_place()).await;
    let mut slow = Vec::new();
    for _ in 0..5 {
        let mut stream = running.connect().await;
        let head = "POST /swallow HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    // Answered, while five bodies are on their way.
    let quick = reqwest::Client::new().post(running.url("/swallow"));
    let answer = quick.body("123").send().await.unwrap();
    assert_eq!(answer.status(), 200);
    slow[0].write_all(b"67890").await.unwrap();
    assert!(read_answer(&mut slow[0]).await.ends_with("10"));
    running.stop().await;
}

#[tokio::test]
async fn a_body_that_never_ends_loses_its_place_to_a_new_request() {
    let limits = Limits {
        requests: RequestLimits {
            receiving: 4,
            ..RequestLimits::default()
        },
        body: Duration::from_secs(8),
        ..short_limits()
    };
    let running = start(routes(), limits).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = running.connect().await;
        let head = "POST /swallow HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345";
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
        sleep(Duration::from_millis(100)).await;
    }
    // One client has half of the places, and both are taken.
    let quick = reqwest::Client::new().post(running.url("/swallow"));
    assert_eq!(quick.body("123").send().await.unwrap().status(), 200);
    let answer = read_answer(&mut slow[0]).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    slow[1].write_all(b"67890").await.unwrap();
    assert!(read_answer(&mut slow[1]).await.ends_with("10"));
    running.stop().await;
}

#[tokio::test]
async fn the_memory_of_bodies_that_are_on_their_way_is_bounded() {
    let limits = Limits {
        all_bodies_bytes: 40 * 1024,
        body: Duration::from_secs(5),
        ..short_limits()
    };
    let endpoint = post(swallow_all).with(RequestId);
    let running = start(endpoint, limits).await;
    let mut stream = running.connect().await;
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 45000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&[b'x'; 44_000]).await.unwrap();
    // The first KiBs of each body are free, so small ones always pass.
    let client = reqwest::Client::new();
    let send = async |size: usize| {
        let request = client.post(running.url("/")).body("x".repeat(size));
        request.send().await.unwrap().status().as_u16()
    };
    let begun = Instant::now();
    while send(20_000).await != 503 {
        assert!(begun.elapsed() < PATIENCE, "the bytes were never counted");
    }
    assert_eq!(send(8_000).await, 200);
    stream.write_all(&[b'x'; 1_000]).await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("45000"));
    assert_eq!(send(20_000).await, 200);
    running.stop().await;
}

#[handler]
async fn swallow_all(body: Body) -> poem::Result<String> {
    Ok(body.into_bytes().await?.len().to_string())
}

#[tokio::test]
async fn a_connection_ends_at_its_greatest_age_after_the_request_that_is_under_way() {
    let gate = Gate::default();
    let limits = Limits {
        age: Duration::from_millis(400),
        idle: Duration::from_secs(60),
        ..short_limits()
    };
    let running = start(gate.endpoint(), limits).await;
    let mut stream = running.connect().await;
    let begun = Instant::now();
    let mut answers = 0;
    let head = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    while stream.write_all(head).await.is_ok() {
        until("the request is inside", || {
            gate.begun.load(Ordering::SeqCst) > answers
        })
        .await;
        sleep(Duration::from_millis(150)).await;
        gate.go.notify_one();
        let answer = read_answer(&mut stream).await;
        assert!(answer.ends_with("through"), "{answer}");
        answers += 1;
        if answer.to_lowercase().contains("connection: close") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the connection has no end");
    }
    assert!(begun.elapsed() >= Duration::from_millis(400), "{answers}");
    assert_eq!(read_to_close(&mut stream).await.0, "");
    running.stop().await;
}

#[tokio::test]
async fn a_request_of_http_1_1_has_one_host() {
    let running = start(routes(), short_limits()).await;
    for (hosts, status) in [
        ("", 400),
        ("host: a\r\nhost: b\r\n", 400),
        ("host: a\r\n", 200),
    ] {
        let mut stream = running.connect().await;
        let head = format!("GET / HTTP/1.1\r\n{hosts}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{answer}"
        );
    }
    running.stop().await;
}

/// What a proxy and Lethe could read in two ways is refused, or ends the connection, so that no second request hides in
/// the first.
#[tokio::test]
async fn a_request_whose_end_is_not_clear_brings_no_second_one() {
    let running = start(routes(), short_limits()).await;
    let hidden = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    for (headers, body) in [
        (
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            "0\r\n\r\n",
        ),
        ("content-length: 0\r\ncontent-length: 5\r\n", ""),
        ("content-length: +5\r\n", "12345"),
        ("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
    ] {
        let mut stream = running.connect().await;
        let request = format!("POST /swallow HTTP/1.1\r\nhost: x\r\n{headers}\r\n{body}{hidden}");
        stream.write_all(request.as_bytes()).await.unwrap();
        let (answers, _) = read_to_close(&mut stream).await;
        assert_eq!(
            answers.matches("HTTP/1.1 ").count(),
            1,
            "{headers}: {answers}"
        );
        assert!(!answers.contains("hello"), "{headers}: {answers}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_handler_outlives_its_time_out_and_its_peer() {
    let gate = Gate::default();
    let running = start(gate.endpoint(), short_limits()).await;
    let late = reqwest::get(running.url("/")).await.unwrap();
    assert_eq!(late.status(), 503);
    let mut gone = running.connect().await;
    gone.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    until("the second request is inside", || {
        gate.begun.load(Ordering::SeqCst) == 2
    })
    .await;
    drop(gone);
    sleep(Duration::from_millis(50)).await;
    gate.go.notify_waiters();
    until("both handlers ended", || {
        gate.ended.load(Ordering::SeqCst) == 2
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_during_the_shutdown() {
    let gate = Gate::default();
    let running = start(gate.endpoint(), short_limits()).await;
    let request = tokio::spawn(reqwest::get(running.url("/")));
    until("the request is inside", || {
        gate.begun.load(Ordering::SeqCst) == 1
    })
    .await;
    running.shutdown.cancel();
    sleep(Duration::from_millis(300)).await;
    assert!(
        TcpStream::connect(running.address).await.is_err(),
        "still accepting"
    );
    gate.go.notify_one();
    assert_eq!(
        request.await.unwrap().unwrap().text().await.unwrap(),
        "through"
    );
    running.stop().await;
}

#[tokio::test]
async fn the_shutdown_does_not_hang_on_peers_that_stay() {
    let long = Duration::from_secs(60);
    let limits = Limits {
        first_request: long,
        head: long,
        idle: long,
        ..short_limits()
    };
    let running = start(routes(), limits).await;
    let _silent = running.connect().await;
    let mut half = running.connect().await;
    half.write_all(b"GET / HTTP/1.1\r\nhost").await.unwrap();
    let mut kept = running.connect().await;
    kept.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    read_answer(&mut kept).await;
    let took = running.stop().await;
    assert!(took < Duration::from_millis(1500), "{took:?}");
}

#[tokio::test]
async fn the_shutdown_has_a_limit_even_if_a_handler_has_none() {
    let gate = Gate::default();
    let limits = Limits {
        request: Duration::from_secs(60),
        ..short_limits()
    };
    let running = start(gate.endpoint(), limits).await;
    let request = tokio::spawn(reqwest::get(running.url("/")));
    until("the request is inside", || {
        gate.begun.load(Ordering::SeqCst) == 1
    })
    .await;
    let took = running.stop().await;
    assert!(
        took >= Duration::from_secs(2) && took < Duration::from_secs(4),
        "{took:?}"
    );
    assert!(
        timeout(PATIENCE, request).await.unwrap().unwrap().is_err(),
        "not cut"
    );
}

// Answers that nobody reads.

const MIB: usize = 1024 * 1024;

/// The bytes of one answer, counted as long as they are in memory.
struct CountedBytes {
    bytes: Vec<u8>,
    in_memory: Arc<AtomicUsize>,
}

impl AsRef<[u8]> for CountedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for CountedBytes {
    fn drop(&mut self) {
        self.in_memory.fetch_sub(self.bytes.len(), Ordering::SeqCst);
    }
}

/// `/large` makes an answer of `size` bytes for each request, `/shared` answers with one text for all.
fn large_answers(size: usize, in_memory: &Arc<AtomicUsize>) -> impl poem::Endpoint + use<> {
    let in_memory = Arc::clone(in_memory);
    let large = poem::endpoint::make_sync(move |_| {
        in_memory.fetch_add(size, Ordering::SeqCst);
        Bytes::from_owner(CountedBytes {
            bytes: vec![b'x'; size],
            in_memory: Arc::clone(&in_memory),
        })
    });
    let shared = Bytes::from(vec![b'x'; size]);
    let shared = poem::endpoint::make_sync(move |_| {
        Response::builder()
            .extension(SharedBody)
            .body(shared.clone())
    });
    Route::new()
        .at("/", get(hello))
        .at("/large", get(large))
        .at("/shared", get(shared))
        .with(RequestId)
}

/// An HTTP/2 connection whose peer never opens the window of a stream.
struct ClosedWindow {
    client: h2::client::SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    answers: Vec<h2::RecvStream>,
}

impl ClosedWindow {
    async fn connect(running: &Running) -> Self {
        let (client, connection) = h2::client::Builder::new()
            .initial_window_size(0)
            .handshake(running.connect().await)
            .await
            .unwrap();
        Self {
            client,
            connection: tokio::spawn(connection),
            answers: Vec::new(),
        }
    }

    /// Asks, reads the head of the answer, and leaves its body unread.
    async fn ask(&mut self, running: &Running, path: &str) -> u16 {
        let request = poem::http::Request::get(running.url(path))
            .body(())
            .unwrap();
        self.client = self.client.clone().ready().await.unwrap();
        let (answer, _) = self.client.send_request(request, true).unwrap();
        let (head, body) = timeout(PATIENCE, answer)
            .await
            .expect("no answer")
            .unwrap()
            .into_parts();
        self.answers.push(body);
        head.status.as_u16()
    }
}

#[tokio::test]
async fn answers_that_http_2_peers_do_not_read_are_bounded_in_memory_and_in_time() {
    let in_memory = Arc::new(AtomicUsize::new(0));
    let limits = Limits {
        answer_bytes: 8 * MIB,
        answer: Duration::from_millis(1500),
        ..short_limits()
    };
    let running = start(large_answers(MIB, &in_memory), limits).await;
    let mut peers = Vec::new();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        let mut peer = ClosedWindow::connect(&running).await;
        for _ in 0..10 {
            statuses.push(peer.ask(&running, "/large").await);
        }
        peers.push(peer);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 8);
    assert_eq!(statuses.iter().filter(|status| **status == 503).count(), 12);
    assert_eq!(in_memory.load(Ordering::SeqCst), 8 * MIB);

    // Small answers need no place in the budget, and neither does a text that all answers share.
    let small = reqwest::get(running.url("/")).await.unwrap();
    assert_eq!(small.text().await.unwrap(), "hello");
    assert_eq!(peers[0].ask(&running, "/shared").await, 200);
    let shared = reqwest::get(running.url("/shared")).await.unwrap();
    assert_eq!(shared.bytes().await.unwrap().len(), MIB);

    for peer in peers {
        let _ = timeout(PATIENCE, peer.connection)
            .await
            .expect("the connection stays although its answers are not read");
    }
    until("the unread answers are dropped", || {
        in_memory.load(Ordering::SeqCst) == 0
    })
    .await;
    let large = reqwest::get(running.url("/large")).await.unwrap();
    assert_eq!(large.bytes().await.unwrap().len(), MIB);
    running.stop().await;
}

#[tokio::test]
async fn answers_that_http_1_peers_do_not_read_are_bounded_in_memory_and_in_time() {
    // More than the kernel takes for a socket.
    let size = 32 * MIB;
    let in_memory = Arc::new(AtomicUsize::new(0));
    let limits = Limits {
        answer_bytes: 2 * size,
        answer: Duration::from_millis(1500),
        ..short_limits()
    };
    let running = start(large_answers(size, &in_memory), limits).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        let mut stream = running.connect().await;
        stream
            .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        silent.push(stream);
    }
    let refused = reqwest::get(running.url("/large")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert_eq!(in_memory.load(Ordering::SeqCst), 2 * size);
    let small = reqwest::get(running.url("/")).await.unwrap();
    assert_eq!(small.text().await.unwrap(), "hello");
    until("the unread answers are dropped", || {
        in_memory.load(Ordering::SeqCst) == 0
    })
    .await;
    for mut stream in silent {
        let (_, after) = read_to_close(&mut stream).await;
        assert!(after < Duration::from_secs(2), "{after:?}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_slow_reader_gets_its_whole_answer_within_the_limit() {
    let in_memory = Arc::new(AtomicUsize::new(0));
    let limits = Limits {
        answer: Duration::from_secs(8),
        ..short_limits()
    };
    let running = start(large_answers(32 * MIB, &in_memory), limits).await;
    let mut stream = running.connect().await;
    stream
        .write_all(b"GET /large HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    // Far longer than a connection may be idle.
    sleep(Duration::from_millis(1500)).await;
    let (answer, _) = read_to_close(&mut stream).await;
    assert!(answer.len() > 32 * MIB, "only {} bytes", answer.len());
    running.stop().await;
}

// Credentials and problems, through poem-openapi.

lethe::problems!(WhoFailures: 400, 401, 403, 503);

#[derive(Object, serde::Deserialize)]
struct Reason {
    reason: String,
}

struct Api;

#[OpenApi]
impl Api {
    #[oai(path = "/admin/who", method = "get", operation_id = "adminWho")]
    async fn admin_who(
        &self,
        admin: AdminAuth,
        /// How many.
        limit: Query<Option<i32>>,
    ) -> Result<PlainText<String>, Problems<WhoFailures>> {
        match limit.0 {
            Some(0) => Err(Problem::bad_field("limit", "must be 1 to 200").into()),
            _ => Ok(PlainText(admin.actor())),
        }
    }

    #[oai(path = "/who", method = "post", operation_id = "who")]
    async fn who(
        &self,
        caller: SessionOrAdminAuth,
        body: JsonBody<Reason>,
    ) -> Result<PlainText<String>, Problem> {
        Ok(PlainText(format!("{} {}", caller.0.actor(), body.0.reason)))
    }
}

fn verifier(keys: SessionKeys) -> SessionVerifier {
    let config = SessionConfig {
        keys,
        issuer: None,
        authorized_parties: Vec::new(),
    };
    let timing = JwksTiming {
        max_age: Duration::from_secs(3600),
        min_interval: Duration::from_millis(300),
        min_interval_empty: Duration::from_millis(100),
    };
    SessionVerifier::with_jwks_timing(config, timing).unwrap()
}

const ADMIN_TOKEN: &str = "0123456789-admin-secret";

fn admins() -> AdminTokens {
    let mut admins = AdminTokens::default();
    admins.add("alice", Role::Admin, ADMIN_TOKEN).unwrap();
    admins
}

fn api() -> (impl poem::Endpoint, Value) {
    let sessions = verifier(SessionKeys::from_pem(PUBLIC_KEY).unwrap());
    let authenticator = Authenticator::new(sessions, admins(), Metrics::new().unwrap());
    let service = OpenApiService::new(Api, "edge", "1");
    let mut spec: Value = serde_json::from_str(&service.spec()).unwrap();
    for path in spec["paths"].as_object_mut().unwrap().values_mut() {
        for operation in path.as_object_mut().unwrap().values_mut() {
            declare_roles(operation.as_object_mut().unwrap());
        }
    }
    (service.data(Arc::new(authenticator)).with(RequestId), spec)
}

fn token(key: &str, kid: &str, changes: Value) -> String {
    let now = chrono::Utc::now().timestamp();
    let mut claims = json!({"sub": "user_1", "sid": "sess_1", "iat": now, "exp": now + 60});
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(kid.to_owned());
    header.extras.insert("cat", "cl_B7d4PD111AAA");
    encode(
        &header,
        &claims,
        &EncodingKey::from_rsa_pem(key.as_bytes()).unwrap(),
    )
    .unwrap()
}

#[tokio::test]
async fn credentials_decide_between_401_403_and_the_answer() {
    let running = start(api().0, short_limits()).await;
    let client = reqwest::Client::new();
    let ask = async |path: &str, bearer: Option<&str>| {
        let mut request = match path {
            "/who" => client
                .post(running.url(path))
                .json(&json!({"reason": "why"})),
            _ => client.get(running.url(path)),
        };
        if let Some(bearer) = bearer {
            request = request.bearer_auth(bearer);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        assert_eq!(
            answer.headers().contains_key("www-authenticate"),
            status == 401,
            "{path}"
        );
        if status != 200 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
        (status, answer.text().await.unwrap())
    };
    let session = token(KEY, "ins_1", json!({}));
    let pending = token(KEY, "ins_1", json!({"sts": "pending"}));
    let acting = token(KEY, "ins_1", json!({"act": {"sub": "user_2"}}));
    let expired = token(KEY, "ins_1", json!({"exp": 1}));
    let forged = token(OTHER_KEY, "ins_1", json!({}));

    assert_eq!(
        ask("/who", Some(ADMIN_TOKEN)).await,
        (200, "admin:alice why".into())
    );
    assert_eq!(
        ask("/who", Some(&session)).await,
        (200, "user:user_1 why".into())
    );
    assert_eq!(
        ask("/admin/who", Some(ADMIN_TOKEN)).await,
        (200, "admin:alice".into())
    );
    assert_eq!(ask("/admin/who", Some(&session)).await.0, 403);
    for path in ["/who", "/admin/who", "/admin/who?limit=many"] {
        for (bearer, status) in [
            (None, 401),
            (Some(""), 401),
            (Some("alice:0123456789-admin-secret"), 401),
            (Some(expired.as_str()), 401),
            (Some(forged.as_str()), 401),
            (Some(pending.as_str()), 403),
            (Some(acting.as_str()), 403),
        ] {
            assert_eq!(ask(path, bearer).await.0, status, "{path} {bearer:?}");
        }
    }
    for path in ["/admin/who?limit=many", "/admin/who?limit=0"] {
        let (status, body) = ask(path, Some(ADMIN_TOKEN)).await;
        assert_eq!(status, 400);
        assert!(body.contains("`limit`"), "{body}");
    }
    running.stop().await;
}

#[tokio::test]
async fn a_json_body_is_explained_by_the_field() {
    let running = start(api().0, short_limits()).await;
    let client = reqwest::Client::new();
    let post = || client.post(running.url("/who")).bearer_auth(ADMIN_TOKEN);
    for request in [
        post(),
        post().json(&json!({})),
        post().json(&json!({"reason": 1})),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 400);
        assert!(answer.text().await.unwrap().contains("`reason`"));
    }
    let form = post()
        .header("content-type", "text/plain")
        .body("reason")
        .send()
        .await
        .unwrap();
    assert_eq!(form.status(), 415);
    let large = post()
        .json(&json!({"reason": "x".repeat(100_000)}))
        .send()
        .await
        .unwrap();
    assert_eq!(large.status(), 413);
    running.stop().await;
}

#[test]
fn the_spec_names_both_schemes_and_the_problems() {
    let spec = api().1;
    let schemes = &spec["components"]["securitySchemes"];
    for name in ["adminToken", "clerkSession"] {
        assert_eq!(schemes[name]["type"], "http");
        assert_eq!(schemes[name]["scheme"], "bearer");
        assert!(schemes[name]["description"].is_string());
    }
    let who = &spec["paths"]["/who"]["post"];
    assert_eq!(
        who["security"],
        json!([{"clerkSession": []}, {"adminToken": []}])
    );
    let admin_who = &spec["paths"]["/admin/who"]["get"];
    assert_eq!(admin_who["security"], json!([{"adminToken": []}]));
    assert_eq!(admin_who["x-required-role"], "admin");
    let mut statuses: Vec<_> = admin_who["responses"].as_object().unwrap().keys().collect();
    statuses.sort();
    assert_eq!(
        statuses,
        ["200", "400", "401", "403", "429", "503", "default"]
    );
    let problem = &admin_who["responses"]["403"]["content"]["application/problem+json"];
    assert_eq!(problem["schema"]["$ref"], "#/components/schemas/Problem");
}

// Clerk's keys by JWKS.

/// Stands in for Clerk: serves a key set, counts how often, and can be told to fail.
#[derive(Clone)]
struct Clerk {
    answer: Arc<Mutex<Result<String, u16>>>,
    fetches: Arc<AtomicUsize>,
    delay: Duration,
}

impl Clerk {
    fn new(keys: &[(&str, &str)]) -> Self {
        let clerk = Self {
            answer: Arc::new(Mutex::new(Err(500))),
            fetches: Arc::default(),
            delay: Duration::from_millis(50),
        };
        clerk.publish(keys);
        clerk
    }

    fn publish(&self, keys: &[(&str, &str)]) {
        let keys: Vec<_> = keys
            .iter()
            .map(|(kid, pem)| {
                let key = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
                let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
                jwk.common.key_id = Some((*kid).to_owned());
                jwk
            })
            .collect();
        self.say(Ok(json!({"keys": keys}).to_string()));
    }

    fn say(&self, answer: Result<String, u16>) {
        *self.answer.lock().unwrap() = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    async fn start(&self) -> (Running, SessionVerifier) {
        let clerk = self.clone();
        let endpoint = poem::endpoint::make(move |_| {
            let clerk = clerk.clone();
            async move {
                clerk.fetches.fetch_add(1, Ordering::SeqCst);
                sleep(clerk.delay).await;
                let answer = clerk.answer.lock().unwrap().clone();
                Ok::<_, poem::Error>(match answer {
                    Ok(body) => Response::builder().body(body),
                    Err(status) => {
                        let status = poem::http::StatusCode::from_u16(status).unwrap();
                        Response::builder().status(status).finish()
                    }
                })
            }
        });
        let running = start(endpoint, Limits::default()).await;
        let keys = SessionKeys::Jwks(running.url("/.well-known/jwks.json").parse().unwrap());
        (running, verifier(keys))
    }
}

/// Past the least interval between two fetches of [`verifier`].
async fn interval_passes() {
    sleep(Duration::from_millis(350)).await;
}

#[tokio::test]
async fn a_rotated_key_is_fetched_when_it_is_first_seen() {
    let clerk = Clerk::new(&[("old", KEY)]);
    let (running, verifier) = clerk.start().await;
    let old = token(KEY, "old", json!({}));
    let new = token(OTHER_KEY, "new", json!({}));
    for _ in 0..5 {
        assert_eq!(verifier.verify(&old).await.unwrap().user_id, "user_1");
    }
    assert_eq!(clerk.fetches(), 1, "the set is cached");
    clerk.publish(&[("old", KEY), ("new", OTHER_KEY)]);
    interval_passes().await;
    verifier.verify(&new).await.unwrap();
    verifier.verify(&old).await.unwrap();
    assert_eq!(clerk.fetches(), 2);
    // A key that Clerk has withdrawn is gone with the next fetch.
    clerk.publish(&[("new", OTHER_KEY)]);
    interval_passes().await;
    let unknown = token(KEY, "unknown", json!({}));
    assert!(matches!(
        verifier.verify(&unknown).await,
        Err(SessionError::Invalid(_))
    ));
    assert!(matches!(
        verifier.verify(&old).await,
        Err(SessionError::Invalid(_))
    ));
    running.stop().await;
}

#[tokio::test]
async fn a_storm_of_unknown_keys_is_one_fetch_for_each_interval() {
    let clerk = Clerk::new(&[("known", KEY)]);
    let (running, verifier) = clerk.start().await;
    let verifier = Arc::new(verifier);
    let tokens: Vec<_> = (0..100)
        .map(|number| token(OTHER_KEY, &format!("unknown-{number}"), json!({})))
        .collect();
    let storm = async || {
        let callers = tokens.clone().into_iter().map(|token| {
            let verifier = Arc::clone(&verifier);
            tokio::spawn(async move { verifier.verify(&token).await })
        });
        for caller in callers.collect::<Vec<_>>() {
            assert!(matches!(
                caller.await.unwrap(),
                Err(SessionError::Invalid(_))
            ));
        }
    };
    let begun = Instant::now();
    storm().await;
    storm().await;
    interval_passes().await;
    storm().await;
    storm().await;
    let intervals = begun.elapsed().as_millis() / 300;
    let most = usize::try_from(intervals).unwrap() + 1;
    assert!(
        (2..=most).contains(&clerk.fetches()),
        "{} of {most}",
        clerk.fetches()
    );
    running.stop().await;
}

#[tokio::test]
async fn an_outage_of_clerk_does_not_matter_once_the_keys_are_known() {
    let clerk = Clerk::new(&[("known", KEY)]);
    let (running, _) = clerk.start().await;
    let config = SessionConfig {
        keys: SessionKeys::Jwks(running.url("/jwks").parse().unwrap()),
        issuer: None,
        authorized_parties: Vec::new(),
    };
    // Every set is old at once, so that each verification would rather fetch.
    let timing = JwksTiming {
        max_age: Duration::ZERO,
        min_interval: Duration::from_millis(100),
        min_interval_empty: Duration::from_millis(100),
    };
    let verifier = SessionVerifier::with_jwks_timing(config, timing).unwrap();
    let good = token(KEY, "known", json!({}));
    verifier.verify(&good).await.unwrap();
    let garbage = "x".repeat(300 * 1024);
    for answer in [
        Err(503),
        Err(302),
        Ok(String::new()),
        Ok("{\"keys\":[]}".into()),
        Ok(garbage),
    ] {
        clerk.say(answer);
        let before = clerk.fetches();
        sleep(Duration::from_millis(120)).await;
        verifier.verify(&good).await.unwrap();
        assert_eq!(clerk.fetches(), before + 1);
    }
    running.stop().await;
    sleep(Duration::from_millis(120)).await;
    verifier.verify(&good).await.unwrap();
}

#[tokio::test]
async fn without_any_key_the_verifier_is_unavailable_until_clerk_is_back() {
    let clerk = Clerk::new(&[]);
    clerk.say(Err(500));
    let (running, verifier) = clerk.start().await;
    let good = token(KEY, "known", json!({}));
    assert_eq!(verifier.verify(&good).await, Err(SessionError::Unavailable));
    assert_eq!(verifier.warm_up().await, Err(SessionError::Unavailable));
    clerk.publish(&[("known", KEY)]);
    sleep(Duration::from_millis(150)).await;
    verifier.warm_up().await.unwrap();
    verifier.verify(&good).await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn what_no_key_could_save_is_refused_without_asking_clerk() {
    let clerk = Clerk::new(&[("known", KEY)]);
    let (running, verifier) = clerk.start().await;
    for nonsense in ["", "mt_123", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert!(matches!(
            verifier.verify(nonsense).await,
            Err(SessionError::Invalid(_))
        ));
    }
    assert_eq!(clerk.fetches(), 0);
    running.stop().await;
}

#[tokio::test]
async fn an_admin_needs_no_clerk() {
    let url = "http://127.0.0.1:1/jwks".parse().unwrap();
    let sessions = verifier(SessionKeys::Jwks(url));
    let authenticator = Authenticator::new(sessions, admins(), Metrics::new().unwrap());
    let client = "127.0.0.1".parse().unwrap();
    let caller = authenticator.authenticate(ADMIN_TOKEN, client).await;
    assert_eq!(
        caller,
        Ok(Caller::Admin {
            name: "alice".into(),
            role: Role::Admin,
        })
    );
}

//! The attacks of the security review, and some of their kin, each on a `serve` of its own: whoever sends them, signed
//! webhooks are answered with 204, and the memory stays below what SECURITY.md promises. `LETHE_ATTACKS=full` attacks
//! with as many peers and for as long as docs/security.md says; by default there is a twentieth of them, for a moment.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::support::attack::{MAX_RESIDENT, Memory, connect, webhooks};
use crate::support::service::Service;
use crate::support::world::World;

/// The webhooks beside an attack, and how long a full one lasts.
const WEBHOOKS: usize = 30;
const FULL_TIME: Duration = Duration::from_secs(20);
/// A peer whose connection was closed comes back after this time.
const COME_BACK: Duration = Duration::from_millis(50);
/// Requests at the same time on one connection, which is as many as the server allows.
const STREAMS: usize = 16;
/// A busy machine and a debug build are slow; Svix waits for 15 s.
const MAX_WEBHOOK: Duration = Duration::from_secs(10);

/// What a peer knows of its attack.
#[derive(Clone)]
struct Attack {
    peer: usize,
    address: String,
    /// Requests, frames or bodies that were sent, whichever the attack counts.
    sent: Arc<AtomicU64>,
}

impl Attack {
    async fn connect(&self) -> io::Result<TcpStream> {
        connect(self.peer, &self.address).await
    }

    fn count(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Lets `full` peers attack (or a twentieth of them) while webhooks are sent, and prints what that did.
async fn withstand<F>(
    name: &str,
    full: usize,
    attack: impl Fn(Attack) -> F + Clone + Send + 'static,
) where
    F: Future<Output = io::Result<()>> + Send,
{
    let is_full = std::env::var("LETHE_ATTACKS").is_ok_and(|value| value == "full");
    let (count, time) = match is_full {
        true => (full, FULL_TIME),
        false => (full.div_ceil(20), Duration::ZERO),
    };
    let world = World::new().await;
    let service = Service::start_with(&world, &[("RUST_LOG", "warn")]).await;
    let quiet = webhooks(&service, "quiet", WEBHOOKS, time / 4).await;
    let before = Memory::of(service.pid());
    let sent = Arc::new(AtomicU64::new(0));
    let mut peers = JoinSet::new();
    for peer in 0..count {
        let attack = attack.clone();
        let of_peer = Attack {
            peer,
            address: service.url.strip_prefix("http://").unwrap().to_owned(),
            sent: Arc::clone(&sent),
        };
        peers.spawn(async move {
            loop {
                // The server ends the connection sooner or later, which is its right.
                let _ = attack(of_peer.clone()).await;
                sleep(COME_BACK).await;
            }
        });
    }
    // Until each peer holds what it can.
    sleep(if is_full {
        Duration::from_secs(3)
    } else {
        Duration::from_millis(500)
    })
    .await;
    let begun = Instant::now();
    let already = sent.load(Ordering::Relaxed);
    let attacked = webhooks(&service, "attacked", WEBHOOKS, time).await;
    let rate = (sent.load(Ordering::Relaxed) - already) as f64 / begun.elapsed().as_secs_f64();
    let during = Memory::of(service.pid());
    peers.shutdown().await;
    sleep(COME_BACK).await;
    let after = Memory::of(service.pid());
    println!(
        "{name}: {count} peers, {} sent ({rate:.0} a second); {} webhooks took {:.1?} (median), {:.1?} (p99) and {:.1?} \
         (longest), without the attack {:.1?}, {:.1?} and {:.1?}; memory {} MB at most, {} MB before, {} MB after",
        sent.load(Ordering::Relaxed),
        attacked.count(),
        attacked.at(0.5),
        attacked.at(0.99),
        attacked.at(1.0),
        quiet.at(0.5),
        quiet.at(0.99),
        quiet.at(1.0),
        during.peak / 1_000_000,
        before.now / 1_000_000,
        after.now / 1_000_000,
    );
    assert!(sent.load(Ordering::Relaxed) > 0, "{name}: nobody attacked");
    assert!(
        attacked.at(1.0) < MAX_WEBHOOK,
        "{name}: {:?}",
        attacked.at(1.0)
    );
    assert!(during.peak < MAX_RESIDENT, "{name}: {during:?}");
}

/// An HTTP/2 client whose windows have this size, with the connection that it needs.
async fn http2(
    attack: &Attack,
    window: u32,
) -> io::Result<(
    h2::client::SendRequest<Bytes>,
    AbortOnDropHandle<Result<(), h2::Error>>,
)> {
    let stream = attack.connect().await?;
    let (client, connection) = h2::client::Builder::new()
        .initial_window_size(window)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(io::Error::other)?;
    Ok((client, AbortOnDropHandle::new(tokio::spawn(connection))))
}

/// Asks for `path` with a closed window, as often as the server lets it, and keeps the answers unread.
async fn read_nothing(attack: Attack, path: &'static str) -> io::Result<()> {
    let (mut client, _connection) = http2(&attack, 0).await?;
    let mut unread = Vec::new();
    loop {
        unread.push(ask(&mut client, &attack, path).await?);
        attack.count();
    }
}

/// The head of the answer to one request, with the body to read. When there are as many streams as the server allows,
/// it never comes.
async fn ask(
    client: &mut h2::client::SendRequest<Bytes>,
    attack: &Attack,
    path: &str,
) -> io::Result<h2::RecvStream> {
    *client = client.clone().ready().await.map_err(io::Error::other)?;
    let request = poem::http::Request::get(attack.url(path)).body(()).unwrap();
    let (answer, _) = client
        .send_request(request, true)
        .map_err(io::Error::other)?;
    Ok(answer.await.map_err(io::Error::other)?.into_body())
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_behind_closed_http_2_windows() {
    withstand("HTTP/2, closed windows, GET /docs", 200, |attack| {
        read_nothing(attack, "/docs")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_their_own_behind_closed_http_2_windows() {
    // Each of these answers is made anew.
    withstand("HTTP/2, closed windows, GET /metrics", 200, |attack| {
        read_nothing(attack, "/metrics")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_http_1_peers_do_not_read() {
    withstand(
        "HTTP/1, nothing is read, GET /docs",
        300,
        async |attack: Attack| {
            let mut stream = attack.connect().await?;
            // Pipelined: each is answered only when the one before was read.
            let request = b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
            stream.write_all(&request).await?;
            attack.count();
            sleep(Duration::from_secs(600)).await;
            Ok(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_anonymous_calls() {
    withstand("flood of GET /health/ready", 14, async |attack: Attack| {
        let (client, _connection) = http2(&attack, 65_535).await?;
        let mut askers = JoinSet::new();
        for _ in 0..STREAMS {
            let (mut client, attack) = (client.clone(), attack.clone());
            askers.spawn(async move {
                while let Ok(mut answer) = ask(&mut client, &attack, "/health/ready").await {
                    while answer.data().await.is_some() {}
                    attack.count();
                }
            });
        }
        while askers.join_next().await.is_some() {}
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_that_are_slow_enough_for_h2() {
    withstand("paced HTTP/2 resets", 4, async |attack: Attack| {
        let (mut client, _connection) = http2(&attack, 65_535).await?;
        loop {
            client = client.ready().await.map_err(io::Error::other)?;
            let request = poem::http::Request::get(attack.url("/health/ready"))
                .body(())
                .unwrap();
            let (_, mut stream) = client
                .send_request(request, true)
                .map_err(io::Error::other)?;
            sleep(Duration::from_millis(2)).await;
            stream.send_reset(h2::Reason::CANCEL);
            attack.count();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_kept_alive() {
    withstand(
        "kept alive, asking once in 5 s",
        1100,
        async |attack: Attack| {
            let mut stream = attack.connect().await?;
            let mut answer = [0; 1024];
            loop {
                stream
                    .write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n")
                    .await?;
                if stream.read(&mut answer).await? == 0 {
                    return Ok(());
                }
                attack.count();
                sleep(Duration::from_secs(5)).await;
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_of_tokens() {
    withstand("guesses of admin tokens", 40, async |attack: Attack| {
        let mut stream = attack.connect().await?;
        let mut answer = [0; 4096];
        loop {
            let guess = attack.sent.load(Ordering::Relaxed);
            let request = format!(
                "GET /admin/stats HTTP/1.1\r\nhost: x\r\nauthorization: Bearer guess-{}-{guess:020}\r\n\r\n",
                attack.peer
            );
            stream.write_all(request.as_bytes()).await?;
            if stream.read(&mut answer).await? == 0 {
                return Ok(());
            }
            attack.count();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_with_false_signatures_as_large_as_may_be() {
    withstand("forged webhooks of 65,536 bytes", 40, async |attack: Attack| {
        let mut stream = attack.connect().await?;
        let mut answer = [0; 4096];
        let head = "POST /webhooks/clerk HTTP/1.1\r\nhost: x\r\nsvix-id: m\r\nsvix-timestamp: 1\r\n\
                    svix-signature: v1,AAAA\r\ncontent-length: 65536\r\n\r\n";
        let request = [head.as_bytes(), &[b'x'; 65_536]].concat();
        loop {
            stream.write_all(&request).await?;
            if stream.read(&mut answer).await? == 0 {
                return Ok(());
            }
            attack.count();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_stop_before_their_end() {
    withstand(
        "bodies of 64 KiB that stop before their end",
        1000,
        async |attack: Attack| {
            let mut stream = attack.connect().await?;
            let head = "POST /webhooks/clerk HTTP/1.1\r\nhost: x\r\ncontent-length: 65536\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&[b'x'; 65_000]).await?;
            attack.count();
            let mut answer = [0; 4096];
            while stream.read(&mut answer).await? > 0 {}
            Ok(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_stop_before_their_end() {
    withstand(
        "heads of 31 KiB that stop before their end",
        1000,
        async |attack: Attack| {
            let mut stream = attack.connect().await?;
            let head = format!(
                "GET / HTTP/1.1\r\nhost: x\r\nx-long: {}",
                "x".repeat(31 * 1024)
            );
            stream.write_all(head.as_bytes()).await?;
            attack.count();
            let mut answer = [0; 4096];
            while stream.read(&mut answer).await? > 0 {}
            Ok(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_come_and_go() {
    withstand(
        "connections that come and go",
        40,
        async |attack: Attack| {
            loop {
                drop(attack.connect().await?);
                attack.count();
            }
        },
    )
    .await;
}

// Frames of HTTP/2 as no client sends them.

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://x/health/ready`, by the static table and literals without indexing.
const GET_READY: &[u8] = b"\x82\x86\x04\x0d/health/ready\x01\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Sends the frames that `next` makes, again and again, and reads what the server says only if `is_read`.
async fn send_frames(
    attack: Attack,
    is_read: bool,
    mut next: impl FnMut(u32) -> Vec<u8> + Send,
) -> io::Result<()> {
    let (mut reader, mut writer) = attack.connect().await?.into_split();
    writer.write_all(PREFACE).await?;
    writer.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let _reading = is_read.then(|| {
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
        }))
    });
    for number in 0.. {
        // A server that neither reads nor closes is done with this peer.
        let written = timeout(Duration::from_secs(30), writer.write_all(&next(number))).await;
        written.map_err(io::Error::other)??;
        attack.count();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_never_end_of_http_2() {
    withstand("HTTP/2 CONTINUATION flood", 20, |attack| {
        send_frames(attack, true, |number| match number {
            0 => frame(HEADERS, END_STREAM, 1, GET_READY),
            // A header of 255 bytes that is not to be indexed.
            _ => frame(
                CONTINUATION,
                0,
                1,
                &[b"\x00\x01a\x7f\x80\x01", &[b'x'; 255][..]].concat(),
            ),
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn resets_as_rapid_as_can_be() {
    withstand("HTTP/2 rapid reset", 20, |attack| {
        send_frames(attack, true, |number| {
            let stream = number * 2 + 1;
            let head = frame(HEADERS, END_STREAM | END_HEADERS, stream, GET_READY);
            [head, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_and_settings_whose_answers_nobody_reads() {
    withstand("HTTP/2 PING and SETTINGS flood", 20, |attack| {
        let is_read = attack.peer % 2 == 0;
        send_frames(attack, is_read, |_| {
            [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])].concat()
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_grow_when_they_are_unpacked() {
    // One literal of 4,000 bytes goes to the dynamic table, as its entry 62, and is named 4,000 times: 16 MB from 8 KB.
    let mut bomb = GET_READY.to_vec();
    bomb.extend(b"\x40\x01a\x7f\xa1\x1e");
    bomb.extend([b'x'; 4000]);
    bomb.extend([0xbe; 4000]);
    withstand("HPACK bomb", 20, move |attack| {
        let bomb = bomb.clone();
        send_frames(attack, true, move |number| {
            frame(HEADERS, END_STREAM | END_HEADERS, number * 2 + 1, &bomb)
        })
    })
    .await;
}

/// The thief of a signing secret: each webhook is answered, and no more memory is used than without the theft.
#[tokio::test(flavor = "multi_thread")]
async fn signed_webhooks_of_a_thief() {
    withstand("signed webhooks of a thief", 20, async |attack: Attack| {
        let webhook = svix::webhooks::Webhook::new(crate::support::service::WEBHOOK_SECRET).unwrap();
        let mut stream = attack.connect().await?;
        let mut answer = [0; 4096];
        loop {
            let number = attack.sent.fetch_add(1, Ordering::Relaxed);
            let id = format!("theft_{number}");
            let body = json!({"type": "user.deleted", "data": {"id": format!("user_{id}")}}).to_string();
            let at = crate::support::service::now();
            let signature = webhook.sign(&id, at, body.as_bytes()).unwrap();
            let head = format!(
                "POST /webhooks/clerk HTTP/1.1\r\nhost: x\r\nsvix-id: {id}\r\nsvix-timestamp: {at}\r\n\
                 svix-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).await?;
            if stream.read(&mut answer).await? == 0 {
                return Ok(());
            }
        }
    })
    .await;
}

//! Peers that hold connections, requests and answers for as long as they can, each in its own way, while Clerk's
//! webhooks are answered. `LETHE_SLOW_PEERS` sets how many there are of all kinds together (120; by hand 1000).

use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::StatusCode;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::support::service::Service;
use crate::support::world::World;

/// The promise of SECURITY.md, in bytes.
const MAX_RESIDENT: f64 = 150e6;
/// A webhook takes some milliseconds; the rest is for a busy machine. Only a peer that has to wait for a place of a
/// slow one takes longer: the shortest of the server's limits are 10 s.
const MAX_WEBHOOK: Duration = Duration::from_secs(5);
const WEBHOOKS: usize = 60;
/// The pause between two bytes of a peer that drips.
const DRIP: Duration = Duration::from_millis(300);

#[derive(Clone, Copy, Debug)]
enum Kind {
    Silent,
    Head,
    Body,
    Reader,
    ClosedWindow,
    Resets,
}

const KINDS: [Kind; 6] = [
    Kind::Silent,
    Kind::Head,
    Kind::Body,
    Kind::Reader,
    Kind::ClosedWindow,
    Kind::Resets,
];

/// Sends `begin`, and then one byte after the other.
async fn drip(stream: &mut TcpStream, begin: &str) -> std::io::Result<()> {
    stream.write_all(begin.as_bytes()).await?;
    loop {
        sleep(DRIP).await;
        stream.write_all(b"a").await?;
    }
}

/// Attacks once, until the server ends the connection. A new one follows.
async fn attack(kind: Kind, address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    match kind {
        Kind::Silent => drop(stream.read_u8().await?),
        Kind::Head => drip(&mut stream, "GET / HTTP/1.1\r\nhost: x\r\nx-slow: ").await?,
        Kind::Body => {
            let head = "POST /webhooks/clerk HTTP/1.1\r\nhost: x\r\ncontent-length: 65536\r\n\r\n{";
            drip(&mut stream, head).await?;
        }
        Kind::Reader => {
            stream
                .write_all(b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n")
                .await?;
            loop {
                sleep(DRIP).await;
                stream.read_u8().await?;
            }
        }
        Kind::ClosedWindow | Kind::Resets => {
            let (client, connection) = h2::client::Builder::new()
                .initial_window_size(0)
                .handshake::<_, Bytes>(stream)
                .await
                .map_err(std::io::Error::other)?;
            let path = match kind {
                Kind::Resets => "/health/ready",
                _ => "/docs",
            };
            let url = format!("http://{address}{path}");
            // Dropped here, too, when the peer is stopped.
            let mut connection = AbortOnDropHandle::new(tokio::spawn(connection));
            tokio::select! {
                _ = &mut connection => {}
                () = ask_for_ever(client, &url, kind) => {}
            }
        }
    }
    Ok(())
}

async fn ask_for_ever(mut client: h2::client::SendRequest<Bytes>, url: &str, kind: Kind) {
    let mut unread = Vec::new();
    loop {
        client = match client.ready().await {
            Ok(client) => client,
            Err(_) => return,
        };
        let request = poem::http::Request::get(url).body(()).unwrap();
        let Ok((answer, mut stream)) = client.send_request(request, true) else {
            return;
        };
        // Past h2's guard against rapid resets.
        sleep(Duration::from_millis(2)).await;
        match kind {
            Kind::Resets => stream.send_reset(h2::Reason::CANCEL),
            _ => unread.push(answer),
        }
    }
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// Sends webhooks one after the other, and returns how long each took.
async fn webhooks(service: &Service, run: &str) -> Vec<Duration> {
    let mut took = Vec::new();
    for number in 0..WEBHOOKS {
        let begun = Instant::now();
        let id = format!("{run}_{number}");
        let webhook = service.user_deleted(&id, &format!("user_{id}"));
        let answer = webhook.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{id}");
        took.push(begun.elapsed());
    }
    took.sort();
    took
}

async fn resident_bytes(metrics: &str) -> f64 {
    let url = format!("http://{metrics}/metrics");
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    let name = "process_resident_memory_bytes ";
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("{text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_answered_while_slow_peers_of_every_kind_hold_what_they_can() {
    let world = World::new().await;
    // On an address of their own, the metrics are there for those who look at the attack.
    let metrics = free_address();
    let service = Service::start_with(&world, &[("METRICS_ADDR", &metrics)]).await;
    let count = std::env::var("LETHE_SLOW_PEERS").map_or(120, |count| count.parse().unwrap());
    let quiet = webhooks(&service, "quiet").await;
    let before = resident_bytes(&metrics).await;
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let mut peers = JoinSet::new();
    for kind in KINDS.into_iter().cycle().take(count) {
        let address = address.clone();
        peers.spawn(async move {
            loop {
                // The server ends them, and may have no place at once for the next.
                let _ = attack(kind, &address).await;
                sleep(DRIP).await;
            }
        });
    }
    // Until each holds what it can.
    sleep(Duration::from_secs(2)).await;
    let attacked = webhooks(&service, "attacked").await;
    let after = resident_bytes(&metrics).await;
    peers.shutdown().await;
    let (median, last) = (WEBHOOKS / 2, WEBHOOKS - 1);
    println!(
        "{count} slow peers: webhooks took {:?} (median) and {:?} (longest), without them {:?} and {:?}; \
         memory {:.0} MB, before {:.0} MB",
        attacked[median],
        attacked[last],
        quiet[median],
        quiet[last],
        after / 1e6,
        before / 1e6,
    );
    assert!(attacked[last] < MAX_WEBHOOK, "{:?}", attacked[last]);
    assert!(after < MAX_RESIDENT, "{after} bytes");
}

//! Peers that hold connections, requests and answers for as long as they can, each in its own way, while Clerk's
//! webhooks are answered. `LETHE_SLOW_PEERS` sets how many there are of all kinds together (120; by hand 1000).

use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

use crate::support::attack::{MAX_RESIDENT, Memory, connect, webhooks};
use crate::support::service::Service;
use crate::support::world::World;

/// A webhook takes some milliseconds; the rest is for a busy machine. Only a peer that has to wait for a place of a
/// slow one takes longer: the shortest of the server's limits are 10 s.
const MAX_WEBHOOK: Duration = Duration::from_secs(5);
const WEBHOOKS: usize = 60;
/// By hand there are webhooks for as long as all kinds of limits need to take effect once.
const BY_HAND: Duration = Duration::from_secs(90);
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
async fn attack(kind: Kind, peer: usize, address: &str) -> std::io::Result<()> {
    let mut stream = connect(peer, address).await?;
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
        match kind {
            Kind::Resets => {
                // Slowly: the fast ones are in attacks.rs.
                sleep(DRIP).await;
                stream.send_reset(h2::Reason::CANCEL);
            }
            // When there are as many streams as the server allows, this waits for ever.
            _ => match answer.await {
                Ok(answer) => unread.push(answer),
                Err(_) => return,
            },
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_answered_while_slow_peers_of_every_kind_hold_what_they_can() {
    let by_hand = std::env::var("LETHE_SLOW_PEERS");
    let (count, time) = match &by_hand {
        Ok(count) => (count.parse().unwrap(), BY_HAND),
        Err(_) => (120, Duration::ZERO),
    };
    let world = World::new().await;
    let service = Service::start(&world).await;
    let quiet = webhooks(&service, "quiet", WEBHOOKS, time / 6).await;
    let before = Memory::of(service.pid());
    let address = service.url.strip_prefix("http://").unwrap().to_owned();
    let mut peers = JoinSet::new();
    for (peer, kind) in KINDS.into_iter().cycle().take(count).enumerate() {
        let address = address.clone();
        peers.spawn(async move {
            loop {
                // The server ends them, and may have no place at once for the next.
                let _ = attack(kind, peer, &address).await;
                sleep(DRIP).await;
            }
        });
    }
    // Until each holds what it can.
    sleep(Duration::from_secs(2)).await;
    let attacked = webhooks(&service, "attacked", WEBHOOKS, time).await;
    let after = Memory::of(service.pid());
    peers.shutdown().await;
    println!(
        "{count} slow peers: {} webhooks took {:?} (median), {:?} (p99) and {:?} (longest); without them {} took {:?}, \
         {:?} and {:?}; memory {} MB at most, {} MB before",
        attacked.count(),
        attacked.at(0.5),
        attacked.at(0.99),
        attacked.at(1.0),
        quiet.count(),
        quiet.at(0.5),
        quiet.at(0.99),
        quiet.at(1.0),
        after.peak / 1_000_000,
        before.now / 1_000_000,
    );
    assert!(attacked.at(1.0) < MAX_WEBHOOK, "{:?}", attacked.at(1.0));
    assert!(after.peak < MAX_RESIDENT, "{after:?}");
}

//! What the tests of attacks share: peers from many addresses, webhooks beside them, and the memory of the process.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use tokio::net::{TcpSocket, TcpStream};

use super::service::Service;

/// The promise of SECURITY.md for `serve` under attack, in bytes.
pub const MAX_RESIDENT: u64 = 150_000_000;
/// A peer reads into no more than this, as the kernel rounds it.
const RECEIVE_BUFFER: u32 = 4096;

/// So long Svix waits for an answer.
const SVIX_TIMEOUT: Duration = Duration::from_secs(15);

/// Connects from an address of this machine: half of the peers share one, each of the others has its own.
pub async fn connect(peer: usize, address: &str) -> io::Result<TcpStream> {
    let from = match peer % 2 {
        0 => Ipv4Addr::new(127, 0, 0, 2),
        _ => Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + u32::try_from(peer).unwrap()),
    };
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(SocketAddr::new(from.into(), 0))?;
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    socket.connect(address).await
}

/// How long webhooks took, from the shortest to the longest.
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// The time that this share of the webhooks did not exceed.
    pub fn at(&self, share: f64) -> Duration {
        let last = self.0.len() - 1;
        self.0[((self.0.len() as f64 * share).ceil() as usize)
            .saturating_sub(1)
            .min(last)]
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Sends signed webhooks one after the other, each on a connection of its own, as Svix does. There are at least
/// `count` of them, and as many more as fit into `time`. Each must be answered with 204.
pub async fn webhooks(service: &Service, run: &str, count: usize, time: Duration) -> Latencies {
    let client = Client::builder()
        .pool_max_idle_per_host(0)
        .timeout(SVIX_TIMEOUT)
        .build()
        .unwrap();
    let started = Instant::now();
    let mut took = Vec::new();
    while took.len() < count || started.elapsed() < time {
        let id = format!("{run}_{}", took.len());
        let webhook = service.user_deleted(&id, &format!("user_{id}"));
        let begun = Instant::now();
        let answer = client.execute(webhook.build().unwrap()).await;
        let answer = answer.unwrap_or_else(|error| panic!("{id}: {error:?}"));
        let status = answer.status();
        let body = answer.text().await.unwrap_or_default();
        assert_eq!(status, StatusCode::NO_CONTENT, "{id}: {body}");
        took.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    took.sort();
    Latencies(took)
}

/// The resident memory of a process, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub now: u64,
    /// The most that it ever was.
    pub peak: u64,
}

impl Memory {
    pub fn of(pid: i32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next());
            kib.unwrap_or_else(|| panic!("{name} in {status}"))
                .parse::<u64>()
                .unwrap()
                * 1024
        };
        Self {
            now: value("VmRSS:"),
            peak: value("VmHWM:"),
        }
    }
}

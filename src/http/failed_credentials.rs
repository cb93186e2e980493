//! Counts the wrong credentials of each client, so that nobody can guess many.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::client::counted_as;

/// So many wrong credentials are answered as such, before the client has to wait.
const MAX_FAILURES: f64 = 100.0;
/// How many of them are forgotten in a second. So many can be guessed in the long run.
const FORGOTTEN_PER_SECOND: f64 = 1.0;
/// For how long after a right admin's token a client that has to wait may still use one: people who share an address
/// with a guesser, behind a proxy or a NAT, are not locked out.
const PROVEN_FOR: Duration = Duration::from_secs(600);
/// Most clients that are remembered, about 100 bytes each. Beyond it, those with the fewest failures are forgotten.
const MAX_CLIENTS: usize = 10_000;

/// The failures of all clients.
#[derive(Debug, Default)]
pub(super) struct FailedCredentials {
    clients: Mutex<HashMap<IpAddr, ClientRecord>>,
}

#[derive(Debug, Clone, Copy)]
struct ClientRecord {
    /// The failures that were not forgotten yet, at the time `at`.
    failures: f64,
    at: Instant,
    proven_at: Option<Instant>,
}

/// What a client may do with its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// They are looked at.
    Free,
    /// A wrong one is answered with 429, and this time to wait. A right one of an admin is only looked at if the client
    /// is `proven`.
    Waiting { wait: Duration, is_proven: bool },
}

impl ClientRecord {
    fn new(now: Instant) -> Self {
        Self {
            failures: 0.0,
            at: now,
            proven_at: None,
        }
    }

    fn failures_at(&self, now: Instant) -> f64 {
        let forgotten = now.duration_since(self.at).as_secs_f64() * FORGOTTEN_PER_SECOND;
        (self.failures - forgotten).max(0.0)
    }

    fn is_proven_at(&self, now: Instant) -> bool {
        self.proven_at
            .is_some_and(|at| now.duration_since(at) < PROVEN_FOR)
    }
}

impl FailedCredentials {
    pub(super) fn standing(&self, client: IpAddr, now: Instant) -> Standing {
        let clients = self.clients.lock();
        let Some(record) = clients.get(&counted_as(client)) else {
            return Standing::Free;
        };
        let excess = record.failures_at(now) - (MAX_FAILURES - 1.0);
        if excess <= 0.0 {
            return Standing::Free;
        }
        Standing::Waiting {
            wait: Duration::from_secs_f64(excess / FORGOTTEN_PER_SECOND),
            is_proven: record.is_proven_at(now),
        }
    }

    /// Counts a wrong credential.
    pub(super) fn failed(&self, client: IpAddr, now: Instant) {
        self.change(client, now, |record| {
            record.failures = record.failures_at(now) + 1.0;
            record.at = now;
        });
    }

    /// Notes that the client has used an admin's token.
    pub(super) fn proven(&self, client: IpAddr, now: Instant) {
        self.change(client, now, |record| record.proven_at = Some(now));
    }

    fn change(&self, client: IpAddr, now: Instant, change: impl FnOnce(&mut ClientRecord)) {
        let client = counted_as(client);
        let mut clients = self.clients.lock();
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(&client) {
            clients.retain(|_, record| record.failures_at(now) > 0.0 || record.is_proven_at(now));
            let least = clients
                .iter()
                .map(|(address, record)| (*address, record.failures_at(now)))
                .min_by(|one, other| one.1.total_cmp(&other.1));
            if let Some((least, _)) = least.filter(|_| clients.len() >= MAX_CLIENTS) {
                clients.remove(&least);
            }
        }
        change(clients.entry(client).or_insert(ClientRecord::new(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(number.into())
    }

    fn failed_times(failed: &FailedCredentials, client: IpAddr, times: usize, now: Instant) {
        for _ in 0..times {
            failed.failed(client, now);
        }
    }

    #[test]
    fn after_a_hundred_failures_a_client_waits_and_others_do_not() {
        let (failed, now) = (FailedCredentials::default(), Instant::now());
        failed_times(&failed, address(1), 99, now);
        assert_eq!(failed.standing(address(1), now), Standing::Free);
        failed_times(&failed, address(1), 1, now);
        let waiting = Standing::Waiting {
            wait: Duration::from_secs(1),
            is_proven: false,
        };
        assert_eq!(failed.standing(address(1), now), waiting);
        assert_eq!(failed.standing(address(2), now), Standing::Free);
        let later = now + Duration::from_secs(1);
        assert_eq!(failed.standing(address(1), later), Standing::Free);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let (failed, now) = (FailedCredentials::default(), Instant::now());
        for host in 0..100 {
            failed.failed(format!("2001:db8::{host:x}").parse().unwrap(), now);
        }
        let neighbour = "2001:db8::ffff:1".parse().unwrap();
        assert_ne!(failed.standing(neighbour, now), Standing::Free);
        let stranger = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(failed.standing(stranger, now), Standing::Free);
    }

    #[test]
    fn who_has_used_a_right_token_is_known_for_a_while() {
        let (failed, now) = (FailedCredentials::default(), Instant::now());
        failed.proven(address(1), now);
        failed_times(&failed, address(1), 5000, now);
        let is_proven = |at| match failed.standing(address(1), at) {
            Standing::Waiting { is_proven, .. } => is_proven,
            Standing::Free => panic!("not waiting"),
        };
        assert!(is_proven(now + Duration::from_secs(599)));
        assert!(!is_proven(now + Duration::from_secs(601)));
    }

    #[test]
    fn the_number_of_clients_is_bounded_and_the_worst_are_kept() {
        let (failed, now) = (FailedCredentials::default(), Instant::now());
        failed_times(&failed, address(0), 100, now);
        for number in 1..11_000 {
            failed.failed(address(number), now);
        }
        assert_eq!(failed.clients.lock().len(), MAX_CLIENTS);
        assert_ne!(failed.standing(address(0), now), Standing::Free);
        let much_later = now + Duration::from_secs(1000);
        failed.failed(address(90_000), much_later);
        assert_eq!(failed.clients.lock().len(), 1);
    }
}

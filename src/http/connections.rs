//! The open connections. A new one always gets a place: when there are too many, another one is closed for it, of the
//! client that has most. So peers that hold connections and send nothing lock nobody out.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::{client::counted_as, usage::Usage};

/// All open connections of a server.
pub(super) struct Connections {
    max: usize,
    max_of_client: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// By number, so the first one of a client is its oldest.
    by_client: HashMap<IpAddr, BTreeMap<u64, OpenConnection>>,
    count: usize,
}

struct OpenConnection {
    usage: Arc<Usage>,
    evicted: CancellationToken,
}

impl Connections {
    pub(super) fn new(max: usize, max_of_client: usize) -> Arc<Self> {
        Arc::new(Self {
            max: max.max(1),
            max_of_client: max_of_client.max(1),
            open: Mutex::default(),
        })
    }

    /// Adds a connection. Returns its place, and whether another connection is closed for it. The limit of one client
    /// does not hold for a proxy (`is_proxy`), through which many come.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: IpAddr,
        is_proxy: bool,
        usage: Arc<Usage>,
    ) -> (Place, bool) {
        let client = counted_as(peer);
        let mut open = self.open.lock();
        let of_client = open.by_client.get(&client).map_or(0, BTreeMap::len);
        let crowded = if of_client >= self.max_of_client && !is_proxy {
            Some(client)
        } else if open.count >= self.max {
            open.most_crowded()
        } else {
            None
        };
        if let Some(crowded) = crowded {
            open.evict(crowded);
        }
        let number = open.next;
        open.next += 1;
        open.count += 1;
        let evicted = CancellationToken::new();
        let connection = OpenConnection {
            usage,
            evicted: evicted.clone(),
        };
        open.by_client
            .entry(client)
            .or_default()
            .insert(number, connection);
        let place = Place {
            connections: Arc::clone(self),
            client,
            number,
            evicted,
        };
        (place, crowded.is_some())
    }

    /// Closes a connection of the client that has most, because the process has no file descriptor left for a new one.
    pub(super) fn make_room(&self) {
        let mut open = self.open.lock();
        if let Some(crowded) = open.most_crowded() {
            open.evict(crowded);
        }
    }
}

impl Open {
    fn most_crowded(&self) -> Option<IpAddr> {
        let most = self.by_client.iter().max_by_key(|(_, open)| open.len());
        most.map(|(client, _)| *client)
    }

    /// Closes the connection of a client that was of least use: one that never had valid credentials and on which nothing
    /// is handled, or else the one whose valid credentials are longest ago; of several, the oldest.
    fn evict(&mut self, client: IpAddr) {
        let connections = self.by_client.get(&client);
        let victim = connections
            .into_iter()
            .flatten()
            .min_by_key(|(number, one)| (one.usage.usefulness(), **number));
        if let Some(number) = victim.map(|(number, _)| *number)
            && let Some(connection) = self.remove(client, number)
        {
            connection.evicted.cancel();
        }
    }

    fn remove(&mut self, client: IpAddr, number: u64) -> Option<OpenConnection> {
        let connections = self.by_client.get_mut(&client)?;
        let removed = connections.remove(&number)?;
        self.count -= 1;
        if connections.is_empty() {
            self.by_client.remove(&client);
        }
        Some(removed)
    }
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    connections: Arc<Connections>,
    client: IpAddr,
    number: u64,
    evicted: CancellationToken,
}

impl Place {
    /// Waits until the place is given to another connection.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // An evicted one is removed already.
        let _ = self
            .connections
            .open
            .lock()
            .remove(self.client, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::limits::Limits;

    struct Peer {
        usage: Arc<Usage>,
        place: Place,
        closes_another: bool,
    }

    fn enter(connections: &Arc<Connections>, last: u8) -> Peer {
        let usage = Usage::new(Limits::default());
        let peer = IpAddr::from([192, 0, 2, last]);
        let (place, closes_another) = connections.enter(peer, false, Arc::clone(&usage));
        Peer {
            usage,
            place,
            closes_another,
        }
    }

    fn is_evicted(peer: &Peer) -> bool {
        peer.place.evicted.is_cancelled()
    }

    #[test]
    fn over_its_own_limit_a_client_loses_the_connection_of_least_use() {
        let connections = Connections::new(10, 3);
        let useful = enter(&connections, 1);
        useful.usage.was_useful();
        let handling = enter(&connections, 1);
        let guard = handling.usage.begin_handling();
        let slow = enter(&connections, 1);
        let _request = slow.usage.begin_request();
        let other = enter(&connections, 2);
        let new = enter(&connections, 1);
        assert!(new.closes_another && is_evicted(&slow));
        drop(guard);
        let newest = enter(&connections, 1);
        assert!(is_evicted(&handling) && !is_evicted(&useful));
        assert!(!is_evicted(&other) && !is_evicted(&new) && !is_evicted(&newest));
        new.usage.was_useful();
        newest.usage.was_useful();
        let _last = enter(&connections, 1);
        assert!(is_evicted(&useful) && !is_evicted(&new) && !is_evicted(&newest));
    }

    #[test]
    fn over_the_limit_of_all_the_client_with_most_connections_loses_one() {
        let connections = Connections::new(3, 3);
        let crowd = [enter(&connections, 1), enter(&connections, 1)];
        let single = enter(&connections, 2);
        let new = enter(&connections, 3);
        assert!(new.closes_another && is_evicted(&crowd[0]));
        assert!(!is_evicted(&crowd[1]) && !is_evicted(&single));
        drop((crowd, single, new));
        let open = connections.open.lock();
        assert!(open.count == 0 && open.by_client.is_empty());
    }
}

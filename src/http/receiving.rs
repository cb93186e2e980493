//! The requests whose body is on its way. They are in the budget of no class yet. A new one always gets a place: when
//! there are too many, the oldest one of the client that has most is given up for it. So peers whose bodies never end
//! lock nobody out.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::Arc,
};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::client::counted_as;

/// One client may have this part of all places: a half.
const CLIENT_SHARE: usize = 2;

/// The places of a server.
pub(super) struct Receiving {
    max: usize,
    max_of_client: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    count: usize,
    /// By number, so the first one of a client is its oldest.
    by_client: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
}

impl Receiving {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_of_client: max.div_ceil(CLIENT_SHARE),
            open: Mutex::default(),
        })
    }

    /// Takes a place, if need be that of another.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> ReceivingPlace {
        let client = counted_as(client);
        let given_up = CancellationToken::new();
        let mut open = self.open.lock();
        let of_client = open.by_client.get(&client).map_or(0, BTreeMap::len);
        if of_client >= self.max_of_client {
            open.give_up_oldest_of(client);
        } else if open.count >= self.max
            && let Some(crowded) = open.most_crowded()
        {
            open.give_up_oldest_of(crowded);
        }
        let number = open.next;
        open.next += 1;
        open.count += 1;
        let of_client = open.by_client.entry(client).or_default();
        of_client.insert(number, given_up.clone());
        ReceivingPlace {
            receiving: Arc::clone(self),
            client,
            number,
            given_up,
        }
    }
}

impl Open {
    /// Of clients that have the same number, the one with the oldest request.
    fn most_crowded(&self) -> Option<IpAddr> {
        let oldest = |open: &BTreeMap<u64, _>| open.keys().next().copied();
        self.by_client
            .iter()
            .max_by_key(|(_, open)| (open.len(), Reverse(oldest(open))))
            .map(|(client, _)| *client)
    }

    fn give_up_oldest_of(&mut self, client: IpAddr) {
        let oldest = self
            .by_client
            .get(&client)
            .and_then(|open| open.keys().next().copied());
        if let Some(given_up) = oldest.and_then(|number| self.remove(client, number)) {
            given_up.cancel();
        }
    }

    fn remove(&mut self, client: IpAddr, number: u64) -> Option<CancellationToken> {
        let open = self.by_client.get_mut(&client)?;
        let removed = open.remove(&number)?;
        self.count -= 1;
        if open.is_empty() {
            self.by_client.remove(&client);
        }
        Some(removed)
    }
}

/// A place, until it is dropped.
pub(super) struct ReceivingPlace {
    receiving: Arc<Receiving>,
    client: IpAddr,
    number: u64,
    given_up: CancellationToken,
}

impl ReceivingPlace {
    /// Cancelled when another request has taken the place.
    pub(super) fn given_up(&self) -> CancellationToken {
        self.given_up.clone()
    }
}

impl Drop for ReceivingPlace {
    fn drop(&mut self) {
        // One that was given up is removed already.
        let _ = self.receiving.open.lock().remove(self.client, self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(receiving: &Arc<Receiving>, last: u8) -> ReceivingPlace {
        receiving.enter(IpAddr::from([192, 0, 2, last]))
    }

    fn given_up(places: &[&ReceivingPlace]) -> Vec<bool> {
        places
            .iter()
            .map(|place| place.given_up.is_cancelled())
            .collect()
    }

    #[test]
    fn a_client_with_half_of_all_places_loses_its_oldest() {
        let receiving = Receiving::new(6);
        let [first, second, third] = [1, 1, 1].map(|last| enter(&receiving, last));
        let other = enter(&receiving, 2);
        let fourth = enter(&receiving, 1);
        let all = [&first, &second, &third, &other, &fourth];
        assert_eq!(given_up(&all), [true, false, false, false, false]);
    }

    #[test]
    fn when_all_places_are_taken_the_client_with_most_loses_its_oldest() {
        let receiving = Receiving::new(4);
        let single = enter(&receiving, 1);
        let [first, second] = [2, 2].map(|last| enter(&receiving, last));
        let third = enter(&receiving, 3);
        let new = enter(&receiving, 4);
        let all = [&single, &first, &second, &third, &new];
        assert_eq!(given_up(&all), [false, true, false, false, false]);
        // Now each client has one: the oldest goes.
        let newest = enter(&receiving, 5);
        assert!(single.given_up.is_cancelled() && !newest.given_up.is_cancelled());
        drop((single, first, second, third, new, newest));
        let open = receiving.open.lock();
        assert!(open.count == 0 && open.by_client.is_empty());
    }
}

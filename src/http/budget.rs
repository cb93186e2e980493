//! How many requests are handled at the same time: a budget for each class of callers, so that none starves another,
//! and within it a share for each client.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use http::{HeaderMap, Method, header};
use parking_lot::Mutex;

use super::{client::counted_as, limits::RequestLimits, receiving::Receiving};

/// One client may use this part of a budget: a half.
const CLIENT_SHARE: usize = 2;
/// The paths of webhooks and of admins begin so.
const WEBHOOKS: &str = "/webhooks/";
const ADMIN: &str = "/admin/";

/// Who a request says it comes from. Credentials are checked later, in memory and so quickly that a false claim holds
/// its place for a moment only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerClass {
    Anonymous,
    Webhook,
    Session,
    Admin,
}

impl CallerClass {
    pub(super) fn of(method: &Method, path: &str, headers: &HeaderMap) -> Self {
        if method == Method::POST && path.starts_with(WEBHOOKS) {
            Self::Webhook
        } else if !headers.contains_key(header::AUTHORIZATION) {
            Self::Anonymous
        } else if path.starts_with(ADMIN) {
            Self::Admin
        } else {
            Self::Session
        }
    }
}

/// The budgets of all classes.
pub(super) struct RequestBudgets {
    anonymous: Arc<Budget>,
    webhook: Arc<Budget>,
    session: Arc<Budget>,
    admin: Arc<Budget>,
    receiving: Arc<Receiving>,
}

impl RequestBudgets {
    pub(super) fn new(limits: RequestLimits) -> Self {
        Self {
            anonymous: Budget::new(limits.anonymous),
            webhook: Budget::new(limits.webhook),
            session: Budget::new(limits.session),
            admin: Budget::new(limits.admin),
            receiving: Receiving::new(limits.receiving),
        }
    }

    pub(super) fn of(&self, class: CallerClass) -> &Arc<Budget> {
        match class {
            CallerClass::Anonymous => &self.anonymous,
            CallerClass::Webhook => &self.webhook,
            CallerClass::Session => &self.session,
            CallerClass::Admin => &self.admin,
        }
    }

    /// For requests whose body has not arrived. They are in no class yet, so slow senders take nobody's place.
    pub(super) fn receiving(&self) -> &Arc<Receiving> {
        &self.receiving
    }
}

/// A number of places, of which each client may have a share.
pub(super) struct Budget {
    max: usize,
    max_of_client: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_client: HashMap<IpAddr, usize>,
}

impl Budget {
    pub(super) fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_of_client: max.div_ceil(CLIENT_SHARE),
            taken: Mutex::default(),
        })
    }

    /// Takes a place. `None` if there is none left, or none for this client.
    pub(super) fn take(self: &Arc<Self>, client: IpAddr) -> Option<Permit> {
        let client = counted_as(client);
        let mut taken = self.taken.lock();
        let of_client = taken.by_client.get(&client).copied().unwrap_or_default();
        if taken.all >= self.max || of_client >= self.max_of_client {
            return None;
        }
        taken.all += 1;
        taken.by_client.insert(client, of_client + 1);
        Some(Permit {
            budget: Arc::clone(self),
            client,
        })
    }
}

/// A place in a budget, until it is dropped.
pub(super) struct Permit {
    budget: Arc<Budget>,
    client: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut taken = self.budget.taken.lock();
        taken.all -= 1;
        if let Some(count) = taken.by_client.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn a_client_gets_half_of_a_budget_and_all_together_the_whole() {
        let budget = Budget::new(4);
        let take = |last| budget.take(client(last));
        let mut first = vec![take(1).unwrap(), take(1).unwrap()];
        assert!(take(1).is_none());
        let others = [take(2).unwrap(), take(3).unwrap()];
        assert!(take(4).is_none());
        first.pop();
        assert!(take(4).is_some());
        drop((first, others));
        assert!(budget.taken.lock().by_client.is_empty());
        assert_eq!(budget.taken.lock().all, 0);
    }

    #[test]
    fn the_class_follows_from_the_path_and_the_credentials() {
        let mut with = HeaderMap::new();
        with.insert(header::AUTHORIZATION, "Bearer x".parse().unwrap());
        let without = HeaderMap::new();
        for (method, path, headers, class) in [
            (
                Method::POST,
                "/webhooks/clerk",
                &without,
                CallerClass::Webhook,
            ),
            (Method::POST, "/webhooks/clerk", &with, CallerClass::Webhook),
            (
                Method::GET,
                "/webhooks/clerk",
                &without,
                CallerClass::Anonymous,
            ),
            (
                Method::GET,
                "/admin/stats",
                &without,
                CallerClass::Anonymous,
            ),
            (Method::GET, "/admin/stats", &with, CallerClass::Admin),
            (Method::DELETE, "/samples/1", &with, CallerClass::Session),
            (
                Method::GET,
                "/health/ready",
                &without,
                CallerClass::Anonymous,
            ),
        ] {
            assert_eq!(
                CallerClass::of(&method, path, headers),
                class,
                "{method} {path}"
            );
        }
    }
}

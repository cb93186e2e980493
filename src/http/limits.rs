//! The limits for one peer, and for all peers together.

use std::time::Duration;

/// How long a client is told to wait when there are too many requests, or when its own took too long.
pub(super) const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The limits of one server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most open connections. For a further one, another is closed.
    pub connections: usize,
    /// Most open connections of one client, which is an IPv4 address or a /64 network of IPv6.
    pub connections_of_client: usize,
    /// Most requests that are handled at the same time.
    pub requests: RequestLimits,
    /// From the accept to the head of the first request. This closes the connections of silent peers.
    pub first_request: Duration,
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// From a request's head to the end of its body.
    pub body: Duration,
    /// The largest request body. A route may allow less.
    pub body_bytes: usize,
    /// Most bytes in memory of request bodies, beyond the first 8 KiB of each. Further ones are answered with 503. In
    /// memory a body may take twice its bytes while it grows.
    pub all_bodies_bytes: usize,
    /// From a request's head to the head of its answer. The handler is not stopped (it may be in a
    /// transaction), but its client need not wait for it any longer.
    pub request: Duration,
    /// From the head of an answer to its last byte: a peer that has not read it by then loses its connection.
    pub answer: Duration,
    /// Most bytes in memory of answers that are not fully read yet, over all connections. Further answers are
    /// replaced by 503. Small answers are not counted, because the number of streams limits them.
    pub answer_bytes: usize,
    /// A connection without a request and without an unread answer is closed after this time. It is longer
    /// than the 60 s for which load balancers keep theirs (ALB, nginx), so that they never send a request
    /// into a connection that the server is closing.
    pub idle: Duration,
    /// After this time a connection serves no further request.
    pub age: Duration,
    /// How long a connection without a request may take to end after it was asked to.
    pub drain_grace: Duration,
}

/// Most requests that are handled at the same time, over all connections, for each class of callers. Further ones are
/// answered with 503, and so are those of a client that has half of its class already.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Without credentials: probes, scrapes, the documentation.
    pub anonymous: usize,
    /// Clerk's webhooks.
    pub webhook: usize,
    /// With a session token.
    pub session: usize,
    /// With an admin's token.
    pub admin: usize,
    /// Requests of any class whose body is still on its way. They take no place in their class yet. For a further one
    /// the oldest one of the client with most is given up.
    pub receiving: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            anonymous: 256,
            webhook: 1024,
            session: 512,
            admin: 512,
            receiving: 2048,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            connections_of_client: 1000,
            requests: RequestLimits::default(),
            first_request: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            body_bytes: 1024 * 1024,
            all_bodies_bytes: 8 * 1024 * 1024,
            request: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            answer_bytes: 64 * 1024 * 1024,
            idle: Duration::from_secs(75),
            age: Duration::from_secs(600),
            drain_grace: Duration::from_secs(2),
        }
    }
}

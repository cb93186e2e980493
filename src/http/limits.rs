//! The limits for one peer, and for all peers together.

use std::time::Duration;

/// The limits of one server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most open connections. Further ones wait in the kernel's backlog.
    pub connections: usize,
    /// Most requests that are handled at the same time, over all connections. Further ones are answered with 503.
    pub requests: usize,
    /// From the accept to the head of the first request. This closes the connections of silent peers.
    pub first_request: Duration,
    /// From the first byte of a request's head to its last.
    pub head: Duration,
    /// From a request's head to the end of its body.
    pub body: Duration,
    /// The largest request body. A route may allow less.
    pub body_bytes: usize,
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
    /// How long a connection without a request may take to end after it was asked to.
    pub drain_grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            requests: 1024,
            first_request: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body: Duration::from_secs(20),
            body_bytes: 1024 * 1024,
            request: Duration::from_secs(30),
            answer: Duration::from_secs(60),
            answer_bytes: 64 * 1024 * 1024,
            idle: Duration::from_secs(75),
            drain_grace: Duration::from_secs(2),
        }
    }
}

//! Counts the requests and unread answers of a connection, and decides how long it may stay open.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};

use super::limits::Limits;

/// What a request's head may have on its way in, with the frames that belong to its answer.
const HEAD_BYTES: usize = 4 * 1024;
/// The same of a request with valid credentials, which may have a long head.
const USEFUL_HEAD_BYTES: usize = 32 * 1024;
/// The frame around a chunk of a body has fewer bytes than this.
const FRAME_BYTES: usize = 16;

/// The use of one connection.
pub(super) struct Usage {
    limits: Limits,
    counts: Mutex<UsageCounts>,
    /// Notified when the end time of the connection changes.
    changed: Notify,
    /// Bytes that came and belong to requests, and that the socket was not told of yet.
    granted: AtomicUsize,
}

struct UsageCounts {
    requests: usize,
    /// Deadline of each answer that is not fully read yet. Keys ascend, so the first entry has the earliest
    /// deadline.
    unread_answers: BTreeMap<u64, Instant>,
    next_answer: u64,
    /// Requests that have arrived whole and are being handled.
    handling: usize,
    /// When a request with valid credentials was last answered.
    useful_at: Option<Instant>,
    idle_until: Instant,
    /// Some bytes of the next request have arrived, but not its whole head.
    head_begun: bool,
}

/// Why a connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndReason {
    /// No complete request head arrived in time (limits `first_request`, `head` or `idle`).
    Idle,
    /// The peer did not read an answer within the limit.
    UnreadAnswer,
}

impl UsageCounts {
    fn in_use(&self) -> bool {
        self.requests > 0 || !self.unread_answers.is_empty()
    }

    /// When the connection must end if nothing changes, and why. `None` while a request is handled and no answer
    /// is unread, because a request has a limit of its own.
    fn end(&self) -> Option<(Instant, EndReason)> {
        match self.unread_answers.first_key_value() {
            Some((_, until)) => Some((*until, EndReason::UnreadAnswer)),
            None if self.requests > 0 => None,
            None => Some((self.idle_until, EndReason::Idle)),
        }
    }
}

impl Usage {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let counts = UsageCounts {
            requests: 0,
            unread_answers: BTreeMap::new(),
            next_answer: 0,
            handling: 0,
            useful_at: None,
            idle_until: Instant::now() + limits.first_request,
            head_begun: false,
        };
        Arc::new(Self {
            limits,
            counts: Mutex::new(counts),
            changed: Notify::new(),
            granted: AtomicUsize::new(0),
        })
    }

    /// How useful the connection is: when a request with valid credentials was last answered, and whether a request is
    /// being handled. What is greater is more useful.
    pub(super) fn usefulness(&self) -> (Option<Instant>, bool) {
        let counts = self.counts.lock();
        (counts.useful_at, counts.handling > 0)
    }

    /// A request with valid credentials was answered.
    pub(super) fn was_useful(&self) {
        self.granted.fetch_add(USEFUL_HEAD_BYTES, Ordering::Relaxed);
        self.counts.lock().useful_at = Some(Instant::now());
    }

    /// Counts a request that has arrived whole, until the guard is dropped.
    pub(super) fn begin_handling(self: &Arc<Self>) -> HandlingGuard {
        self.counts.lock().handling += 1;
        HandlingGuard(Arc::clone(self))
    }

    /// Counts a request until the guard is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> RequestGuard {
        self.granted.fetch_add(HEAD_BYTES, Ordering::Relaxed);
        let mut counts = self.counts.lock();
        counts.requests += 1;
        counts.head_begun = false;
        RequestGuard(Arc::clone(self))
    }

    /// Counts an answer as unread until the guard is dropped.
    pub(super) fn begin_answer(self: &Arc<Self>) -> UnreadAnswer {
        let mut counts = self.counts.lock();
        let number = counts.next_answer;
        counts.next_answer += 1;
        let until = Instant::now() + self.limits.answer;
        counts.unread_answers.insert(number, until);
        self.changed.notify_one();
        UnreadAnswer {
            usage: Arc::clone(self),
            number,
        }
    }

    /// Bytes that arrive while the connection is not in use count as the beginning of a request's head. On HTTP/2
    /// they may also be a `PING` or `WINDOW_UPDATE` frame, which is counted alike: without a request, the connection
    /// then ends after the limit `head`.
    pub(super) fn bytes_came(&self) {
        let head_until = Instant::now() + self.limits.head;
        let mut counts = self.counts.lock();
        if !counts.in_use() && !counts.head_begun {
            counts.head_begun = true;
            counts.idle_until = counts.idle_until.min(head_until);
            self.changed.notify_one();
        }
    }

    /// A piece of a request's body has come.
    pub(super) fn body_came(&self, bytes: usize) {
        self.granted
            .fetch_add(bytes + FRAME_BYTES, Ordering::Relaxed);
    }

    /// The bytes that belong to requests, each once.
    pub(super) fn take_granted(&self) -> usize {
        self.granted.swap(0, Ordering::Relaxed)
    }

    /// Waits until the connection must end, and returns the reason.
    pub(super) async fn must_end(&self) -> EndReason {
        loop {
            let end = self.counts.lock().end();
            match end {
                Some((until, reason)) if until <= Instant::now() => return reason,
                // After a notification, or when the time has come, the loop checks again.
                Some((until, _)) => drop(timeout_at(until, self.changed.notified()).await),
                None => self.changed.notified().await,
            }
        }
    }

    /// Waits until no request has been seen for `time`. It checks four times per `time`, so it can miss a short
    /// request.
    pub(super) async fn no_request_for(&self, time: Duration) {
        let mut since = Instant::now();
        while since.elapsed() < time {
            sleep(time.saturating_sub(since.elapsed()).min(time / 4)).await;
            if self.counts.lock().requests > 0 {
                since = Instant::now();
            }
        }
    }

    fn end_use(&self, change: impl FnOnce(&mut UsageCounts)) {
        let mut counts = self.counts.lock();
        change(&mut counts);
        counts.head_begun = false;
        counts.idle_until = Instant::now() + self.limits.idle;
        self.changed.notify_one();
    }
}

/// Counts a request of a connection until it is dropped.
pub(super) struct RequestGuard(Arc<Usage>);

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.0.end_use(|counts| counts.requests -= 1);
    }
}

/// Counts an answer as unread until it is dropped.
pub(super) struct UnreadAnswer {
    usage: Arc<Usage>,
    number: u64,
}

impl Drop for UnreadAnswer {
    fn drop(&mut self) {
        self.usage.end_use(|counts| {
            counts.unread_answers.remove(&self.number);
        });
    }
}

/// Counts a request as being handled until it is dropped.
pub(super) struct HandlingGuard(Arc<Usage>);

impl Drop for HandlingGuard {
    fn drop(&mut self) {
        self.0.counts.lock().handling -= 1;
    }
}

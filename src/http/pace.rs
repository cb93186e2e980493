//! How fast a peer may send what belongs to no request. A `PING` of HTTP/2 costs the peer 17 bytes, and the server an
//! answer; without a limit a few peers keep all threads busy with them. It is a token bucket: each byte that is read
//! costs one token, and the bytes of requests are given back.

use std::{
    future::Future as _,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep};

/// Most bytes that a peer can send at once beyond its requests. It is more than what can be read of a head and a body
/// before they are known to be a request's and given back.
const MAX_BYTES: isize = 128 * 1024;
/// Bytes a second that are given back in any case.
const BYTES_PER_SECOND: u128 = 1024;
/// A read may take more than is left. Larger debts are forgiven, so that one large read stops a peer for 4 s at most.
const MAX_DEBT: isize = 4 * 1024;
/// How often the tokens of a peer that has sent too much are counted again.
const PAUSE: Duration = Duration::from_millis(100);

/// What one connection may send.
pub(super) struct Pace {
    /// Below zero if the last read took more than was left.
    left: isize,
    filled_at: Instant,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self {
            left: MAX_BYTES,
            filled_at: Instant::now(),
            pause: None,
        }
    }

    /// Ready when more may be read. `granted`: bytes that belong to requests and were not granted before.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, granted: usize) -> Poll<()> {
        self.add(granted);
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            self.refill();
            if self.left > 0 {
                return Poll::Ready(());
            }
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
    }

    /// This many bytes were read.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub_unsigned(bytes).max(-MAX_DEBT);
    }

    fn refill(&mut self) {
        let passed = self.filled_at.elapsed().as_millis();
        if let Ok(more @ 1..) = usize::try_from(passed * BYTES_PER_SECOND / 1000) {
            self.filled_at = Instant::now();
            self.add(more);
        }
    }

    fn add(&mut self, bytes: usize) {
        self.left = self.left.saturating_add_unsigned(bytes).min(MAX_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const PIECE: usize = 8 * 1024;

    /// How long it takes to read what can be sent at once and this many pieces more, if each is granted `granted` bytes.
    async fn time_for(pieces: usize, granted: usize) -> Duration {
        let (began, mut pace) = (Instant::now(), Pace::new());
        for _ in 0..MAX_BYTES.unsigned_abs() / PIECE + pieces {
            poll_fn(|cx| pace.poll(cx, granted)).await;
            pace.spend(PIECE);
        }
        began.elapsed()
    }

    #[tokio::test]
    async fn what_belongs_to_requests_is_read_at_once() {
        assert!(time_for(10_000, PIECE).await < PAUSE);
    }

    #[tokio::test]
    async fn what_belongs_to_none_is_read_at_once_up_to_a_limit_and_slowly_beyond() {
        assert!(time_for(0, 0).await < PAUSE);
        // The first piece needs one pause. The second one waits until the debt is paid, which is 4 s.
        let time = time_for(2, 0).await;
        assert!(
            time > Duration::from_secs(4) && time < Duration::from_secs(6),
            "{time:?}"
        );
    }
}

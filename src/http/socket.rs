//! The socket of a peer. It reports what arrives, and is read no faster than the peer may send.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::{pace::Pace, usage::Usage};

/// After this many bytes without a pause a connection yields to the others: a `PING` of HTTP/2 has 17 bytes and yet makes
/// work, and a flood of them would keep a thread of the runtime for itself.
const MAX_BURST_BYTES: usize = 32 * 1024;

/// The peer's socket. It reports to the connection's usage when bytes arrive.
pub(super) struct Socket {
    stream: TcpStream,
    /// Notes when bytes arrive, and counts those that belong to requests.
    usage: Arc<Usage>,
    /// The bytes that were read since the socket last had nothing to read, or yielded.
    burst: usize,
    pace: Pace,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, usage: Arc<Usage>) -> Self {
        Self {
            stream,
            usage,
            burst: 0,
            pace: Pace::new(),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.burst >= MAX_BURST_BYTES {
            self.burst = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let granted = self.usage.take_granted();
        ready!(self.pace.poll(cx, granted));
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let came = buffer.filled().len() - before;
        self.burst = if polled.is_pending() {
            0
        } else {
            self.burst + came
        };
        if came > 0 {
            self.pace.spend(came);
            self.usage.bytes_came();
        }
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

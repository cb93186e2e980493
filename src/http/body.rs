//! Limits the size of a request's body and the time in which it must arrive.

use std::{
    error::Error as StdError,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use hyper::body::Bytes;
use poem::Body;
use tokio::time::{Sleep, sleep, sleep_until};

use super::limits::Limits;

/// Why a body is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyRefused {
    #[error("The body is too large.")]
    TooLarge,
    #[error("The body did not arrive in time.")]
    TooSlow,
}

impl BodyRefused {
    /// Finds the reason in the error into which poem wrapped it.
    pub(super) fn behind(error: &io::Error) -> Option<Self> {
        let mut next: Option<&(dyn StdError + 'static)> = Some(error);
        while let Some(error) = next {
            if let Some(refused) = error.downcast_ref::<Self>() {
                return Some(*refused);
            }
            // `source()` of an `io::Error` skips the error that it wraps.
            let wrapped = error
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
            next = match wrapped {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }
}

/// Wraps the body so that it fails when it grows too large or has not arrived in time.
pub(super) fn limited(body: Body, limits: &Limits) -> Body {
    Body::from_bytes_stream(LimitedBody {
        chunks: Some(body.into_bytes_stream().boxed()),
        bytes_left: limits.body_bytes,
        deadline: Box::pin(sleep(limits.body)),
    })
}

struct LimitedBody {
    /// `None` after the end or a failure.
    chunks: Option<BoxStream<'static, io::Result<Bytes>>>,
    bytes_left: usize,
    deadline: Pin<Box<Sleep>>,
}

impl LimitedBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some(chunks) = &mut self.chunks else {
            return Poll::Ready(None);
        };
        let chunk = match chunks.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(chunk))) => chunk,
            Poll::Ready(end) => return Poll::Ready(end),
            Poll::Pending => {
                return self.deadline.as_mut().poll(cx).map(|()| {
                    Some(Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        BodyRefused::TooSlow,
                    )))
                });
            }
        };
        Poll::Ready(Some(match self.bytes_left.checked_sub(chunk.len()) {
            Some(left) => {
                self.bytes_left = left;
                Ok(chunk)
            }
            None => Err(io::Error::other(BodyRefused::TooLarge)),
        }))
    }
}

impl Stream for LimitedBody {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_chunk(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.chunks = None;
        }
        polled
    }
}

/// A handler may answer before it has read the whole body (413, 401). Closing a socket with unread bytes resets
/// it, and the peer would lose the answer. So the rest is read, within the limits, and discarded.
impl Drop for LimitedBody {
    fn drop(&mut self) {
        let Some(chunks) = self.chunks.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let deadline = self.deadline.deadline();
        let bytes_left = self.bytes_left;
        runtime.spawn(async move {
            let rest = LimitedBody {
                chunks: Some(chunks),
                bytes_left,
                deadline: Box::pin(sleep_until(deadline)),
            };
            rest.for_each(|_| std::future::ready(())).await;
        });
    }
}

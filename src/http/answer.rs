//! Limits how many bytes of unread answers are in memory. A peer that closes its HTTP/2 window, or does not read its
//! socket, keeps its answers in memory until its connection ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::usage::UnreadAnswer;

/// Answers up to this size are not counted. Their number is limited by connections and streams.
const MAX_UNCOUNTED_BYTES: u64 = 4096;

/// An extension of a response whose body is one allocation for all requests, such as the documentation:
/// another copy of it costs no memory.
#[derive(Debug, Clone, Copy)]
pub struct SharedBody;

/// How many bytes of unread answers may be in memory.
pub(super) struct AnswerBudget {
    bytes: Arc<Semaphore>,
    total: u32,
}

impl AnswerBudget {
    pub(super) fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Self {
            bytes: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    /// Takes the bytes of an answer from the budget. An answer that is larger than the whole budget takes
    /// all of it.
    ///
    /// # Errors
    /// When the budget has too few bytes left.
    pub(super) fn take<B: Body>(
        &self,
        answer: &http::Response<B>,
    ) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        let size = answer.body().size_hint();
        let bytes = size.upper().unwrap_or(size.lower());
        if bytes <= MAX_UNCOUNTED_BYTES || answer.extensions().get::<SharedBody>().is_some() {
            return Ok(None);
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total);
        Arc::clone(&self.bytes)
            .try_acquire_many_owned(bytes)
            .map(Some)
    }
}

/// An answer's body. When its last byte is written to the socket, or the connection ends, it frees its bytes in the
/// budget and counts as read.
pub(super) struct AnswerBody<B> {
    body: B,
    held: Arc<Held>,
}

/// It is dropped when the body and all of its chunks, which hyper may keep longer, are dropped.
struct Held {
    _bytes: Option<OwnedSemaphorePermit>,
    _unread: UnreadAnswer,
}

impl<B> AnswerBody<B> {
    pub(super) fn new(body: B, bytes: Option<OwnedSemaphorePermit>, unread: UnreadAnswer) -> Self {
        let held = Arc::new(Held {
            _bytes: bytes,
            _unread: unread,
        });
        Self { body, held }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for AnswerBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        polled.map_ok(|frame| {
            frame.map_data(|bytes| {
                Bytes::from_owner(Chunk {
                    bytes,
                    _held: Arc::clone(&self.held),
                })
            })
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct Chunk {
    bytes: Bytes,
    _held: Arc<Held>,
}

impl AsRef<[u8]> for Chunk {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

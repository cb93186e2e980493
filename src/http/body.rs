//! Limits the size of a request's body, the time in which it must arrive, and the memory of all bodies. A request takes
//! its place in the budget of its class when its body is complete.

use std::{
    error::Error as StdError,
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use hyper::body::Bytes;
use parking_lot::Mutex;
use poem::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    budget::{Budget, Permit},
    limits::Limits,
    receiving::ReceivingPlace,
    refusals::{Refusal, RefusalLog},
    usage::{HandlingGuard, Usage},
};

/// The first bytes of each body are not counted in the memory of all bodies. An event of Clerk has some 5 KB, so it
/// never waits for the budget.
const UNCOUNTED_BYTES: usize = 8 * 1024;

/// Why a body is not read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyRefused {
    #[error("The body is too large.")]
    TooLarge,
    #[error("The body did not arrive in time.")]
    TooSlow,
    #[error("Too many requests are under way.")]
    Busy,
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

/// What a request holds until its handler ends: its place, and the bytes of its body.
#[derive(Default)]
pub(super) struct Held {
    /// Of a request whose body is on its way.
    place: Option<ReceivingPlace>,
    /// Of a request which is handled.
    permit: Option<Permit>,
    handling: Option<HandlingGuard>,
    bytes: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Of a request without a body.
    pub(super) fn handled(permit: Permit, handling: HandlingGuard) -> Self {
        Self {
            permit: Some(permit),
            handling: Some(handling),
            ..Self::default()
        }
    }

    /// Of a request whose body is on its way.
    pub(super) fn receiving(place: ReceivingPlace) -> Self {
        Self {
            place: Some(place),
            ..Self::default()
        }
    }
}

/// What a body takes while it arrives.
pub(super) struct BodyNeeds {
    /// The memory of all bodies.
    pub(super) memory: Arc<Semaphore>,
    /// The budget in which the request takes a place at the end of its body.
    pub(super) budget: Arc<Budget>,
    pub(super) client: IpAddr,
    pub(super) held: Arc<Mutex<Held>>,
    /// Cancelled when another request has taken the place of this one, because its body takes too long.
    pub(super) given_up: CancellationToken,
    pub(super) refusals: Arc<RefusalLog>,
    pub(super) usage: Arc<Usage>,
}

impl BodyNeeds {
    fn chunk_came(&self, received: usize, length: usize) -> Result<(), BodyRefused> {
        let counted = received.saturating_sub(UNCOUNTED_BYTES).min(length);
        let counted = u32::try_from(counted).map_err(|_| BodyRefused::TooLarge)?;
        if counted == 0 {
            return Ok(());
        }
        let memory = Arc::clone(&self.memory);
        let bytes = memory
            .try_acquire_many_owned(counted)
            .map_err(|_| self.busy(Refusal::Bodies))?;
        let mut held = self.held.lock();
        match &mut held.bytes {
            Some(held) => held.merge(bytes),
            none => *none = Some(bytes),
        }
        Ok(())
    }

    fn complete(&self) -> Result<(), BodyRefused> {
        let Some(permit) = self.budget.take(self.client) else {
            return Err(self.busy(Refusal::Requests));
        };
        let mut held = self.held.lock();
        held.place = None;
        held.permit = Some(permit);
        held.handling = Some(self.usage.begin_handling());
        Ok(())
    }

    fn busy(&self, refusal: Refusal) -> BodyRefused {
        self.refusals.note(refusal, self.client);
        BodyRefused::Busy
    }
}

/// Wraps the body so that it fails when it grows too large or has not arrived in time, or when there is no room for it.
pub(super) fn limited(body: Body, limits: &Limits, needs: BodyNeeds) -> Body {
    Body::from_bytes_stream(LimitedBody {
        chunks: Some(body.into_bytes_stream().boxed()),
        bytes_left: limits.body_bytes,
        received: 0,
        given_up: Some(Box::pin(needs.given_up.clone().cancelled_owned())),
        usage: Arc::clone(&needs.usage),
        needs: Some(needs),
        deadline: Box::pin(sleep(limits.body)),
    })
}

struct LimitedBody {
    /// `None` after the end or a failure.
    chunks: Option<BoxStream<'static, io::Result<Bytes>>>,
    bytes_left: usize,
    received: usize,
    usage: Arc<Usage>,
    /// Both are `None` for a rest that is read and discarded.
    needs: Option<BodyNeeds>,
    given_up: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    deadline: Pin<Box<Sleep>>,
}

impl LimitedBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let Some(chunks) = &mut self.chunks else {
            return Poll::Ready(None);
        };
        let chunk = match chunks.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok(chunk))) => {
                self.usage.body_came(chunk.len());
                chunk
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(None) => {
                let complete = self.needs.as_ref().map_or(Ok(()), BodyNeeds::complete);
                return Poll::Ready(complete.err().map(|refused| Err(io::Error::other(refused))));
            }
            Poll::Pending => {
                if let (Some(given_up), Some(needs)) = (&mut self.given_up, &self.needs)
                    && given_up.as_mut().poll(cx).is_ready()
                {
                    let refused = needs.busy(Refusal::Bodies);
                    return Poll::Ready(Some(Err(io::Error::other(refused))));
                }
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
                self.received += chunk.len();
                let room = self
                    .needs
                    .as_ref()
                    .map_or(Ok(()), |needs| needs.chunk_came(self.received, chunk.len()));
                room.map(|()| chunk).map_err(io::Error::other)
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
        let usage = Arc::clone(&self.usage);
        runtime.spawn(async move {
            let rest = LimitedBody {
                chunks: Some(chunks),
                bytes_left,
                received: 0,
                usage,
                needs: None,
                given_up: None,
                deadline: Box::pin(sleep_until(deadline)),
            };
            rest.for_each(|_| std::future::ready(())).await;
        });
    }
}

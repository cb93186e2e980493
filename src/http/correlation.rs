//! The id of a request, which connects its answer with its log lines, and what its log line says of the caller.

use std::cell::{Cell, RefCell};

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::vocabulary::AuthFailure;

/// The header in which an id comes in and goes out.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id from outside is replaced by one of ours.
pub(super) const MAX_ID_BYTES: usize = 128;

/// The request that a task serves.
struct Current {
    id: String,
    actor: RefCell<Option<String>>,
    refused: Cell<Option<AuthFailure>>,
}

tokio::task_local! {
    static CURRENT: Current;
}

/// The id of the request that this task serves, if it serves one.
pub fn current() -> Option<String> {
    CURRENT.try_with(|current| current.id.clone()).ok()
}

/// Notes who sends this request: the name that would go to the audit trail.
pub(super) fn set_actor(actor: String) {
    // Outside a request there is no log line either.
    let _ = CURRENT.try_with(|current| current.actor.replace(Some(actor)));
}

/// Notes why the credentials of this request were refused.
pub(super) fn set_refused(reason: AuthFailure) {
    let _ = CURRENT.try_with(|current| current.refused.set(Some(reason)));
}

/// The actor of this request, and why its credentials were refused.
pub(super) fn caller() -> (Option<String>, Option<AuthFailure>) {
    CURRENT
        .try_with(|current| (current.actor.borrow().clone(), current.refused.get()))
        .unwrap_or_default()
}

/// Runs a request with its id.
pub(super) async fn scope<F: Future>(id: String, request: F) -> F::Output {
    let current = Current {
        id,
        actor: RefCell::default(),
        refused: Cell::default(),
    };
    CURRENT.scope(current, request).await
}

/// The caller's own id if it is one and plain (1 to 128 letters, digits and the characters of `-_.:=/+@`), or a new
/// UUID v7. Other characters would mean something to a page or a shell that shows the log.
pub(super) fn id_for(headers: &HeaderMap) -> String {
    let mut ids = headers.get_all(HEADER).iter();
    let (first, second) = (ids.next(), ids.next());
    first
        .filter(|_| second.is_none())
        .and_then(|value| value.to_str().ok())
        .filter(|id| (1..=MAX_ID_BYTES).contains(&id.len()))
        .filter(|id| id.bytes().all(is_plain))
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:=/+@".contains(&byte)
}

/// Writes the id into `headers`. The id must be valid for a header.
pub(super) fn set(headers: &mut HeaderMap, id: &str) {
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HEADER, value);
    }
}

//! The id of a request, which connects its answer with its log lines.

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// The header in which an id comes in and goes out.
pub(super) const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// A longer id from outside is replaced by one of ours.
pub(super) const MAX_ID_BYTES: usize = 128;

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the request that this task serves, if it serves one.
pub fn current() -> Option<String> {
    CURRENT.try_with(Clone::clone).ok()
}

/// Runs a request with its id.
pub(super) async fn scope<F: Future>(id: String, request: F) -> F::Output {
    CURRENT.scope(id, request).await
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

//! `lethe send-webhook`: the signed `user.deleted` event that Clerk would send.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use svix::webhooks::WebhookError;
use uuid::Uuid;

use crate::http::webhook_signature::WebhookSecret;

/// Svix gives up on a delivery after this time, so we do too.
const DELIVERY_LIMIT: Duration = Duration::from_secs(15);

/// The event time of a delivery whose id the caller chose, in milliseconds since 1970.
///
/// A repeat has to carry the same bytes as the first delivery, else it counts as another event
/// under the same id and is refused with 409.
const REPEATABLE_EVENT_TIME_MS: i64 = 1_700_000_000_000;

/// The answer of the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The id that was sent as `svix-id`; sending it again must change nothing.
    pub svix_id: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The body of the answer: empty, or a problem document.
    pub body: String,
}

/// Why an event could not be delivered at all.
#[derive(Debug, thiserror::Error)]
pub enum SendWebhookError {
    /// The svix crate refused.
    #[error("the event cannot be signed")]
    Sign(#[source] WebhookError),
    /// The endpoint did not answer.
    #[error("the event could not be sent to {url}")]
    Send {
        /// Where it was meant to go.
        url: String,
        /// What went wrong on the way.
        #[source]
        source: reqwest::Error,
    },
}

/// Signs a `user.deleted` event for `user_id` and posts it to `url`.
///
/// Without `svix_id` each call is a new event; with one, a repeat of the same call is a repeat of
/// the same event.
///
/// # Errors
/// When no answer came. An answer other than 2xx is not an error here:
/// it is in [`Delivery::status`].
pub async fn send(
    url: &str,
    secret: &WebhookSecret,
    user_id: &str,
    svix_id: Option<String>,
) -> Result<Delivery, SendWebhookError> {
    let now = Utc::now();
    let event_time_ms = match svix_id {
        Some(_) => REPEATABLE_EVENT_TIME_MS,
        None => now.timestamp_millis(),
    };
    let svix_id = svix_id.unwrap_or_else(|| format!("msg_{}", Uuid::new_v4().simple()));
    let body = user_deleted(user_id, event_time_ms);
    let signature = secret
        .sign(&svix_id, now.timestamp(), &body)
        .map_err(SendWebhookError::Sign)?;

    let failed = |source| SendWebhookError::Send {
        url: url.to_owned(),
        source,
    };
    let client = reqwest::Client::builder()
        .timeout(DELIVERY_LIMIT)
        .build()
        .map_err(failed)?;
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("svix-id", &svix_id)
        .header("svix-timestamp", now.timestamp().to_string())
        .header("svix-signature", signature)
        .body(body)
        .send()
        .await
        .map_err(failed)?;
    let status = answer.status().as_u16();
    let body = answer.text().await.map_err(failed)?;
    Ok(Delivery {
        svix_id,
        status,
        body,
    })
}

/// The signing secret of a `lethe dev` that keeps its state in this directory.
#[must_use]
pub fn secret_of_dev() -> Option<String> {
    let text = std::fs::read_to_string("./.lethe/state.json").ok()?;
    let state: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(state.get("webhook_signing_secret")?.as_str()?.to_owned())
}

/// The event's body as Clerk writes it.
fn user_deleted(user_id: &str, event_time_ms: i64) -> String {
    json!({
        "data": { "deleted": true, "id": user_id, "object": "user" },
        "object": "event",
        "timestamp": event_time_ms,
        "type": "user.deleted",
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_event_names_the_user_and_escapes_what_must_be_escaped() {
        let body: serde_json::Value =
            serde_json::from_str(&user_deleted("user_\"1\"", 7)).expect("the body is JSON");
        assert_eq!(body["type"], "user.deleted");
        assert_eq!(body["data"]["id"], "user_\"1\"");
        assert_eq!(body["timestamp"], 7);
    }
}

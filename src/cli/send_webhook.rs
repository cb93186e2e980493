//! `lethe send-webhook`: the signed `user.deleted` event that Clerk would send.

use std::time::Duration;

use chrono::Utc;
use serde_json::json;
use svix::webhooks::{Webhook, WebhookError};
use uuid::Uuid;

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
    /// The secret is not `whsec_` and base64.
    #[error("the webhook signing secret cannot be used")]
    Secret(#[source] WebhookError),
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
/// Of several comma-separated secrets (as they stand while rotating) the first one signs. Without
/// `svix_id` each call is a new event; with one, a repeat of the same call is a repeat of the
/// same event.
///
/// # Errors
/// When the secret is unusable or no answer came. An answer other than 2xx is not an error here:
/// it is in [`Delivery::status`].
pub async fn send(
    url: &str,
    secret: &str,
    user_id: &str,
    svix_id: Option<String>,
) -> Result<Delivery, SendWebhookError> {
    let secret = secret.split(',').next().unwrap_or(secret).trim();
    let webhook = Webhook::new(secret).map_err(SendWebhookError::Secret)?;
    let now = Utc::now();
    let event_time_ms = match svix_id {
        Some(_) => REPEATABLE_EVENT_TIME_MS,
        None => now.timestamp_millis(),
    };
    let svix_id = svix_id.unwrap_or_else(|| format!("msg_{}", Uuid::new_v4().simple()));
    let body = user_deleted(user_id, event_time_ms);
    let signature = webhook
        .sign(&svix_id, now.timestamp(), body.as_bytes())
        .map_err(SendWebhookError::Secret)?;

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

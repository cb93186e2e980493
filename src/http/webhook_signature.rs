//! Verifies that a webhook comes from Clerk, by the Svix signature over the raw body.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderMap;
use svix::webhooks::{Webhook, WebhookError};

/// The longest message id that is accepted; Svix' own are some 30 characters.
const MAX_ID_BYTES: usize = 256;

/// What every Svix signing secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// The shortest secret that is accepted. Svix makes 24 bytes.
const MIN_SECRET_BYTES: usize = 16;

/// A signing secret, which verifies and signs. `Debug` does not show it.
#[derive(Debug, Clone)]
pub struct WebhookSecret(Arc<Webhook>);

/// Why a text is not a signing secret. The message continues a sentence that begins with "an entry". It never
/// repeats the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookSecretError {
    #[error("that does not begin with whsec_")]
    Prefix,
    #[error("that is not whsec_ and base64")]
    Base64,
    #[error("that has fewer than {MIN_SECRET_BYTES} bytes")]
    Short,
}

impl FromStr for WebhookSecret {
    type Err = WebhookSecretError;

    fn from_str(text: &str) -> Result<Self, WebhookSecretError> {
        let secret = text
            .strip_prefix(SECRET_PREFIX)
            .ok_or(WebhookSecretError::Prefix)?;
        let webhook = Webhook::new(text).map_err(|_| WebhookSecretError::Base64)?;
        // The svix crate has checked that it is base64, with or without padding.
        if secret.trim_end_matches('=').len() * 6 / 8 < MIN_SECRET_BYTES {
            return Err(WebhookSecretError::Short);
        }
        Ok(Self(Arc::new(webhook)))
    }
}

impl WebhookSecret {
    /// The value of `svix-signature` for a delivery.
    ///
    /// # Errors
    /// The errors of the svix crate.
    pub fn sign(&self, svix_id: &str, timestamp: i64, body: &str) -> Result<String, WebhookError> {
        self.0.sign(svix_id, timestamp, body.as_bytes())
    }
}

/// Why a delivery was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the `svix-{0}` header is missing")]
    MissingHeader(&'static str),
    #[error("the `svix-{0}` header is not valid")]
    InvalidHeader(&'static str),
    #[error("the timestamp is older than five minutes")]
    Stale,
    #[error("the timestamp is more than five minutes in the future")]
    FromTheFuture,
    #[error("no signature fits the body")]
    Mismatch,
}

/// A delivery whose signature, by one of our secrets, covers its id, its timestamp and its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedWebhook {
    /// The id is the same for every retry of one event, and for both endpoints during a rotation.
    pub svix_id: String,
}

/// Holds the signing secrets: usually one, or two during a rotation. Without any, every delivery is refused.
pub struct WebhookVerifier {
    secrets: Vec<WebhookSecret>,
}

impl WebhookVerifier {
    pub fn new(secrets: Vec<WebhookSecret>) -> Self {
        Self { secrets }
    }

    /// Verifies `svix-id`, `svix-timestamp` and `svix-signature` (or their `webhook-*` names, as
    /// Standard Webhooks calls them) over the body exactly as it was received. The tolerance of the
    /// timestamp is the five minutes of the svix crate.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<VerifiedWebhook, SignatureError> {
        let mut refusal = SignatureError::Mismatch;
        for secret in &self.secrets {
            match secret.0.verify(body, headers) {
                Ok(()) => {
                    return Ok(VerifiedWebhook {
                        svix_id: message_id(headers)?,
                    });
                }
                Err(error) => refusal = error.into(),
            }
        }
        Err(refusal)
    }
}

impl fmt::Debug for WebhookVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookVerifier({} secrets)", self.secrets.len())
    }
}

impl From<WebhookError> for SignatureError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::MissingHeader(name) => Self::MissingHeader(name),
            WebhookError::InvalidHeader(name) => Self::InvalidHeader(name),
            WebhookError::InvalidTimestamp => Self::InvalidHeader("timestamp"),
            WebhookError::TimestampTooOldError => Self::Stale,
            WebhookError::FutureTimestampError => Self::FromTheFuture,
            // A body that is not UTF-8 cannot have been signed by Svix either.
            WebhookError::InvalidSignature
            | WebhookError::InvalidPayload
            | WebhookError::InvalidSecret(_)
            | WebhookError::EmptySecret => Self::Mismatch,
        }
    }
}

/// The id that the signature covered: the same header, in the same order, that the svix crate reads.
fn message_id(headers: &HeaderMap) -> Result<String, SignatureError> {
    let header = headers
        .get("svix-id")
        .or_else(|| headers.get("webhook-id"))
        .ok_or(SignatureError::MissingHeader("id"))?;
    match header.to_str() {
        Ok(id) if (1..=MAX_ID_BYTES).contains(&id.len()) => Ok(id.to_owned()),
        _ => Err(SignatureError::InvalidHeader("id")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const BODY: &[u8] = br#"{"type":"user.deleted","data":{"id":"user_1"}}"#;
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";

    fn now() -> i64 {
        chrono::Utc::now().timestamp()
    }

    fn signed_as(prefix: &str, secret: &str, id: &str, timestamp: i64) -> HeaderMap {
        let signature = Webhook::new(secret)
            .unwrap()
            .sign(id, timestamp, BODY)
            .unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("id", id.to_owned()),
            ("timestamp", timestamp.to_string()),
            ("signature", signature),
        ] {
            let name: http::HeaderName = format!("{prefix}-{name}").parse().unwrap();
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    fn signed(secret: &str, timestamp: i64) -> HeaderMap {
        signed_as("svix", secret, ID, timestamp)
    }

    fn verifier(secrets: &[&str]) -> WebhookVerifier {
        WebhookVerifier::new(
            secrets
                .iter()
                .map(|secret| secret.parse().unwrap())
                .collect(),
        )
    }

    #[test]
    fn the_id_is_that_of_the_headers_that_were_signed() {
        for prefix in ["svix", "webhook"] {
            let headers = signed_as(prefix, SECRET, ID, now());
            let verified = verifier(&[SECRET]).verify(&headers, BODY).unwrap();
            assert_eq!(verified.svix_id, ID);
        }
        let longest = "x".repeat(MAX_ID_BYTES);
        let headers = signed_as("svix", SECRET, &longest, now());
        verifier(&[SECRET]).verify(&headers, BODY).unwrap();
        let headers = signed_as("svix", SECRET, &format!("{longest}x"), now());
        assert_eq!(
            verifier(&[SECRET]).verify(&headers, BODY),
            Err(SignatureError::InvalidHeader("id"))
        );
    }

    #[test]
    fn each_refusal_says_why() {
        let refusal = |headers: &HeaderMap, body| verifier(&[SECRET]).verify(headers, body);
        let good = signed(SECRET, now());
        for body in [&b"{}"[..], b"\xff\xfe"] {
            assert_eq!(refusal(&good, body), Err(SignatureError::Mismatch));
        }
        let stale = signed(SECRET, now() - 310);
        assert_eq!(refusal(&stale, BODY), Err(SignatureError::Stale));
        let early = signed(SECRET, now() + 310);
        assert_eq!(refusal(&early, BODY), Err(SignatureError::FromTheFuture));
        for name in ["id", "timestamp", "signature"] {
            let mut headers = good.clone();
            headers.remove(format!("svix-{name}"));
            let missing = Err(SignatureError::MissingHeader(name));
            assert_eq!(refusal(&headers, BODY), missing);
        }
        let mut headers = good.clone();
        headers.insert("svix-timestamp", "soon".parse().unwrap());
        let invalid = Err(SignatureError::InvalidHeader("timestamp"));
        assert_eq!(refusal(&headers, BODY), invalid);
    }

    #[test]
    fn while_rotating_either_secret_verifies_and_a_third_does_not() {
        let rotating = verifier(&[SECRET, OTHER_SECRET]);
        rotating.verify(&signed(SECRET, now()), BODY).unwrap();
        rotating.verify(&signed(OTHER_SECRET, now()), BODY).unwrap();
        let stranger = signed("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", now());
        assert_eq!(
            rotating.verify(&stranger, BODY),
            Err(SignatureError::Mismatch)
        );
    }

    #[test]
    fn without_secrets_every_delivery_is_refused() {
        let refused = verifier(&[]).verify(&signed(SECRET, now()), BODY);
        assert_eq!(refused, Err(SignatureError::Mismatch));
    }

    #[test]
    fn a_secret_that_cannot_be_used_is_refused_and_none_is_shown() {
        for (bad, error) in [
            ("", WebhookSecretError::Prefix),
            ("hunter2", WebhookSecretError::Prefix),
            ("whsec_", WebhookSecretError::Base64),
            ("whsec_not base64!", WebhookSecretError::Base64),
            ("whsec_YQ==", WebhookSecretError::Short),
            ("whsec_MTIzNDU2Nzg5MDEyMzQ1", WebhookSecretError::Short),
        ] {
            assert_eq!(bad.parse::<WebhookSecret>().unwrap_err(), error, "{bad}");
        }
        "whsec_MTIzNDU2Nzg5MDEyMzQ1Ng=="
            .parse::<WebhookSecret>()
            .unwrap();
        let secret: WebhookSecret = SECRET.parse().unwrap();
        assert!(!format!("{secret:?}").contains(SECRET), "{secret:?}");
    }
}

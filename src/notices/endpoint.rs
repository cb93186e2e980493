//! Where notices go, and how they are signed.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, Url};
use sha2::{Digest as _, Sha256};
use svix::webhooks::Webhook;
use uuid::Uuid;

use crate::secret::Secret;

/// What every secret of Standard Webhooks begins with.
const PREFIX: &str = "whsec_";
/// Fewer bytes can be guessed. Standard Webhooks asks for 24 to 64.
const MIN_SECRET_BYTES: usize = 16;

/// A receiver of notices.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    /// At least one; each signs, so that the receiver can rotate.
    secrets: Vec<Secret>,
}

impl fmt::Debug for Endpoint {
    /// Shows the host only: the path or the query may hold a token.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Endpoint({})", self.host())
    }
}

/// Why a secret cannot sign. It never shows the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("does not begin with whsec_")]
    Prefix,
    #[error("is not base64 after whsec_")]
    Encoding,
    #[error("has fewer than 16 bytes")]
    TooShort,
}

/// Parses one secret.
///
/// # Errors
/// If it could not sign, or could be guessed.
pub fn parse_secret(text: &str) -> Result<Secret, SecretError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
    let bytes = STANDARD
        .decode(encoded)
        .map_err(|_| SecretError::Encoding)?;
    if bytes.len() < MIN_SECRET_BYTES {
        return Err(SecretError::TooShort);
    }
    Ok(Secret::new(text))
}

impl Endpoint {
    /// The secrets are those of [`parse_secret`], at least one.
    #[must_use]
    pub fn new(url: Url, secrets: Vec<Secret>) -> Self {
        Self { url, secrets }
    }

    /// The URL, which may hold a token.
    pub(super) fn url(&self) -> Url {
        self.url.clone()
    }

    /// The host alone, for logs.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Whether the receiver answers at all, whatever it answers. It gets a HEAD, and no notice.
    ///
    /// # Errors
    /// If there is no answer within `limit`. The error does not show the URL.
    pub async fn reach(&self, limit: Duration) -> Result<(), reqwest::Error> {
        let answer = client(limit, limit)?.head(self.url()).send().await;
        answer.map(drop).map_err(reqwest::Error::without_url)
    }

    /// How the database knows the endpoint.
    #[must_use]
    pub fn digest(&self) -> Vec<u8> {
        Sha256::digest(self.url.as_str()).to_vec()
    }

    /// The header `webhook-signature`: one signature for each secret. `at` is in seconds since 1970.
    ///
    /// # Errors
    /// If a secret is none of [`parse_secret`].
    pub(super) fn sign(
        &self,
        id: Uuid,
        at: i64,
        body: &str,
    ) -> Result<String, svix::webhooks::WebhookError> {
        let id = id.to_string();
        let signatures: Result<Vec<String>, _> = self
            .secrets
            .iter()
            .map(|secret| Webhook::new(secret.expose())?.sign(&id, at, body.as_bytes()))
            .collect();
        signatures.map(|signatures| signatures.join(" "))
    }
}

/// A client that follows no redirect, which could send a notice to somebody else.
pub(super) fn client(connect: Duration, request: Duration) -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(connect)
        .timeout(request)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("Lethe/", env!("CARGO_PKG_VERSION")))
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_could_be_guessed_is_refused() {
        for (text, error) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Prefix),
            ("whsec_!", SecretError::Encoding),
            ("whsec_c2hvcnQ=", SecretError::TooShort),
        ] {
            assert_eq!(parse_secret(text), Err(error), "{text}");
        }
    }

    #[test]
    fn the_url_is_not_shown() {
        let secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let url = "https://example.com/hooks?token=hunter2".parse().unwrap();
        let endpoint = Endpoint::new(url, vec![secret]);
        assert_eq!(format!("{endpoint:?}"), "Endpoint(example.com)");
    }
}

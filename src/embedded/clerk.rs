//! A stand-in for Clerk: a key of our own, and session tokens signed by it.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// Clerk's tokens become valid this many seconds before they are issued, for clocks that differ.
const LEEWAY_SECONDS: i64 = 10;
/// The width of the lines in a PEM file (RFC 7468, section 2).
const PEM_WIDTH: usize = 64;

/// Why there is no stand-in for Clerk.
#[derive(Debug, thiserror::Error)]
pub enum SignerError {
    /// No key could be made.
    #[error("cannot make an RSA key")]
    NewKey,
    /// The kept key is damaged.
    #[error("the kept Clerk key cannot be used; remove the state file to have a new one made")]
    BadKey,
    /// A token could not be signed.
    #[error("cannot sign a session token")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

/// Signs session tokens as Clerk does (RS256, claims of version 2).
#[derive(Clone)]
pub struct ClerkSigner {
    key: EncodingKey,
    public_key: String,
    issuer: String,
    authorized_party: Option<String>,
}

/// The claims of a session token, version 2: <https://clerk.com/docs/guides/sessions/session-tokens>.
#[derive(Serialize)]
struct SessionClaims<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    azp: Option<&'a str>,
    exp: i64,
    iat: i64,
    iss: &'a str,
    nbf: i64,
    sid: String,
    sub: &'a str,
    v: u8,
}

impl ClerkSigner {
    /// A signer from a PKCS#8 key in PEM. Its tokens name `issuer`, and `authorized_party` (the
    /// `azp` claim) if there is one.
    ///
    /// # Errors
    /// When the text is no RSA key.
    pub fn new(
        private_key: &str,
        issuer: impl Into<String>,
        authorized_party: Option<String>,
    ) -> Result<Self, SignerError> {
        let der = from_pem(private_key).ok_or(SignerError::BadKey)?;
        let pair = KeyPair::from_pkcs8(&der).map_err(|_| SignerError::BadKey)?;
        let public: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| SignerError::BadKey)?;
        let key =
            EncodingKey::from_rsa_pem(private_key.as_bytes()).map_err(|_| SignerError::BadKey)?;
        let public_key = to_pem("PUBLIC KEY", public.as_ref());
        Ok(Self {
            key,
            public_key,
            issuer: issuer.into(),
            authorized_party,
        })
    }

    /// The public key in PEM, for `CLERK_JWT_KEY`.
    pub fn public_key(&self) -> &str {
        &self.public_key
    }

    /// The `iss` of its tokens.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A session token of this user, valid from now on for `lifetime`.
    ///
    /// # Errors
    /// When signing fails.
    pub fn session_token(&self, user_id: &str, lifetime: Duration) -> Result<String, SignerError> {
        let now = Utc::now().timestamp();
        let lifetime_seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let claims = SessionClaims {
            azp: self.authorized_party.as_deref(),
            exp: now.saturating_add(lifetime_seconds),
            iat: now,
            iss: &self.issuer,
            nbf: now - LEEWAY_SECONDS,
            sid: format!("sess_{}", super::random::random_hex::<14>()),
            sub: user_id,
            v: 2,
        };
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some("ins_lethe_dev".to_owned());
        jsonwebtoken::encode(&header, &claims, &self.key).map_err(SignerError::Sign)
    }
}

/// A new RSA key of 2,048 bits: PKCS#8, PEM.
///
/// # Errors
/// When the library cannot make one.
pub fn new_private_key() -> Result<String, SignerError> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| SignerError::NewKey)?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| SignerError::NewKey)?;
    Ok(to_pem("PRIVATE KEY", der.as_ref()))
}

fn to_pem(label: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(PEM_WIDTH));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str(&format!("-----END {label}-----\n"));
    pem
}

fn from_pem(pem: &str) -> Option<Vec<u8>> {
    let text: String = pem
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    BASE64.decode(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jsonwebtoken::{DecodingKey, Validation, decode};
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_session_token_is_verified_by_the_public_key() {
        let private_key = new_private_key().expect("a key");
        let signer = ClerkSigner::new(&private_key, "https://clerk.example", None).expect("signer");
        let token = signer
            .session_token("user_1", Duration::from_secs(60))
            .expect("token");

        let key = DecodingKey::from_rsa_pem(signer.public_key().as_bytes()).expect("public key");
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&["https://clerk.example"]);
        let claims = decode::<HashMap<String, Value>>(&token, &key, &validation)
            .expect("the token is valid")
            .claims;
        assert_eq!(claims["sub"], "user_1");
        assert_eq!(claims["v"], 2);
        assert!(!claims.contains_key("azp"));
    }

    #[test]
    fn a_damaged_key_is_refused() {
        assert!(ClerkSigner::new("-----BEGIN PRIVATE KEY-----\nAAAA\n", "x", None).is_err());
    }
}

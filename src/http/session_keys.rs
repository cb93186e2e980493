//! The public keys that verify session tokens, or the URL from which they are fetched.

use jsonwebtoken::DecodingKey;
use reqwest::Url;

/// Where the public keys come from (RS256).
#[derive(Debug, Clone)]
pub enum SessionKeys {
    /// `CLERK_JWT_KEY`: one RSA public key.
    Fixed(Box<DecodingKey>),
    /// `CLERK_JWKS_URL`, an `http` or `https` URL.
    Jwks(Url),
}

/// Why a text is not a public key. No message repeats key material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Without this error, the library would read it like a public key and then refuse every token.
    #[error("is a private key")]
    Private,
    #[error("is not an RSA public key in PEM form")]
    Malformed,
}

impl SessionKeys {
    /// One RSA public key in PEM form. Its line breaks may be written as `\n`.
    ///
    /// # Errors
    /// [`PemError`] if the text is not such a key.
    pub fn from_pem(text: &str) -> Result<Self, PemError> {
        let pem = text.replace("\\r", "").replace("\\n", "\n");
        if pem.contains("PRIVATE KEY") {
            return Err(PemError::Private);
        }
        if !pem.contains("PUBLIC KEY") {
            return Err(PemError::Malformed);
        }
        let key = DecodingKey::from_rsa_pem(pem.trim().as_bytes());
        key.map(|key| Self::Fixed(Box::new(key)))
            .map_err(|_| PemError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE_KEY: &str = include_str!("../../tests/it/fixtures/session-key.pem");
    const PUBLIC_KEY: &str = include_str!("../../tests/it/fixtures/session-key.pub.pem");

    #[test]
    fn a_key_may_carry_escaped_line_breaks() {
        for key in [
            PUBLIC_KEY.to_owned(),
            PUBLIC_KEY.replace('\n', "\\n"),
            PUBLIC_KEY.replace('\n', "\\r\\n"),
        ] {
            assert!(SessionKeys::from_pem(&key).is_ok(), "{key}");
        }
    }

    #[test]
    fn a_key_that_cannot_be_used_is_refused() {
        for (key, error) in [
            (PRIVATE_KEY, PemError::Private),
            ("", PemError::Malformed),
            ("pk_test_x", PemError::Malformed),
            (
                "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
                PemError::Malformed,
            ),
            (
                "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
                PemError::Malformed,
            ),
        ] {
            assert_eq!(SessionKeys::from_pem(key).unwrap_err(), error, "{key}");
        }
    }
}

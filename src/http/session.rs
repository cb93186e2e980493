//! Verifies Clerk session tokens. Other tokens that Clerk signs with the same key are refused.

use std::fmt;

use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};

use super::jwks::{Jwks, JwksTiming, KeyLookup};
pub use super::session_claims::SessionError;
use super::session_claims::{
    CATEGORY_UNSPECIFIED, Claims, category, check_header, check_rights, refusal,
};
use super::session_keys::SessionKeys;

/// Clock skew that is tolerated for `exp`, `nbf` and `iat`; Clerk's own SDKs allow the same.
const LEEWAY_SECONDS: u64 = 5;
/// A longer token is refused before it is parsed. Clerk's must fit into a cookie of 4 KiB.
const MAX_TOKEN_BYTES: usize = 16 * 1024;
/// A longer user id is refused; Clerk's have 32 characters.
const MAX_USER_ID_BYTES: usize = 255;

/// The requirements that a session token must meet.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    pub keys: SessionKeys,
    /// `iss` must be exactly this, if given.
    pub issuer: Option<String>,
    /// `azp` must be one of these, if there are any.
    pub authorized_parties: Vec<String>,
}

/// A user whose token was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// `user_…`, as in `users.id`.
    pub user_id: String,
    /// `sess_…`
    pub session_id: Option<String>,
}

/// Verifies session tokens (RS256) with a fixed key or with a JWKS that is cached.
pub struct SessionVerifier {
    keys: Keys,
    validation: Validation,
    issuer: Option<String>,
    authorized_parties: Vec<String>,
}

enum Keys {
    Fixed(Box<DecodingKey>),
    Jwks(Jwks),
}

impl SessionVerifier {
    /// Makes a verifier. It does not fetch the JWKS yet.
    ///
    /// # Errors
    /// When the HTTP client for the JWKS cannot be made.
    pub fn new(config: SessionConfig) -> Result<Self, reqwest::Error> {
        Self::with_jwks_timing(config, JwksTiming::default())
    }

    /// Like [`new`](Self::new), with other intervals for the JWKS.
    pub fn with_jwks_timing(
        config: SessionConfig,
        timing: JwksTiming,
    ) -> Result<Self, reqwest::Error> {
        let keys = match config.keys {
            SessionKeys::Fixed(key) => Keys::Fixed(key),
            SessionKeys::Jwks(url) => Keys::Jwks(Jwks::new(url, timing)?),
        };
        Ok(Self {
            keys,
            validation: validation(),
            issuer: config.issuer,
            authorized_parties: config.authorized_parties,
        })
    }

    /// # Errors
    /// [`SessionError`]. 401 is decided before 403, so that only the holder of a valid token can get a 403.
    pub async fn verify(&self, token: &str) -> Result<Session, SessionError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(SessionError::Invalid("is too long"));
        }
        let header = decode_header(token).map_err(|_| SessionError::Invalid("is malformed"))?;
        check_header(&header)?;
        let key = self.key_for(&header).await?;
        let claims = decode::<Claims>(token, &key, &self.validation)
            .map_err(|error| refusal(&error))?
            .claims;
        self.check_claims(&header, &claims)?;
        check_rights(&claims)?;
        Ok(Session {
            user_id: claims.sub,
            session_id: claims.sid,
        })
    }

    /// Fetches the JWKS if that has not been done yet: for `lethe check` and for a warm start.
    ///
    /// # Errors
    /// [`SessionError::Unavailable`] if there is no key to verify anything with.
    pub async fn warm_up(&self) -> Result<(), SessionError> {
        match &self.keys {
            Keys::Fixed(_) => Ok(()),
            Keys::Jwks(jwks) => match jwks.find("").await {
                KeyLookup::Unavailable => Err(SessionError::Unavailable),
                KeyLookup::Found(_) | KeyLookup::Unknown => Ok(()),
            },
        }
    }

    async fn key_for(&self, header: &Header) -> Result<DecodingKey, SessionError> {
        let jwks = match &self.keys {
            Keys::Fixed(key) => return Ok(DecodingKey::clone(key)),
            Keys::Jwks(jwks) => jwks,
        };
        let kid = header
            .kid
            .as_deref()
            .ok_or(SessionError::Invalid("names no key"))?;
        match jwks.find(kid).await {
            KeyLookup::Found(key) => Ok(key),
            KeyLookup::Unknown => Err(SessionError::Invalid("is signed with an unknown key")),
            KeyLookup::Unavailable => Err(SessionError::Unavailable),
        }
    }

    fn check_claims(&self, header: &Header, claims: &Claims) -> Result<(), SessionError> {
        let is_user = claims
            .sub
            .strip_prefix("user_")
            .is_some_and(|id| !id.is_empty());
        if !is_user || claims.sub.len() > MAX_USER_ID_BYTES {
            return Err(SessionError::Invalid("is not a user's"));
        }
        let latest = jsonwebtoken::get_current_timestamp() + LEEWAY_SECONDS;
        if claims.iat.is_some_and(|issued| issued > latest as f64) {
            return Err(SessionError::Invalid("is not yet valid"));
        }
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(SessionError::Invalid("comes from another issuer"));
        }
        if !self.authorized_parties.is_empty()
            && !claims
                .azp
                .as_ref()
                .is_some_and(|azp| self.authorized_parties.contains(azp))
        {
            return Err(SessionError::Invalid("was issued to another party"));
        }
        // If the category says nothing, only the session id distinguishes a session from a template.
        if category(header)?.as_deref() == Some(CATEGORY_UNSPECIFIED) && claims.sid.is_none() {
            return Err(SessionError::Invalid("is not a session's"));
        }
        Ok(())
    }
}

impl fmt::Debug for SessionVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionVerifier")
            .field("issuer", &self.issuer)
            .field("authorized_parties", &self.authorized_parties)
            .finish_non_exhaustive()
    }
}

fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::RS256);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    // Clerk's sessions are bound to a party (`azp`), not to an audience.
    validation.validate_aud = false;
    validation
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, encode};
    use serde_json::{Value, json};

    use super::super::session_claims::CATEGORY_SESSION;
    use super::*;

    const KEY: &str = include_str!("../../tests/it/fixtures/session-key.pem");
    const PUBLIC_KEY: &str = include_str!("../../tests/it/fixtures/session-key.pub.pem");
    const OTHER_KEY: &str = include_str!("../../tests/it/fixtures/other-key.pem");
    const ISSUER: &str = "https://clerk.example.com";
    const PARTY: &str = "https://app.example.com";

    fn verifier() -> SessionVerifier {
        SessionVerifier::new(SessionConfig {
            keys: SessionKeys::from_pem(PUBLIC_KEY).unwrap(),
            issuer: Some(ISSUER.into()),
            authorized_parties: vec!["https://other.example.com".into(), PARTY.into()],
        })
        .unwrap()
    }

    fn now() -> i64 {
        chrono::Utc::now().timestamp()
    }

    fn session_header() -> Header {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some("ins_1".into());
        header.extras.insert("cat", CATEGORY_SESSION);
        header
    }

    /// A good session's claims, with `changes` laid over them; `null` removes a claim.
    fn claims(changes: Value) -> Value {
        let mut claims = json!({
            "sub": "user_1", "sid": "sess_1", "iss": ISSUER, "azp": PARTY, "fva": [1, -1], "v": 2,
            "iat": now(), "nbf": now() - 10, "exp": now() + 60,
        });
        let object = claims.as_object_mut().unwrap();
        for (name, value) in changes.as_object().unwrap() {
            if value.is_null() {
                object.remove(name);
            } else {
                object.insert(name.clone(), value.clone());
            }
        }
        claims
    }

    fn signed(header: &Header, claims: &Value, key: &str) -> String {
        encode(
            header,
            claims,
            &EncodingKey::from_rsa_pem(key.as_bytes()).unwrap(),
        )
        .unwrap()
    }

    async fn with_claims(changes: Value) -> Result<Session, SessionError> {
        verifier()
            .verify(&signed(&session_header(), &claims(changes), KEY))
            .await
    }

    async fn with_header(change: impl FnOnce(&mut Header)) -> Result<Session, SessionError> {
        let mut header = session_header();
        change(&mut header);
        verifier()
            .verify(&signed(&header, &claims(json!({})), KEY))
            .await
    }

    fn invalid(result: Result<Session, SessionError>) -> bool {
        matches!(
            result,
            Err(SessionError::Invalid(_) | SessionError::Expired)
        )
    }

    #[tokio::test]
    async fn a_session_token_names_its_user() {
        let session = with_claims(json!({})).await.unwrap();
        assert_eq!(session.user_id, "user_1");
        assert_eq!(session.session_id.as_deref(), Some("sess_1"));
        with_claims(json!({"sts": "active", "act": null, "aud": "anything"}))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn five_seconds_of_skew_are_tolerated_and_no_more() {
        with_claims(json!({"exp": now() - 3})).await.unwrap();
        with_claims(json!({"nbf": now() + 3, "iat": now() + 3}))
            .await
            .unwrap();
        assert_eq!(
            with_claims(json!({"exp": now() - 7})).await,
            Err(SessionError::Expired)
        );
        assert!(invalid(with_claims(json!({"nbf": now() + 8})).await));
        assert!(invalid(with_claims(json!({"iat": now() + 8})).await));
    }

    #[tokio::test]
    async fn a_token_without_a_usable_expiry_is_invalid() {
        for exp in [json!(null), json!("tomorrow"), json!(-1), json!([])] {
            assert!(invalid(with_claims(json!({"exp": exp})).await), "{exp}");
        }
    }

    #[tokio::test]
    async fn issuer_and_party_must_be_the_configured_ones() {
        for changes in [
            json!({"iss": "https://evil.example.com"}),
            json!({"iss": null}),
            json!({"iss": [ISSUER]}),
            json!({"azp": "https://evil.example.com"}),
            json!({"azp": null}),
            json!({"azp": ""}),
        ] {
            assert!(invalid(with_claims(changes.clone()).await), "{changes}");
        }
    }

    #[tokio::test]
    async fn without_configuration_issuer_and_party_are_not_asked_for() {
        let verifier = SessionVerifier::new(SessionConfig {
            keys: SessionKeys::from_pem(PUBLIC_KEY).unwrap(),
            issuer: None,
            authorized_parties: Vec::new(),
        })
        .unwrap();
        let token = signed(
            &session_header(),
            &claims(json!({"iss": null, "azp": null})),
            KEY,
        );
        verifier.verify(&token).await.unwrap();
    }

    #[tokio::test]
    async fn only_users_have_sessions() {
        for sub in [
            json!(null),
            json!(""),
            json!("user_"),
            json!("mch_1"),
            json!("oauth_user_1"),
            json!(5),
        ] {
            assert!(invalid(with_claims(json!({"sub": sub})).await), "{sub}");
        }
        let endless = format!("user_{}", "x".repeat(MAX_USER_ID_BYTES));
        assert!(invalid(with_claims(json!({"sub": endless})).await));
    }

    #[tokio::test]
    async fn templates_machines_and_oauth_are_not_sessions() {
        for cat in [
            json!("cl_B7d4PD222AAA"),
            json!("cl_B7d4PD333AAA"),
            json!("new"),
            json!(7),
        ] {
            assert!(
                invalid(with_header(|header| header.extras.insert("cat", &cat)).await),
                "{cat}"
            );
        }
        for typ in ["at+jwt", "application/at+jwt", "jwt+oauth", ""] {
            assert!(
                invalid(with_header(|header| header.typ = Some(typ.into())).await),
                "{typ}"
            );
        }
        assert!(invalid(
            with_header(|header| header.crit = Some(vec!["b64".into()])).await
        ));
        for token in ["mt_123", "oat_123", "ak_123", "", "a.b", "a.b.c", "...."] {
            assert!(invalid(verifier().verify(token).await), "{token}");
        }
    }

    #[tokio::test]
    async fn a_token_without_type_or_category_is_taken_as_clerk_takes_it() {
        with_header(|header| header.typ = None).await.unwrap();
        with_header(|header| header.extras = Default::default())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn where_the_category_is_silent_a_session_id_is_needed() {
        let mut header = session_header();
        header.extras.insert("cat", CATEGORY_UNSPECIFIED);
        let with_id = signed(&header, &claims(json!({})), KEY);
        verifier().verify(&with_id).await.unwrap();
        let without = signed(&header, &claims(json!({"sid": null})), KEY);
        assert!(invalid(verifier().verify(&without).await));
    }

    #[tokio::test]
    async fn other_keys_other_algorithms_and_changed_tokens_are_refused() {
        let foreign = signed(&session_header(), &claims(json!({})), OTHER_KEY);
        assert_eq!(
            verifier().verify(&foreign).await,
            Err(SessionError::Invalid("has a wrong signature"))
        );
        // The classic confusion: the public key as an HMAC secret.
        let confused = encode(
            &Header::new(Algorithm::HS256),
            &claims(json!({})),
            &EncodingKey::from_secret(PUBLIC_KEY.as_bytes()),
        );
        assert!(invalid(verifier().verify(&confused.unwrap()).await));
        assert!(invalid(
            with_header(|header| header.alg = Algorithm::RS512).await
        ));
        let good = signed(&session_header(), &claims(json!({})), KEY);
        let other = signed(&session_header(), &claims(json!({"sub": "user_2"})), KEY);
        let [head, _, signature] = good.split('.').collect::<Vec<_>>()[..] else {
            panic!()
        };
        let body = other.split('.').nth(1).unwrap();
        assert!(invalid(
            verifier()
                .verify(&format!("{head}.{body}.{signature}"))
                .await
        ));
        // {"alg":"none","typ":"JWT"}
        let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.");
        assert!(invalid(verifier().verify(&unsigned).await));
        assert!(invalid(
            verifier().verify(&"x".repeat(MAX_TOKEN_BYTES + 1)).await
        ));
    }

    #[tokio::test]
    async fn pending_and_impersonated_sessions_are_valid_without_the_right() {
        assert_eq!(
            with_claims(json!({"sts": "pending"})).await,
            Err(SessionError::Pending)
        );
        let act = json!({"act": {"sub": "user_admin"}});
        assert_eq!(with_claims(act).await, Err(SessionError::Impersonated));
        // An expired one is told that it is expired, nothing else.
        let both = json!({"sts": "pending", "exp": now() - 60});
        assert!(invalid(with_claims(both).await));
    }
}

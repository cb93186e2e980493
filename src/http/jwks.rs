//! A cached JSON Web Key Set. It is fetched rarely, by one request at a time, and kept while its source cannot be
//! reached.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use jsonwebtoken::DecodingKey;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::cause::chain;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Clerk's set has one key, or two during a rotation, which is about 2 KiB.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// How often the set is fetched.
#[derive(Debug, Clone, Copy)]
pub struct JwksTiming {
    /// A set that is older than this is fetched again when it is next needed.
    pub max_age: Duration,
    /// The least time between two fetches, whatever keys are asked for.
    pub min_interval: Duration,
    /// The least time between two fetches as long as there is no set at all.
    pub min_interval_empty: Duration,
}

impl Default for JwksTiming {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(3600),
            min_interval: Duration::from_secs(10),
            min_interval_empty: Duration::from_secs(1),
        }
    }
}

pub(super) enum KeyLookup {
    Found(DecodingKey),
    /// The newest set that could be fetched does not have the key.
    Unknown,
    /// There is no set.
    Unavailable,
}

/// All clones share one cache.
#[derive(Clone)]
pub(super) struct Jwks {
    shared: Arc<Cache>,
}

struct Cache {
    url: reqwest::Url,
    client: reqwest::Client,
    timing: JwksTiming,
    state: Mutex<CacheState>,
}

#[derive(Default)]
struct CacheState {
    keys: Option<KeySet>,
    last_attempt: Option<Instant>,
    /// The fetch under way. Everyone who needs the set waits for the same one.
    fetch: Option<Shared<BoxFuture<'static, ()>>>,
}

struct KeySet {
    by_kid: HashMap<String, DecodingKey>,
    fetched: Instant,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the JWKS cannot be fetched")]
    Http(#[from] reqwest::Error),
    #[error("the JWKS has more than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("the JWKS is not JSON of the expected form")]
    Malformed(#[from] serde_json::Error),
    #[error("the JWKS has no RSA key for signatures")]
    Empty,
}

impl Jwks {
    pub(super) fn new(url: reqwest::Url, timing: JwksTiming) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(FETCH_TIMEOUT)
            // A redirect could lead to somebody else's keys.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let shared = Arc::new(Cache {
            url,
            client,
            timing,
            state: Mutex::default(),
        });
        Ok(Self { shared })
    }

    /// Looks `kid` up, and fetches the set first if it is missing, too old, or does not have the key.
    pub(super) async fn find(&self, kid: &str) -> KeyLookup {
        let wait = {
            let mut state = self.shared.state.lock();
            let known = state.keys.as_ref().and_then(|keys| {
                let fresh = keys.fetched.elapsed() < self.shared.timing.max_age;
                keys.by_kid.get(kid).map(|key| (key.clone(), fresh))
            });
            match known {
                Some((key, true)) => return KeyLookup::Found(key),
                // One caller fetches the set again; meanwhile the others use the key that they have.
                Some((key, false)) if state.is_fetching() => return KeyLookup::Found(key),
                _ => self.fetch_if_due(&mut state),
            }
        };
        if let Some(fetch) = wait {
            fetch.await;
        }
        let state = self.shared.state.lock();
        match &state.keys {
            None => KeyLookup::Unavailable,
            Some(keys) => keys
                .by_kid
                .get(kid)
                .cloned()
                .map_or(KeyLookup::Unknown, KeyLookup::Found),
        }
    }

    /// Returns the fetch under way, or starts a new one if the last was long enough ago. It runs in a task of its own,
    /// so that it goes on when a caller disconnects.
    fn fetch_if_due(&self, state: &mut CacheState) -> Option<Shared<BoxFuture<'static, ()>>> {
        if state.is_fetching() {
            return state.fetch.clone();
        }
        let timing = &self.shared.timing;
        let interval = if state.keys.is_some() {
            timing.min_interval
        } else {
            timing.min_interval_empty
        };
        if state
            .last_attempt
            .is_some_and(|last| last.elapsed() < interval)
        {
            return None;
        }
        state.last_attempt = Some(Instant::now());
        let task = tokio::spawn(Arc::clone(&self.shared).refresh());
        let fetch = task.map(|_| ()).boxed().shared();
        state.fetch = Some(fetch.clone());
        Some(fetch)
    }
}

impl CacheState {
    fn is_fetching(&self) -> bool {
        self.fetch
            .as_ref()
            .is_some_and(|fetch| fetch.peek().is_none())
    }
}

impl Cache {
    /// Fetches the set. After a failure the previous keys are kept.
    async fn refresh(self: Arc<Self>) {
        match self.fetch().await {
            Ok(by_kid) => {
                tracing::debug!(keys = by_kid.len(), "fetched the JWKS");
                let mut state = self.state.lock();
                state.keys = Some(KeySet {
                    by_kid,
                    fetched: Instant::now(),
                });
                state.fetch = None;
            }
            Err(error) => {
                tracing::warn!(error = %chain(&error), "the JWKS could not be fetched");
                self.state.lock().fetch = None;
            }
        }
    }

    async fn fetch(&self) -> Result<HashMap<String, DecodingKey>, FetchError> {
        let mut response = self
            .client
            .get(self.url.clone())
            .send()
            .await?
            .error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_BODY_BYTES {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        parse(&body)
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

/// Only the fields that matter. A key of another kind does not parse and is skipped.
#[derive(Deserialize)]
struct RsaJwk {
    kid: String,
    kty: String,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    n: String,
    e: String,
}

/// Parses a set. A key that cannot be read is skipped, so that the others remain usable.
fn parse(body: &[u8]) -> Result<HashMap<String, DecodingKey>, FetchError> {
    let set: JwkSet = serde_json::from_slice(body)?;
    let by_kid: HashMap<_, _> = set
        .keys
        .into_iter()
        .filter_map(|key| serde_json::from_value::<RsaJwk>(key).ok())
        .filter(|key| key.kty == "RSA")
        .filter(|key| key.alg.as_deref().is_none_or(|alg| alg == "RS256"))
        .filter(|key| key.usage.as_deref().is_none_or(|usage| usage == "sig"))
        .filter_map(|key| {
            let decoding = DecodingKey::from_rsa_components(&key.n, &key.e).ok()?;
            Some((key.kid, decoding))
        })
        .collect();
    if by_kid.is_empty() {
        Err(FetchError::Empty)
    } else {
        Ok(by_kid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rsa_keys_for_signatures_are_taken_and_strange_ones_passed_over() {
        let set = serde_json::json!({"keys": [
            {"kid": "good", "kty": "RSA", "alg": "RS256", "use": "sig", "n": "AQAB", "e": "AQAB"},
            {"kid": "plain", "kty": "RSA", "n": "AQAB", "e": "AQAB"},
            {"kid": "encrypts", "kty": "RSA", "use": "enc", "n": "AQAB", "e": "AQAB"},
            {"kid": "other", "kty": "RSA", "alg": "PS256", "n": "AQAB", "e": "AQAB"},
            {"kid": "curve", "kty": "EC", "crv": "P-256", "x": "AQAB", "y": "AQAB"},
            {"kid": "broken", "kty": "RSA", "n": "***", "e": "AQAB"},
            {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
            "nonsense",
        ]});
        let keys = parse(set.to_string().as_bytes()).unwrap();
        let mut kids: Vec<_> = keys.keys().map(String::as_str).collect();
        kids.sort_unstable();
        assert_eq!(kids, ["good", "plain"]);
    }

    #[test]
    fn a_set_without_a_usable_key_is_a_failure() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"EC","kid":"x"}]}"#,
        ] {
            assert!(parse(body.as_bytes()).is_err(), "{body}");
        }
    }
}

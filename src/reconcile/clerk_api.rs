//! Clerk's Backend API, as far as it is needed: the list of users by id, and one user. Read only.
//!
//! `GET /v1/users?user_id=…&limit=…` answers with an array of users; it takes up to 100 ids and leaves out
//! those it does not know. `GET /v1/users/{id}` answers 404 with the code `resource_not_found` for a user
//! who is gone. 429 says in `Retry-After` for how many seconds requests are refused.
//! (<https://clerk.com/docs/reference/backend-api>, <https://clerk.com/docs/guides/how-clerk-works/system-limits>)

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Client, StatusCode, Url, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use crate::pauses::Pauses;
use crate::secret::Secret;

/// How many ids one request may ask for at most.
pub const MAX_IDS: usize = 100;
/// A user's record is a few KiB, its metadata at most 8 KiB each: 100 of them stay far below.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;
/// The pause when a 429 does not say how long it must be.
const DEFAULT_RETRY_AFTER: Duration = Duration::from_secs(10);
/// No pause between two tries is longer.
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// The code of Clerk's error for something that does not exist.
const NOT_FOUND_CODE: &str = "resource_not_found";

/// Clerk's Backend API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClerkBackend {
    /// An `http` or `https` URL, with or without `/v1`.
    pub url: Url,
    /// Sent as a bearer token, as it is.
    pub secret_key: Secret,
}

/// Time limits and retries of the client.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The limit of one connect.
    pub connect: Duration,
    /// The limit of one request, to the end of its body.
    pub request: Duration,
    /// How often a request is tried that fails on the way or with 5xx.
    pub tries: u32,
    /// The pause before the second try; each further pause is twice as long.
    pub pause: Duration,
    /// How many answers 429 one request may get.
    pub throttles: u32,
    /// The longest pause after a 429. A longer one ends the pass.
    pub max_throttle: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
            tries: 3,
            pause: Duration::from_secs(1),
            throttles: 5,
            max_throttle: Duration::from_secs(60),
        }
    }
}

/// Why there is no answer that can be relied on. No message shows the key.
#[derive(Debug, thiserror::Error)]
pub enum ClerkError {
    /// The URL cannot be used.
    #[error("CLERK_API_URL cannot be used")]
    Url,
    /// The client cannot be set up, or Clerk cannot be reached.
    #[error("the request failed")]
    Http(#[source] reqwest::Error),
    /// Clerk refuses.
    #[error("answered with {status}{}", code.as_deref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Refused {
        /// The status of the answer.
        status: StatusCode,
        /// The code of Clerk's first error, if it gave any.
        code: Option<String>,
    },
    /// Clerk's rate limit does not end.
    #[error("the rate limit does not end (429, Retry-After: {} s)", retry_after.as_secs())]
    Throttled {
        /// The pause that Clerk asks for.
        retry_after: Duration,
    },
    /// Larger than any answer can be.
    #[error("the answer has more than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    /// Not JSON, cut off, or of another form.
    #[error("the answer is not what is documented")]
    Malformed(#[source] serde_json::Error),
    /// The answer is about other users than those that were asked for.
    #[error("the answer names a user who was not asked for")]
    Unasked,
    /// The list leaves out a user that Clerk has, so it may leave out others too.
    #[error("the list is empty or leaves out a user that Clerk has")]
    Incomplete,
    /// Clerk has no users at all: more likely the key belongs to another instance.
    #[error("the list of all users is empty; is CLERK_SECRET_KEY of the right instance?")]
    NoUsers,
    /// The process stops.
    #[error("stopped before the end")]
    ShuttingDown,
}

#[derive(Deserialize)]
struct User {
    id: String,
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: String,
}

/// A client of one Clerk instance.
#[derive(Debug)]
pub struct ClerkApi {
    client: Client,
    backend: ClerkBackend,
    base: Url,
    patience: Patience,
    stop: CancellationToken,
}

impl ClerkApi {
    /// Sends nothing yet. Requests and pauses end when `stop` is cancelled.
    ///
    /// # Errors
    /// When the URL cannot be used, which the configuration has ruled out, or there is no TLS.
    pub fn new(
        backend: ClerkBackend,
        patience: Patience,
        stop: CancellationToken,
    ) -> Result<Self, ClerkError> {
        let mut base = backend.url.clone();
        let has_version = base.path().trim_end_matches('/').ends_with("/v1");
        {
            let mut path = base.path_segments_mut().map_err(|()| ClerkError::Url)?;
            path.pop_if_empty();
            if !has_version {
                path.push("v1");
            }
            path.push("users");
        }
        let client = Client::builder()
            .connect_timeout(patience.connect)
            .timeout(patience.request)
            // A redirect could send the key to somebody else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ClerkError::Http)?;
        Ok(Self {
            client,
            backend,
            base,
            patience,
            stop,
        })
    }

    /// The oldest user that Clerk has. It is asked for together with others: an answer without it is incomplete.
    ///
    /// # Errors
    /// When there is no answer that can be relied on, or no user.
    pub async fn oldest_user(&self) -> Result<String, ClerkError> {
        let mut url = self.base.clone();
        url.query_pairs_mut()
            .append_pair("limit", "1")
            .append_pair("offset", "0")
            .append_pair("order_by", "+created_at");
        let users: Vec<User> = self.list(url).await?;
        let oldest = users.into_iter().next().ok_or(ClerkError::NoUsers)?;
        Ok(oldest.id)
    }

    /// Returns those of `ids` that Clerk has. The caller passes [`MAX_IDS`] at most: Clerk would leave out the rest.
    ///
    /// # Errors
    /// When there is no answer that can be relied on.
    pub async fn known_of(&self, ids: &[&str]) -> Result<HashSet<String>, ClerkError> {
        let mut url = self.base.clone();
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("limit", &MAX_IDS.to_string())
                .append_pair("offset", "0");
            for id in ids {
                query.append_pair("user_id", id);
            }
        }
        let users: Vec<User> = self.list(url).await?;
        let asked: HashSet<&str> = ids.iter().copied().collect();
        if users.iter().any(|user| !asked.contains(user.id.as_str())) {
            return Err(ClerkError::Unasked);
        }
        Ok(users.into_iter().map(|user| user.id).collect())
    }

    /// Whether Clerk has this user, asked for alone.
    ///
    /// # Errors
    /// When there is no answer that can be relied on; a 404 without Clerk's own error is none.
    pub async fn has_user(&self, id: &str) -> Result<bool, ClerkError> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| ClerkError::Url)?
            .push(id);
        let (status, body) = self.get(url).await?;
        if status == StatusCode::OK {
            let user: User = parse(&body)?;
            return if user.id == id {
                Ok(true)
            } else {
                Err(ClerkError::Unasked)
            };
        }
        let refused = refused(status, &body);
        match &refused {
            ClerkError::Refused {
                status,
                code: Some(code),
            } if *status == StatusCode::NOT_FOUND && code == NOT_FOUND_CODE => Ok(false),
            _ => Err(refused),
        }
    }

    async fn list(&self, url: Url) -> Result<Vec<User>, ClerkError> {
        match self.get(url).await? {
            (StatusCode::OK, body) => parse(&body),
            (status, body) => Err(refused(status, &body)),
        }
    }

    /// The first answer that is neither 429 nor 5xx.
    async fn get(&self, url: Url) -> Result<(StatusCode, Vec<u8>), ClerkError> {
        let (mut failures, mut throttles) = (0, 0);
        let mut pauses = Pauses::new(self.patience.pause, MAX_PAUSE);
        loop {
            let failure = match self.get_once(url.clone()).await {
                Ok(Answer::Throttled(retry_after)) => {
                    throttles += 1;
                    if throttles > self.patience.throttles
                        || retry_after > self.patience.max_throttle
                    {
                        return Err(ClerkError::Throttled { retry_after });
                    }
                    tracing::info!(?retry_after, "Clerk limits the rate of requests; waiting");
                    self.pause(retry_after).await?;
                    continue;
                }
                Ok(Answer::Whole(status, body)) if !status.is_server_error() => {
                    return Ok((status, body));
                }
                Ok(Answer::Whole(status, body)) => refused(status, &body),
                Err(error @ ClerkError::Http(_)) => error,
                Err(error) => return Err(error),
            };
            failures += 1;
            if failures >= self.patience.tries {
                return Err(failure);
            }
            self.pause(pauses.next_pause()).await?;
        }
    }

    async fn get_once(&self, url: Url) -> Result<Answer, ClerkError> {
        let key = self.backend.secret_key.expose();
        let request = self
            .client
            .get(url)
            .bearer_auth(key)
            .header(header::ACCEPT, "application/json")
            .send();
        tokio::select! {
            () = self.stop.cancelled() => Err(ClerkError::ShuttingDown),
            answer = async { read(request.await.map_err(ClerkError::Http)?).await } => answer,
        }
    }

    async fn pause(&self, pause: Duration) -> Result<(), ClerkError> {
        tokio::select! {
            () = self.stop.cancelled() => Err(ClerkError::ShuttingDown),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}

enum Answer {
    Throttled(Duration),
    Whole(StatusCode, Vec<u8>),
}

async fn read(mut response: reqwest::Response) -> Result<Answer, ClerkError> {
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS {
        let seconds = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok());
        return Ok(Answer::Throttled(
            seconds.map_or(DEFAULT_RETRY_AFTER, Duration::from_secs),
        ));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(ClerkError::Http)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(ClerkError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer::Whole(status, body))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ClerkError> {
    serde_json::from_slice(body).map_err(ClerkError::Malformed)
}

fn refused(status: StatusCode, body: &[u8]) -> ClerkError {
    let errors: Option<Errors> = serde_json::from_slice(body).ok();
    let code = errors.and_then(|errors| Some(errors.errors.into_iter().next()?.code));
    ClerkError::Refused { status, code }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(url: &str) -> String {
        let backend = ClerkBackend {
            url: url.parse().unwrap(),
            secret_key: Secret::new("sk_test_hunter2"),
        };
        let api = ClerkApi::new(backend, Patience::default(), CancellationToken::new()).unwrap();
        assert!(!format!("{api:?}").contains("hunter2"));
        api.base.to_string()
    }

    #[test]
    fn the_version_is_added_once() {
        let expected = "https://api.clerk.com/v1/users";
        for url in ["", "/", "/v1", "/v1/"] {
            assert_eq!(base(&format!("https://api.clerk.com{url}")), expected);
        }
    }

    #[test]
    fn a_refusal_names_clerks_code_and_survives_any_body() {
        let body = br#"{"errors":[{"message":"x","code":"authentication_invalid"}]}"#;
        let error = refused(StatusCode::UNAUTHORIZED, body).to_string();
        assert_eq!(
            error,
            "answered with 401 Unauthorized (authentication_invalid)"
        );
        let error = refused(StatusCode::BAD_GATEWAY, b"<html>").to_string();
        assert_eq!(error, "answered with 502 Bad Gateway");
    }
}

//! Errors as RFC 9457 `application/problem+json`. The service answers every error in this form.

use std::{error::Error as StdError, marker::PhantomData, time::Duration};

use http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};

use super::correlation;
use crate::cause;

const CONTENT_TYPE: &str = "application/problem+json";

/// What a client is told about an internal error: where to look it up, and nothing about its cause.
const INTERNAL_DETAIL: &str =
    "Something failed on our side. Its cause stands in the log under this request id.";

/// An error as RFC 9457 describes it.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename = "Problem", rename_all = "camelCase")]
pub struct ProblemDetails {
    /// `about:blank`: the problem is what its status says (RFC 9457, 4.2.1).
    #[oai(rename = "type")]
    pub kind: String,
    /// The name of the status.
    pub title: String,
    /// The HTTP status.
    pub status: i32,
    /// What is wrong with this request, for a person to read.
    pub detail: String,
    /// The same as the `x-request-id` header; it is on every log line of this request.
    pub request_id: String,
}

/// An error that handlers return. `?` turns it into a [`poem::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    retry_after: Option<Duration>,
    request_id: Option<String>,
}

impl Problem {
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into(),
            retry_after: None,
            request_id: None,
        }
    }

    /// 400, where no single field is to blame.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 400 for a field, a parameter or a header, which the detail names.
    pub fn bad_field(field: &str, reason: impl std::fmt::Display) -> Self {
        Self::bad_request(format!("`{field}`: {reason}"))
    }

    /// 401, with the `WWW-Authenticate` header that HTTP asks for.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    pub fn payload_too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// 429 with `Retry-After`, rounded up to whole seconds.
    pub fn too_many_requests(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, detail)
        }
    }

    /// 503 with `Retry-After`, rounded up to whole seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// 500. Logs `error` with its sources; the client learns the request id alone.
    pub fn internal(error: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error = %cause::chain(error), "request failed");
        Self::opaque(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// An internal error that is already logged.
    pub(super) fn opaque(status: StatusCode) -> Self {
        Self::new(status, INTERNAL_DETAIL)
    }

    /// Sets the request id, for problems that are made outside the request's own task.
    pub(super) fn with_request_id(mut self, id: &str) -> Self {
        self.request_id = Some(id.to_owned());
        self
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The body of the answer.
    pub fn details(&self) -> ProblemDetails {
        ProblemDetails {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: i32::from(self.status.as_u16()),
            detail: self.detail.clone(),
            request_id: self
                .request_id
                .clone()
                .or_else(correlation::current)
                .unwrap_or_default(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::builder()
            .status(self.status)
            .content_type(CONTENT_TYPE)
            .body(self.details().to_json_string());
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::try_from(seconds.to_string()) {
                headers.insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

impl From<Problem> for poem::Error {
    fn from(problem: Problem) -> Self {
        let message = problem.detail.clone();
        let mut error = poem::Error::from_response(problem.into_response());
        error.set_error_message(message);
        error
    }
}

/// In the spec: one `default` response. Say which statuses an operation has with [`Problems`].
impl ApiResponse for Problem {
    fn meta() -> MetaResponses {
        MetaResponses {
            responses: vec![meta_of(None)],
        }
    }

    fn register(registry: &mut Registry) {
        ProblemDetails::register(registry);
    }
}

/// The statuses with which an operation may fail; [`problems!`](crate::problems) writes these.
pub trait ProblemSet: Send + Sync + 'static {
    const STATUSES: &'static [u16];
}

/// A [`Problem`] whose statuses are listed in the spec; anything else is its `default` response.
pub struct Problems<S>(Problem, PhantomData<S>);

impl<S> From<Problem> for Problems<S> {
    fn from(problem: Problem) -> Self {
        Self(problem, PhantomData)
    }
}

impl<S> From<Problems<S>> for poem::Error {
    fn from(problems: Problems<S>) -> Self {
        problems.0.into()
    }
}

impl<S: ProblemSet> ApiResponse for Problems<S> {
    fn meta() -> MetaResponses {
        let listed = S::STATUSES.iter().map(|status| meta_of(Some(*status)));
        MetaResponses {
            responses: listed.chain([meta_of(None)]).collect(),
        }
    }

    fn register(registry: &mut Registry) {
        ProblemDetails::register(registry);
    }
}

/// Names the statuses with which an operation may fail, for `Result<…, Problems<Name>>`:
/// `problems!(pub RetryFailures: 400, 401, 403, 404, 409, 503);`
#[macro_export]
macro_rules! problems {
    ($(#[$meta:meta])* $visibility:vis $name:ident: $($status:literal),+ $(,)?) => {
        $(#[$meta])*
        $visibility struct $name;

        impl $crate::http::problem::ProblemSet for $name {
            const STATUSES: &'static [u16] = &[$($status),+];
        }
    };
}

fn meta_of(status: Option<u16>) -> MetaResponse {
    MetaResponse {
        description: match status {
            Some(400) => "The request is malformed; the detail names the field.",
            Some(401) => "Credentials are missing, invalid, expired or of another kind.",
            Some(403) => "The credentials are valid, but do not give this right.",
            Some(404) => "There is no such thing, or it belongs to someone else.",
            Some(409) => "The present state does not allow this.",
            Some(413) => "The body is too large.",
            Some(415) => "The body is of a type that is not understood.",
            Some(503) => "The service cannot answer now; `Retry-After` says when to try again.",
            _ => "The request failed.",
        },
        status,
        status_range: None,
        content: vec![MetaMediaType {
            content_type: CONTENT_TYPE,
            schema: ProblemDetails::schema_ref(),
        }],
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_follow_from_the_problem() {
        let response = Problem::unauthorized("no").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let response = Problem::unavailable("no", Duration::from_millis(1200)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}

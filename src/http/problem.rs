//! Errors as RFC 9457 `application/problem+json`. The service answers every error in this form.

use std::{error::Error as StdError, marker::PhantomData, time::Duration};

use http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Response};
use poem_openapi::{
    ApiResponse, Object,
    registry::{MetaHeader, MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, ToJSON, Type},
};

use super::correlation;
use crate::cause;
use crate::vocabulary::ProblemCode;

const CONTENT_TYPE: &str = "application/problem+json";

/// What a client is told about an internal error: where to look it up, and nothing about its cause.
const INTERNAL_DETAIL: &str =
    "Something failed on our side. Its cause stands in the log under this request id.";

/// An error as RFC 9457 describes it.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(
    rename = "Problem",
    rename_all = "camelCase",
    skip_serializing_if_is_none,
    example
)]
pub struct ProblemDetails {
    /// `about:blank`: the problem is what its status says (RFC 9457, 4.2.1). Programs compare `code`.
    #[oai(rename = "type")]
    pub kind: String,
    /// The name of the status.
    pub title: String,
    /// The HTTP status.
    pub status: i32,
    pub code: ProblemCode,
    /// What is wrong with this request, for a person to read.
    pub detail: String,
    /// The fields, parameters or headers that break a rule. Absent unless there is one.
    pub errors: Option<Vec<FieldError>>,
    /// The same as the `x-request-id` header; it is on every log line of this request.
    pub request_id: String,
}

/// A field, a parameter or a header that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct FieldError {
    /// Its name, as it stands in the request; a path such as `filter.status` inside a body.
    pub field: String,
    /// The rule, as the end of a sentence that begins with the field's name.
    pub message: String,
}

impl Example for ProblemDetails {
    fn example() -> Self {
        Self {
            request_id: "0190b6e2-7c1f-7a3e-9d54-3f1b2c4d5e6f".to_owned(),
            ..Problem::bad_field("limit", "must be a whole number from 1 to 200").details()
        }
    }
}

/// An error that handlers return. `?` turns it into a [`poem::Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: ProblemCode,
    detail: String,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    allow: Option<String>,
    request_id: Option<String>,
}

impl Problem {
    /// A problem with the code that fits its status in general.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            code: code_of(status),
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            allow: None,
            request_id: None,
        }
    }

    /// The same problem with a more exact code.
    #[must_use]
    pub fn with_code(self, code: ProblemCode) -> Self {
        Self { code, ..self }
    }

    /// 400, where no single field is to blame.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 400 for a field, a parameter or a header, which `detail` and `errors` name.
    pub fn bad_field(field: &str, reason: impl std::fmt::Display) -> Self {
        let message = reason.to_string();
        Self {
            code: ProblemCode::InvalidInput,
            detail: format!("`{field}`: {message}"),
            errors: vec![FieldError {
                field: field.to_owned(),
                message,
            }],
            ..Self::new(StatusCode::BAD_REQUEST, "")
        }
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

    /// 405 with the methods that are allowed, separated by commas.
    pub fn method_not_allowed(allow: String) -> Self {
        let detail = format!("This path answers to {allow} only.");
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        }
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

    pub fn code(&self) -> ProblemCode {
        self.code
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
            code: self.code,
            detail: self.detail.clone(),
            errors: (!self.errors.is_empty()).then(|| self.errors.clone()),
            request_id: self
                .request_id
                .clone()
                .or_else(correlation::current)
                .unwrap_or_default(),
        }
    }
}

/// The code of a status for which nothing more exact is known.
fn code_of(status: StatusCode) -> ProblemCode {
    match status {
        StatusCode::UNAUTHORIZED => ProblemCode::CredentialsInvalid,
        StatusCode::FORBIDDEN => ProblemCode::Forbidden,
        StatusCode::NOT_FOUND => ProblemCode::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ProblemCode::MethodNotAllowed,
        StatusCode::REQUEST_TIMEOUT => ProblemCode::RequestTimeout,
        StatusCode::CONFLICT => ProblemCode::Conflict,
        StatusCode::PAYLOAD_TOO_LARGE => ProblemCode::PayloadTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ProblemCode::UnsupportedMediaType,
        StatusCode::TOO_MANY_REQUESTS => ProblemCode::TooManyRequests,
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => ProblemCode::HeadersTooLarge,
        StatusCode::SERVICE_UNAVAILABLE => ProblemCode::Unavailable,
        status if status.is_server_error() => ProblemCode::Internal,
        _ => ProblemCode::BadRequest,
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
            // RFC 6750, 3.1: a request without credentials is not told of an error.
            let challenge = match self.code {
                ProblemCode::CredentialsMissing => "Bearer",
                _ => r#"Bearer error="invalid_token""#,
            };
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static(challenge),
            );
        }
        if let Some(allow) = self.allow.and_then(|allow| allow.try_into().ok()) {
            headers.insert(header::ALLOW, allow);
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
            Some(400) => "The request is malformed; `errors` names the field.",
            Some(401) => "Credentials are missing, invalid, expired or of another kind.",
            Some(403) => "The credentials are valid, but do not give this right.",
            Some(404) => "There is no such thing, or it belongs to someone else.",
            Some(409) => "The present state does not allow this; `code` says why.",
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
        headers: headers_of(status),
    }
}

/// The headers that a problem of this status has beside those of every answer; `None` stands for the `default`
/// response.
fn headers_of(status: Option<u16>) -> Vec<MetaHeader> {
    let challenge = (
        "WWW-Authenticate",
        "`Bearer`; with `error=\"invalid_token\"` if a token was sent.",
        String::schema_ref(),
    );
    let retry_after = (
        "Retry-After",
        "When to try again, in seconds.",
        i32::schema_ref(),
    );
    let allow = (
        "Allow",
        "With 405: the methods to which the path answers.",
        String::schema_ref(),
    );
    let headers = match status {
        Some(401) => vec![challenge],
        Some(429 | 503) => vec![retry_after],
        None => vec![allow, retry_after],
        Some(_) => vec![],
    };
    let headers = headers.into_iter();
    headers
        .map(|(name, description, schema)| MetaHeader {
            name: name.to_owned(),
            description: Some(description.to_owned()),
            required: false,
            deprecated: false,
            schema,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_follow_from_the_problem() {
        let response = Problem::unauthorized("no").into_response();
        let challenge = &response.headers()[header::WWW_AUTHENTICATE];
        assert_eq!(challenge, r#"Bearer error="invalid_token""#);
        let missing = Problem::unauthorized("no").with_code(ProblemCode::CredentialsMissing);
        let response = missing.into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let response = Problem::unavailable("no", Duration::from_millis(1200)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
        let response = Problem::method_not_allowed("GET, HEAD".to_owned()).into_response();
        assert_eq!(response.headers()[header::ALLOW], "GET, HEAD");
    }

    #[test]
    fn a_bad_field_is_named_for_people_and_for_programs() {
        let details = Problem::bad_field("limit", "must be from 1 to 200").details();
        assert_eq!(details.code, ProblemCode::InvalidInput);
        assert_eq!(details.detail, "`limit`: must be from 1 to 200");
        let [error] = &details.errors.unwrap()[..] else {
            panic!("not one error");
        };
        assert_eq!(
            (&*error.field, &*error.message),
            ("limit", "must be from 1 to 200")
        );
        assert_eq!(Problem::bad_request("no").details().errors, None);
    }
}

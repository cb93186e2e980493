//! Errors as RFC 9457 `application/problem+json`. Whatever goes wrong leaves the service in this form.

use std::{error::Error as StdError, io, marker::PhantomData, time::Duration};

use http::{HeaderValue, StatusCode, header};
use poem::{
    IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
};
use poem_openapi::{
    ApiResponse, Object,
    error::{
        AuthorizationError, ContentTypeError, ParseParamError, ParsePathError,
        ParseRequestPayloadError,
    },
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{ToJSON, Type},
};

use super::{request_id, server::BodyRefused};

const CONTENT_TYPE: &str = "application/problem+json";

/// What a client may be told of a fault of ours: where to look it up, nothing of its cause.
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

/// An error on its way out: what handlers return, and `?` turns into a [`poem::Error`].
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

    /// 503 with `Retry-After`, rounded up to whole seconds.
    pub fn unavailable(detail: impl Into<String>, retry_after: Duration) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }

    /// 500. Logs `error` with its sources; the client learns the request id alone.
    pub fn internal(error: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed");
        Self::opaque(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A fault of ours that is logged already.
    pub(super) fn opaque(status: StatusCode) -> Self {
        Self::new(status, INTERNAL_DETAIL)
    }

    /// For problems that are made outside the request's own task.
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

    /// What stands in the body.
    pub fn details(&self) -> ProblemDetails {
        ProblemDetails {
            kind: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: i32::from(self.status.as_u16()),
            detail: self.detail.clone(),
            request_id: self
                .request_id
                .clone()
                .or_else(request_id::current)
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

/// Turns any error into a problem body: for `EndpointExt::catch_all_error`. The
/// [`request_id::RequestId`] middleware does this already.
pub async fn catch_all(error: poem::Error) -> Response {
    respond(error)
}

pub(super) fn respond(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    translate(&error).into_response()
}

/// Only messages of types that are known to speak of the request itself are passed on. Any other
/// error may carry SQL, addresses or secrets, and is told by its status.
fn translate(error: &poem::Error) -> Problem {
    if let Some(fault) = error.downcast_ref::<ParseParamError>() {
        return Problem::bad_field(fault.name, &fault.reason);
    }
    if let Some(fault) = error.downcast_ref::<ParsePathError>() {
        return Problem::bad_field(fault.name, &fault.reason);
    }
    if let Some(fault) = error.downcast_ref::<ParseRequestPayloadError>() {
        return Problem::bad_field("body", &fault.reason);
    }
    if let Some(fault) = error.downcast_ref::<ContentTypeError>() {
        return Problem::new(error.status(), fault.to_string());
    }
    if let Some(fault) = error.downcast_ref::<ReadBodyError>() {
        return unread_body(fault);
    }
    if error.is::<NotFoundError>() {
        return Problem::not_found("There is nothing at this path.");
    }
    if error.is::<MethodNotAllowedError>() {
        return Problem::new(error.status(), "This path does not answer to this method.");
    }
    if error.is::<AuthorizationError>() {
        return Problem::unauthorized("Credentials are missing.");
    }
    let status = error.status();
    if status.is_server_error() {
        tracing::error!(error = %chain(error), "request failed");
        return Problem::opaque(status);
    }
    tracing::debug!(error = %chain(error), %status, "request refused");
    Problem::new(status, "The request cannot be served as it is.")
}

pub(super) fn unread_body(fault: &ReadBodyError) -> Problem {
    match fault {
        ReadBodyError::PayloadTooLarge => Problem::payload_too_large("The body is too large."),
        ReadBodyError::Utf8(_) => Problem::bad_field("body", "is not UTF-8"),
        ReadBodyError::Io(error) => match BodyRefused::behind(error) {
            Some(refused @ BodyRefused::TooLarge) => {
                Problem::payload_too_large(refused.to_string())
            }
            Some(refused @ BodyRefused::TooSlow) => {
                Problem::new(StatusCode::REQUEST_TIMEOUT, refused.to_string())
            }
            None => Problem::bad_field("body", "could not be read to its end"),
        },
        ReadBodyError::BodyHasBeenTaken => Problem::internal(fault),
    }
}

/// An error and its sources in one line, without the repetitions of messages that include them.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut source = source_of(error);
    while let Some(error) = source {
        let message = error.to_string();
        if !line.contains(&message) {
            line.push_str(": ");
            line.push_str(&message);
        }
        source = source_of(error);
    }
    line
}

/// Like `source()`, and into `io::Error`, which hides what it wraps.
pub(super) fn source_of<'a>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a (dyn StdError + 'static)> {
    match error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
    {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use poem::{Endpoint, EndpointExt, Request, Route, get, handler};
    use serde_json::Value;

    use super::*;

    async fn body_of(response: Response) -> (StatusCode, Value) {
        let status = response.status();
        assert_eq!(response.content_type(), Some(CONTENT_TYPE));
        let body = response.into_body().into_bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[handler]
    fn broken() -> poem::Result<String> {
        let cause = io::Error::other("select secret from users; password=hunter2");
        Err(poem::error::InternalServerError(cause))
    }

    #[handler]
    fn refused() -> poem::Result<String> {
        Err(Problem::conflict("Cleanup has begun.").into())
    }

    async fn call(path: &str, method: http::Method) -> Response {
        let endpoint = Route::new()
            .at("/broken", get(broken))
            .at("/refused", get(refused))
            .catch_all_error(catch_all);
        endpoint
            .get_response(
                Request::builder()
                    .uri(path.parse().unwrap())
                    .method(method)
                    .finish(),
            )
            .await
    }

    #[tokio::test]
    async fn a_path_without_a_route_and_a_wrong_method_are_problems() {
        let (status, body) = body_of(call("/nowhere", http::Method::GET).await).await;
        assert_eq!(
            (status, &body["status"]),
            (StatusCode::NOT_FOUND, &Value::from(404))
        );
        assert_eq!(body["title"], "Not Found");
        assert_eq!(body["type"], "about:blank");
        let (status, _) = body_of(call("/refused", http::Method::PUT).await).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn a_fault_of_ours_says_nothing_of_its_cause() {
        let (status, body) = body_of(call("/broken", http::Method::GET).await).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        let text = body.to_string();
        assert!(
            !text.contains("select") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_problem_made_by_a_handler_passes_through() {
        let (status, body) = body_of(call("/refused", http::Method::GET).await).await;
        assert_eq!(status, StatusCode::CONFLICT);
        assert_eq!(body["detail"], "Cleanup has begun.");
    }

    #[test]
    fn a_bad_parameter_is_named() {
        let error = ParseParamError {
            name: "limit",
            reason: "not a number".into(),
        };
        let problem = translate(&error.into());
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
        assert_eq!(problem.detail(), "`limit`: not a number");
    }

    #[test]
    fn what_unknown_errors_say_is_not_passed_on() {
        let error = poem::error::BadRequest(io::Error::other("relation \"users\" does not exist"));
        let problem = translate(&error);
        assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
        assert!(!problem.detail().contains("users"));
    }

    #[test]
    fn refused_bodies_are_told_apart() {
        let nested =
            |why| ReadBodyError::Io(io::Error::other(io::Error::other::<BodyRefused>(why)));
        assert_eq!(
            unread_body(&nested(BodyRefused::TooLarge))
                .status()
                .as_u16(),
            413
        );
        assert_eq!(
            unread_body(&nested(BodyRefused::TooSlow)).status().as_u16(),
            408
        );
        let reset = ReadBodyError::Io(io::ErrorKind::ConnectionReset.into());
        assert_eq!(unread_body(&reset).status().as_u16(), 400);
    }

    #[test]
    fn headers_follow_from_the_problem() {
        let response = Problem::unauthorized("no").into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
        let response = Problem::unavailable("no", Duration::from_millis(1200)).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "2");
    }
}

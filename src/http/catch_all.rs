//! Turns any error of an endpoint into a problem body.

use http::StatusCode;
use poem::{
    IntoResponse, Response,
    error::{MethodNotAllowedError, NotFoundError, ReadBodyError},
};
use poem_openapi::error::{
    AuthorizationError, ContentTypeError, ParseParamError, ParsePathError, ParseRequestPayloadError,
};

use super::{body::BodyRefused, limits::BUSY_RETRY_AFTER, problem::Problem};
use crate::cause;
use crate::vocabulary::ProblemCode;

/// Makes the answer for an error. If the error already contains an answer, as a [`Problem`] does, that is used.
pub(super) fn respond(error: poem::Error) -> Response {
    if error.is_from_response() {
        return error.into_response();
    }
    translate(&error).into_response()
}

/// Passes on only the messages of error types that are about the request itself. Any other error may contain SQL,
/// addresses or secrets, so the client learns only its status.
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
    if error.is::<ContentTypeError>() {
        return Problem::new(error.status(), "The body must be `application/json`.");
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
        return Problem::unauthorized("Credentials are missing.")
            .with_code(ProblemCode::CredentialsMissing);
    }
    let status = error.status();
    if status.is_server_error() {
        tracing::error!(error = %cause::chain(error), "request failed");
        return Problem::opaque(status);
    }
    tracing::debug!(error = %cause::chain(error), %status, "request refused");
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
            Some(refused @ BodyRefused::Busy) => {
                Problem::unavailable(refused.to_string(), BUSY_RETRY_AFTER)
            }
            None => Problem::bad_field("body", "could not be read to its end"),
        },
        ReadBodyError::BodyHasBeenTaken => Problem::internal(fault),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use poem::{Endpoint, EndpointExt, Request, Route, get, handler};
    use serde_json::Value;

    use super::*;

    async fn body_of(response: Response) -> (StatusCode, Value) {
        let status = response.status();
        assert_eq!(response.content_type(), Some("application/problem+json"));
        let body = response.into_body().into_bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[handler]
    fn broken() -> poem::Result<String> {
        let cause = io::Error::other("select secret from public.users; password=hunter2");
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
            .catch_all_error(async |error| respond(error));
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
        assert_eq!(
            unread_body(&nested(BodyRefused::Busy)).status().as_u16(),
            503
        );
        let reset = ReadBodyError::Io(io::ErrorKind::ConnectionReset.into());
        assert_eq!(unread_body(&reset).status().as_u16(), 400);
    }
}

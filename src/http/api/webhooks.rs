//! What Clerk calls.

use std::sync::Arc;

use poem::{Body, Request, RequestBody, error::ReadBodyError, web::Data};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ApiResponse, ExtractParamOptions, Object, OpenApi,
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{ApiState, database::problem_of, types::Tag};
use crate::{
    deletion::requests::{USER_DELETED, delete_user_by_webhook},
    http::{
        catch_all::unread_body,
        correlation,
        problem::{Problem, Problems},
    },
    problems,
    vocabulary::{AuthFailure, ProblemCode, UserId, WebhookOutcome},
};

/// The largest body, in bytes. Clerk's have some 5 KB.
const MAX_BODY_BYTES: usize = 65_536;
/// A longer event type is none of Clerk's.
const MAX_TYPE_BYTES: usize = 512;
/// The sender in the log line of a request that was signed.
const WEBHOOK_ACTOR: &str = "clerk";

problems!(
    /// How a delivery may fail.
    pub WebhookFailures: 400, 409, 413, 503
);

/// The delivery is committed.
#[derive(ApiResponse)]
pub enum Received {
    /// Committed. Also for a repeat, another event type, an unknown user, a missing or empty `data.id`, and what is
    /// no deletion of a user, which erases nobody.
    #[oai(status = 204)]
    NoContent,
}

/// An event of Clerk, as far as it matters here.
#[derive(Debug, Object)]
#[oai(rename = "ClerkEvent")]
#[allow(
    dead_code,
    reason = "it is only described: the body is read as it was signed"
)]
struct ClerkEvent {
    /// `user.deleted`; anything else is acknowledged and ignored.
    #[oai(rename = "type")]
    #[oai(validator(max_length = 512))]
    kind: String,
    data: Option<ClerkUser>,
}

/// What the event is about.
#[derive(Debug, Object)]
#[allow(
    dead_code,
    reason = "it is only described: the body is read as it was signed"
)]
struct ClerkUser {
    /// The Clerk user id. One that is no user's erases nobody.
    id: Option<String>,
    /// `user`; anything else erases nobody.
    object: Option<String>,
    /// `true`; `false` erases nobody.
    deleted: Option<bool>,
}

/// The body exactly as it came: the signature covers its bytes. Described as [`ClerkEvent`].
pub struct SignedBody {
    headers: http::HeaderMap,
    body: Body,
}

impl<'a> ApiExtractor<'a> for SignedBody {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        ClerkEvent::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: Some("An event of Clerk, at most 65,536 bytes."),
            content: vec![MetaMediaType {
                content_type: "application/json",
                schema: ClerkEvent::schema_ref(),
            }],
            required: true,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self {
            headers: request.headers().clone(),
            body: body.take()?,
        })
    }
}

/// `POST /webhooks/clerk`
pub struct Webhooks;

#[OpenApi(tag = "Tag::Webhooks")]
impl Webhooks {
    /// Receive an event of Clerk
    ///
    /// `user.deleted` erases the user. The answer comes once that is committed; a repeat of the
    /// same `svix-id` changes nothing.
    #[oai(
        path = "/webhooks/clerk",
        method = "post",
        operation_id = "receiveClerkEvent",
        request_header(
            name = "svix-id",
            ty = "String",
            description = "The same for every retry of one event."
        ),
        request_header(
            name = "svix-timestamp",
            ty = "String",
            description = "Unix seconds, at most five minutes off."
        ),
        request_header(
            name = "svix-signature",
            ty = "String",
            description = "`v1,` and the base64 HMAC-SHA256, or several."
        )
    )]
    async fn receive(
        &self,
        state: Data<&Arc<ApiState>>,
        signed: SignedBody,
    ) -> Result<Received, Problems<WebhookFailures>> {
        let received = receive(&state, signed).await;
        let outcome = match &received {
            Ok(outcome) => *outcome,
            Err(problem) if problem.status().is_server_error() => WebhookOutcome::Unavailable,
            Err(_) => WebhookOutcome::Rejected,
        };
        state.metrics.webhook_events.of(outcome).inc();
        match received? {
            WebhookOutcome::Conflict => {
                let detail = "This `svix-id` was seen before, with another body.";
                let problem = Problem::conflict(detail).with_code(ProblemCode::WebhookConflict);
                Err(problem.into())
            }
            _ => Ok(Received::NoContent),
        }
    }
}

async fn receive(state: &ApiState, signed: SignedBody) -> Result<WebhookOutcome, Problem> {
    let body = read(signed.body).await?;
    let verified = state
        .webhook
        .verify(&signed.headers, &body)
        .map_err(|refusal| {
            state.metrics.auth_failures.of(AuthFailure::Signature).inc();
            correlation::set_refused(AuthFailure::Signature);
            Problem::bad_request(format!("The delivery is refused: {refusal}."))
                .with_code(ProblemCode::InvalidSignature)
        })?;
    correlation::set_actor(WEBHOOK_ACTOR.to_owned());
    let (kind, subject) = parse(&body)?;
    let (user_id, is_not_a_user) = match subject {
        Subject::User(id) => (Some(id), false),
        Subject::NotAUser => (None, true),
        Subject::Nobody => (None, false),
    };
    let digest: [u8; 32] = Sha256::digest(&body).into();
    let outcome = delete_user_by_webhook(
        &state.pool,
        &verified.svix_id,
        &digest,
        &kind,
        user_id.as_ref(),
    )
    .await
    .map_err(problem_of)?;
    let outcome = match outcome {
        WebhookOutcome::MissingUser if is_not_a_user => WebhookOutcome::NotAUser,
        outcome => outcome,
    };
    tracing::info!(
        svix_id = verified.svix_id,
        kind,
        %outcome,
        "webhook received"
    );
    Ok(outcome)
}

async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    match body.into_bytes_limit(MAX_BODY_BYTES).await {
        Ok(bytes) => Ok(bytes.to_vec()),
        Err(ReadBodyError::PayloadTooLarge) => Err(Problem::payload_too_large(format!(
            "The body has more than {MAX_BODY_BYTES} bytes."
        ))),
        Err(error) => Err(unread_body(&error)),
    }
}

/// Whom an event asks to erase.
#[derive(Debug, PartialEq, Eq)]
enum Subject {
    User(UserId),
    /// The object is no user or not deleted, or the id cannot be a user's.
    NotAUser,
    /// The event is of another type, or has no id.
    Nobody,
}

/// The event's type, and whom it asks to erase.
fn parse(body: &[u8]) -> Result<(String, Subject), Problem> {
    let event: Value =
        serde_json::from_slice(body).map_err(|_| Problem::bad_field("body", "is not JSON"))?;
    let kind = event
        .get("type")
        .and_then(Value::as_str)
        .ok_or_else(|| Problem::bad_field("type", "must be the name of an event"))?;
    // By its path: `kind.len()` could be that of another trait.
    if str::len(kind) > MAX_TYPE_BYTES || kind.contains('\0') {
        return Err(Problem::bad_field("type", "is too long, or has a NUL"));
    }
    let subject = match kind {
        USER_DELETED => subject(&event),
        _ => Subject::Nobody,
    };
    Ok((kind.to_owned(), subject))
}

fn subject(event: &Value) -> Subject {
    let id = event
        .pointer("/data/id")
        .and_then(Value::as_str)
        // By its path: `id.is_empty()` is that of poem-openapi's `Type`, which is always false.
        .filter(|id| !str::is_empty(id));
    let Some(id) = id else {
        return Subject::Nobody;
    };
    let is_other_object = event
        .pointer("/data/object")
        .is_some_and(|object| object != "user");
    let is_live = event
        .pointer("/data/deleted")
        .is_some_and(|deleted| *deleted == Value::Bool(false));
    match UserId::parse(id) {
        Ok(id) if !is_other_object && !is_live => Subject::User(id),
        _ => Subject::NotAUser,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_is_no_event_is_refused() {
        for body in [
            "",
            "[]",
            "5",
            "{}",
            r#"{"type":5}"#,
            r#"{"type":"a\u0000b"}"#,
        ] {
            assert_eq!(
                parse(body.as_bytes()).unwrap_err().status().as_u16(),
                400,
                "{body}"
            );
        }
    }

    #[test]
    fn only_the_deletion_of_a_user_names_one() {
        let subject = |kind: &str, data: &str| {
            let body = format!(r#"{{"type":"{kind}","data":{data}}}"#);
            parse(body.as_bytes()).unwrap().1
        };
        for data in [
            r#"{"id":"user_1"}"#,
            r#"{"id":"user_1","object":"user","deleted":true}"#,
        ] {
            let user = Subject::User(UserId::from("user_1"));
            assert_eq!(subject(USER_DELETED, data), user, "{data}");
        }
        for data in ["{}", r#"{"id":""}"#, r#"{"id":null}"#, r#"{"id":5}"#] {
            assert_eq!(subject(USER_DELETED, data), Subject::Nobody, "{data}");
        }
        for data in [
            r#"{"id":"user_1","object":"organization"}"#,
            r#"{"id":"user_1","object":null}"#,
            r#"{"id":"user_1","deleted":false}"#,
            r#"{"id":"user_1 "}"#,
            r#"{"id":"user_a\u0000b"}"#,
        ] {
            assert_eq!(subject(USER_DELETED, data), Subject::NotAUser, "{data}");
        }
        let other = subject("session.ended", r#"{"id":"sess_1"}"#);
        assert_eq!(other, Subject::Nobody);
    }
}

//! What kind of failure an answer of the store is. Pure: codes and statuses in, a class out.

use std::error::Error;
use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::{DateTime, Utc};

use crate::vocabulary::S3Outcome;

/// An error's text is cut to so many characters: enough for a person, bounded for a row.
const LONGEST_MESSAGE_CHARS: usize = 500;
/// A code is a word; what is longer is no code.
const LONGEST_CODE_CHARS: usize = 64;

/// Our own code: no connection came to be, so that nothing was sent.
pub(super) const UNREACHABLE: &str = "Unreachable";
/// Our own code: no answer within a time-out; the request may have been carried out.
pub(super) const TIMED_OUT: &str = "TimedOut";

/// What kind of failure it is; the queue decides by it what follows (DESIGN.md, "Failure classes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Will pass: 5xx, time-outs, broken connections, keys that were not answered for.
    Transient,
    /// The store asks for a slower pace.
    Throttle,
    /// The store, the way to it or the configuration is at fault: nothing can be deleted at present.
    Outage,
    /// This key is refused, by a lock or a policy; others are not.
    Blocked,
    /// No retry can help: the key is not a name that an object can have.
    Permanent,
}

impl FailureClass {
    /// Its name in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::Throttle => "throttle",
            Self::Outage => "outage",
            Self::Blocked => "blocked",
            Self::Permanent => "permanent",
        }
    }
}

impl From<FailureClass> for S3Outcome {
    fn from(class: FailureClass) -> Self {
        match class {
            FailureClass::Transient => Self::Transient,
            FailureClass::Throttle => Self::Throttle,
            FailureClass::Outage => Self::Outage,
            FailureClass::Blocked => Self::Blocked,
            FailureClass::Permanent => Self::Permanent,
        }
    }
}

/// Why something was not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub class: FailureClass,
    /// The store's code, or a word of ours where it gave none.
    pub code: String,
    /// The store's words, without control characters, at most 500 characters.
    pub message: String,
    /// When a retention period of the object ends, by the store's word: no try before it can succeed.
    pub retry_at: Option<DateTime<Utc>>,
}

impl Failure {
    /// A failure with its message cut to a sane length.
    #[must_use]
    pub fn new(class: FailureClass, code: impl Into<String>, message: &str) -> Self {
        let code: String = code.into();
        Self {
            class,
            code: printable(&code, LONGEST_CODE_CHARS),
            message: printable(message, LONGEST_MESSAGE_CHARS),
            retry_at: None,
        }
    }

    /// The same failure in other words.
    pub(super) fn saying(&self, message: &str) -> Self {
        Self {
            retry_at: self.retry_at,
            ..Self::new(self.class, self.code.clone(), message)
        }
    }

    /// Whether asking for further keys right now would be in vain, or unkind.
    pub(super) fn stops_the_round(&self) -> bool {
        matches!(self.class, FailureClass::Outage | FailureClass::Throttle)
            || self.code == TIMED_OUT
    }

    /// Whether it may be the bucket that is refused rather than the key.
    pub(super) fn is_denial(&self) -> bool {
        self.class == FailureClass::Blocked
            && matches!(self.code.as_str(), "AccessDenied" | "Forbidden" | "Http403")
    }
}

fn printable(text: &str, longest: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(longest)
        .collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for Failure {}

/// What a request that was refused as a whole calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing: the failure holds for every key of the request.
    None,
    /// One key may be at fault for all: ask for each half.
    Bisect,
    /// The store wants Content-MD5.
    SendMd5,
    /// The store has no multi-delete: ask key by key.
    Singles,
}

/// The class of an error code. Codes: Amazon S3 API reference, "Error responses"; `None` when the code
/// is not known.
fn class_of_known_code(code: &str) -> Option<FailureClass> {
    let class = match code {
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "Throttled"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "SlowDownRead"
        | "SlowDownWrite"
        | "429" => FailureClass::Throttle,
        "NoSuchBucket"
        | "NotFound"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "Redirect"
        | "MovedPermanently"
        | "301"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "TokenRefreshRequired"
        | "InvalidToken"
        | "InvalidSecurity"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "MissingSecurityHeader"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "AuthorizationHeaderMalformed"
        | "AuthorizationQueryParametersError"
        | "CredentialsNotSupported"
        | "AccountProblem"
        | "AllAccessDisabled"
        | "NotSignedUp"
        | "InvalidBucketName"
        | "IllegalLocationConstraintException"
        | "RequestTimeTooSkewed"
        | "MethodNotAllowed"
        | "NotImplemented" => FailureClass::Outage,
        "AccessDenied"
        | "Forbidden"
        | "ObjectLocked"
        | "ObjectLockConfigurationError"
        | "InvalidRequest"
        | "InvalidObjectState"
        | "InvalidRetentionPeriod"
        | "RetentionPolicyNotMet"
        | "ObjectUnderActiveHold"
        | "BlobImmutableDueToPolicy" => FailureClass::Blocked,
        "KeyTooLongError"
        | "KeyTooLong"
        | "InvalidURI"
        | "InvalidKey"
        | "InvalidObjectName"
        | "XMinioInvalidObjectName"
        | "InvalidArgument"
        | "MalformedXML" => FailureClass::Permanent,
        // Four-hundreds that speak of the way the request took, not of its keys.
        "BadDigest"
        | "InvalidDigest"
        | "XAmzContentSHA256Mismatch"
        | "XAmzContentChecksumMismatch"
        | "IncompleteBody"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "OperationAborted"
        | "ConditionalRequestConflict"
        | "ServerBusy"
        | "ServiceUnavailable"
        | "InternalError"
        | "InternalServerError"
        | "InternalFailure"
        | "RequestExpired"
        | "OperationTimedOut" => FailureClass::Transient,
        _ => return None,
    };
    Some(class)
}

/// The class of the code that one key has inside a 200; what is not known may pass.
pub(super) fn class_of_key_code(code: &str) -> FailureClass {
    match code {
        // Of one key among others, not of the store.
        "MethodNotAllowed" | "NotImplemented" => FailureClass::Blocked,
        "NotFound" => FailureClass::Transient,
        _ => class_of_known_code(code).unwrap_or(FailureClass::Transient),
    }
}

/// The failure of an answer to a whole request, by its code, else by its status.
pub(super) fn of_answer(status: u16, code: Option<&str>, message: Option<&str>) -> Failure {
    let message = message
        .filter(|message| !message.is_empty())
        .unwrap_or("the store gave no reason");
    let code = code.filter(|code| !code.is_empty());
    let class = match code.and_then(class_of_known_code) {
        _ if status == 429 => FailureClass::Throttle,
        Some(class) => class,
        None => class_of_status(status),
    };
    match code {
        Some(code) => Failure::new(class, code, message),
        None if (200..300).contains(&status) => Failure::new(
            class,
            "UnreadableAnswer",
            "the store's answer cannot be read",
        ),
        None => Failure::new(class, format!("Http{status}"), message),
    }
}

fn class_of_status(status: u16) -> FailureClass {
    match status {
        429 => FailureClass::Throttle,
        // Redirects, credentials, a wrong address: a matter of configuration, for every key.
        300..=399 | 401 | 404 | 405 | 407 | 501 => FailureClass::Outage,
        408 | 409 | 425 => FailureClass::Transient,
        // Refused for a reason of the request's own, which trying again does not change.
        400..=499 => FailureClass::Blocked,
        _ => FailureClass::Transient,
    }
}

/// What a refusal of a whole DeleteObjects calls for. `status` is `None` without an answer.
pub(super) fn remedy_of(status: Option<u16>, failure: &Failure) -> Remedy {
    let Some(status) = status else {
        return Remedy::None;
    };
    let asks_for_md5 = failure.code == "MissingContentMD5"
        || failure.message.to_ascii_lowercase().contains("content-md5");
    if asks_for_md5 {
        return Remedy::SendMd5;
    }
    let unsupported = matches!(failure.code.as_str(), "NotImplemented" | "MethodNotAllowed");
    if status == 501 || status == 405 || unsupported {
        return Remedy::Singles;
    }
    match failure.class {
        FailureClass::Blocked | FailureClass::Permanent => Remedy::Bisect,
        FailureClass::Transient | FailureClass::Throttle | FailureClass::Outage => Remedy::None,
    }
}

/// The failure of a whole call.
pub(super) fn of_sdk_error<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        // No credentials, no region, no endpoint: the configuration is at fault.
        SdkError::ConstructionFailure(_) => {
            Failure::new(FailureClass::Outage, "RequestNotBuilt", &chain(error))
        }
        SdkError::TimeoutError(_) => timed_out(),
        SdkError::DispatchFailure(_) if never_connected(error) => {
            Failure::new(FailureClass::Outage, UNREACHABLE, &chain(error))
        }
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => timed_out(),
        SdkError::DispatchFailure(_) => {
            Failure::new(FailureClass::Transient, "BrokenConnection", &chain(error))
        }
        SdkError::ResponseError(_) => {
            Failure::new(FailureClass::Transient, "UnreadableAnswer", &chain(error))
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            of_answer(status, service.err().code(), service.err().message())
        }
        _ => Failure::new(FailureClass::Transient, "Unknown", &chain(error)),
    }
}

/// The status of the answer that an error came from, if there was one.
pub(super) fn status_of<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|raw| raw.status().as_u16())
}

fn timed_out() -> Failure {
    Failure::new(FailureClass::Transient, TIMED_OUT, "no answer in time")
}

/// A connection that never stood (refused, no such host, TLS, a time-out of the connect itself) has
/// carried nothing; one that broke may have.
fn never_connected(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(client) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return client.is_connect();
        }
        cause = error.source();
    }
    false
}

fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(status: u16, code: &str, message: &str) -> Remedy {
        remedy_of(Some(status), &of_answer(status, Some(code), Some(message)))
    }

    #[test]
    fn a_missing_bucket_is_an_outage_and_never_gone() {
        let named = of_answer(404, Some("NoSuchBucket"), None);
        assert_eq!(named.class, FailureClass::Outage);
        assert_eq!(of_answer(404, None, None).class, FailureClass::Outage);
        assert_eq!(class_of_key_code("NoSuchBucket"), FailureClass::Outage);
    }

    #[test]
    fn a_429_throttles_with_or_without_a_body() {
        for code in [None, Some("Whatever"), Some("AccessDenied")] {
            assert_eq!(of_answer(429, code, None).class, FailureClass::Throttle);
        }
        let slow = of_answer(503, Some("SlowDown"), None);
        assert_eq!(slow.class, FailureClass::Throttle);
    }

    #[test]
    fn what_is_not_known_may_pass() {
        assert_eq!(of_answer(500, None, None).class, FailureClass::Transient);
        assert_eq!(of_answer(503, None, None).class, FailureClass::Transient);
        assert_eq!(of_answer(200, None, None).class, FailureClass::Transient);
        assert_eq!(class_of_key_code("SomethingNew"), FailureClass::Transient);
    }

    #[test]
    fn bad_credentials_and_redirects_are_outages() {
        for (status, code) in [
            (403, "InvalidAccessKeyId"),
            (403, "SignatureDoesNotMatch"),
            (400, "ExpiredToken"),
            (301, "PermanentRedirect"),
        ] {
            let failure = of_answer(status, Some(code), None);
            assert_eq!(failure.class, FailureClass::Outage, "{code}");
            assert_eq!(remedy_of(Some(status), &failure), Remedy::None, "{code}");
        }
        assert_eq!(of_answer(301, None, None).class, FailureClass::Outage);
    }

    #[test]
    fn refusals_that_may_be_one_keys_fault_are_bisected() {
        assert_eq!(remedy(400, "MalformedXML", ""), Remedy::Bisect);
        assert_eq!(remedy(403, "AccessDenied", ""), Remedy::Bisect);
        assert_eq!(remedy(400, "ObjectLocked", ""), Remedy::Bisect);
        assert_eq!(remedy(500, "InternalError", ""), Remedy::None);
        assert_eq!(remedy(404, "NoSuchBucket", ""), Remedy::None);
    }

    #[test]
    fn dialects_are_recognised_by_what_they_answer() {
        let aws = "Missing required header for this request: Content-MD5";
        assert_eq!(remedy(400, "InvalidRequest", aws), Remedy::SendMd5);
        assert_eq!(remedy(400, "MissingContentMD5", ""), Remedy::SendMd5);
        assert_eq!(remedy(501, "NotImplemented", ""), Remedy::Singles);
        assert_eq!(remedy(405, "MethodNotAllowed", ""), Remedy::Singles);
    }

    #[test]
    fn messages_are_cut_and_carry_no_control_characters() {
        let failure = Failure::new(FailureClass::Transient, "X", &"a\u{1}".repeat(1_000));
        assert_eq!(failure.message, "a".repeat(LONGEST_MESSAGE_CHARS));
        assert_eq!(
            Failure::new(FailureClass::Blocked, "C", "m").to_string(),
            "C: m"
        );
    }
}

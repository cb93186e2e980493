//! Decides what kind of failure an answer of the store is. This code is pure: it maps codes and statuses to classes.

use std::error::Error;
use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use chrono::{DateTime, Utc};

use crate::cause;
use crate::vocabulary::ErrorClass;

/// An error's text is cut to this length, which is enough for a person and small enough for a row.
const MAX_MESSAGE_CHARS: usize = 500;
/// Longer codes are cut.
const MAX_CODE_CHARS: usize = 64;

/// Our own code: no connection was established, so nothing was sent.
pub(super) const UNREACHABLE: &str = "Unreachable";
/// Our own code: no answer came within the time-out. The request may have been carried out.
pub(super) const TIMED_OUT: &str = "TimedOut";

/// Why something was not deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub class: ErrorClass,
    /// The store's code, or one of ours if the store gave none.
    pub code: String,
    /// The store's message, without control characters, at most 500 characters.
    pub message: String,
    /// When the retention period of the object ends, according to the store. No attempt before that can succeed.
    pub retry_at: Option<DateTime<Utc>>,
}

impl Failure {
    /// Makes a failure and cuts its code and its message to their limits.
    #[must_use]
    pub fn new(class: ErrorClass, code: impl Into<String>, message: &str) -> Self {
        let code: String = code.into();
        Self {
            class,
            code: printable(&code, MAX_CODE_CHARS),
            message: printable(message, MAX_MESSAGE_CHARS),
            retry_at: None,
        }
    }

    /// Makes the failure of a key that no request contained.
    pub(super) fn not_asked() -> Self {
        Self::new(
            ErrorClass::Transient,
            "NotAsked",
            "the store was not asked for this key",
        )
    }

    /// Returns the same failure with another message.
    pub(super) fn saying(&self, message: &str) -> Self {
        Self {
            retry_at: self.retry_at,
            ..Self::new(self.class, self.code.clone(), message)
        }
    }

    /// Whether the round (one call of `Store::delete`) must end: requests for further keys would fail too, or would
    /// add load to a store that throttles.
    pub(super) fn stops_the_round(&self) -> bool {
        matches!(self.class, ErrorClass::Outage | ErrorClass::Throttle) || self.code == TIMED_OUT
    }

    /// Whether it says that there is no such key or version.
    pub(super) fn is_missing_key(&self) -> bool {
        is_missing_key(&self.code)
    }

    /// Whether it says that a permission is missing, for this key or for the bucket.
    pub(super) fn is_denial(&self) -> bool {
        self.class == ErrorClass::Blocked
            && matches!(self.code.as_str(), "AccessDenied" | "Forbidden" | "Http403")
    }

    /// Whether the store may be refusing every deletion in the bucket, and not only this key.
    pub(super) fn may_be_of_bucket(&self) -> bool {
        self.is_denial() || (self.class == ErrorClass::Blocked && may_concern_one_key(&self.code))
    }

    /// The same failure of a request that names one key in its URL.
    pub(super) fn of_one_key(mut self) -> Self {
        if self.class == ErrorClass::Outage && may_concern_one_key(&self.code) {
            self.class = ErrorClass::Blocked;
        }
        self
    }
}

/// Whether a code that stands for an outage can also be the answer to one key alone: a proxy before the store redirects
/// `a//b`, or does not find it.
fn may_concern_one_key(code: &str) -> bool {
    matches!(
        code,
        "MethodNotAllowed"
            | "NotImplemented"
            | "NotFound"
            | "MovedPermanently"
            | "Redirect"
            | "301"
            | "Http404"
            | "Http405"
            | "Http501"
    ) || code.starts_with("Http3")
}

fn printable(text: &str, max_chars: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(max_chars)
        .collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for Failure {}

/// What to do after a request was refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Nothing can be done. The failure applies to every key of the request.
    None,
    /// One key may be at fault for all. Send each half by itself.
    Bisect,
    /// The store wants Content-MD5.
    SendMd5,
    /// The store has no multi-delete. Delete the keys one by one.
    OneByOne,
}

/// Whether a code says that there is no such key or version.
pub(super) fn is_missing_key(code: &str) -> bool {
    matches!(code, "NoSuchKey" | "NoSuchVersion")
}

/// The class of an error code. Codes: Amazon S3 API reference, "Error responses"; `None` when the code
/// is not known.
fn class_of_known_code(code: &str) -> Option<ErrorClass> {
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
        | "429" => ErrorClass::Throttle,
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
        | "NotImplemented" => ErrorClass::Outage,
        "AccessDenied"
        | "Forbidden"
        | "ObjectLocked"
        | "ObjectLockConfigurationError"
        | "InvalidRequest"
        | "InvalidObjectState"
        | "InvalidRetentionPeriod"
        | "RetentionPolicyNotMet"
        | "ObjectUnderActiveHold"
        | "BlobImmutableDueToPolicy" => ErrorClass::Blocked,
        "KeyTooLongError"
        | "KeyTooLong"
        | "InvalidURI"
        | "InvalidKey"
        | "InvalidObjectName"
        | "XMinioInvalidObjectName"
        | "InvalidArgument"
        | "MalformedXML" => ErrorClass::Permanent,
        // These 4xx errors concern the transfer of the request, not its keys.
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
        | "OperationTimedOut" => ErrorClass::Transient,
        _ => return None,
    };
    Some(class)
}

/// The class of the code that a 200 answer has for one key. An unknown code counts as temporary.
pub(super) fn class_of_key_code(code: &str) -> ErrorClass {
    match code {
        // For a whole request these codes mean that the store cannot delete at all. Here they concern one key.
        "MethodNotAllowed" | "NotImplemented" => ErrorClass::Blocked,
        // For a whole request it means that there is no such bucket. For one key it does not prove that the
        // object is gone (that is `NoSuchKey`), so the key is tried again.
        "NotFound" => ErrorClass::Transient,
        _ => class_of_known_code(code).unwrap_or(ErrorClass::Transient),
    }
}

/// The failure that an answer to a whole request stands for. Its code decides, or its
/// status if the code is not known. The status 429 always means a throttle.
pub(super) fn of_answer(status: u16, code: Option<&str>, message: Option<&str>) -> Failure {
    let message = message
        .filter(|message| !message.is_empty())
        .unwrap_or("the store gave no reason");
    let code = code.filter(|code| !code.is_empty());
    let class = match code.and_then(class_of_known_code) {
        _ if status == 429 => ErrorClass::Throttle,
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

fn class_of_status(status: u16) -> ErrorClass {
    match status {
        429 => ErrorClass::Throttle,
        // Redirects, bad credentials or a wrong address: the configuration is wrong, for every key.
        300..=399 | 401 | 404 | 405 | 407 | 501 => ErrorClass::Outage,
        408 | 409 | 425 => ErrorClass::Transient,
        // The request itself is refused, and trying again does not change that.
        400..=499 => ErrorClass::Blocked,
        _ => ErrorClass::Transient,
    }
}

/// Decides what to do after a whole DeleteObjects was refused. `status` is `None` if there was no answer.
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
        return Remedy::OneByOne;
    }
    match failure.class {
        ErrorClass::Blocked | ErrorClass::Permanent => Remedy::Bisect,
        ErrorClass::Transient | ErrorClass::Throttle | ErrorClass::Outage | ErrorClass::Crash => {
            Remedy::None
        }
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
            Failure::new(ErrorClass::Outage, "RequestNotBuilt", &cause::chain(error))
        }
        SdkError::TimeoutError(_) => timed_out(),
        SdkError::DispatchFailure(_) if never_connected(error) => {
            Failure::new(ErrorClass::Outage, UNREACHABLE, &cause::chain(error))
        }
        SdkError::DispatchFailure(dispatch) if dispatch.is_timeout() => timed_out(),
        SdkError::DispatchFailure(_) => Failure::new(
            ErrorClass::Transient,
            "BrokenConnection",
            &cause::chain(error),
        ),
        SdkError::ResponseError(_) => Failure::new(
            ErrorClass::Transient,
            "UnreadableAnswer",
            &cause::chain(error),
        ),
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            of_answer(status, service.err().code(), service.err().message())
        }
        _ => Failure::new(ErrorClass::Transient, "Unknown", &cause::chain(error)),
    }
}

/// The status of the answer that an error came from, if there was one.
pub(super) fn status_of<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|raw| raw.status().as_u16())
}

fn timed_out() -> Failure {
    Failure::new(ErrorClass::Transient, TIMED_OUT, "no answer in time")
}

/// Whether no connection was established: it was refused, the host is unknown, TLS failed, or the connect itself
/// timed out. Nothing was sent then. Over a connection that broke later, the request may have been sent.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn remedy(status: u16, code: &str, message: &str) -> Remedy {
        remedy_of(Some(status), &of_answer(status, Some(code), Some(message)))
    }

    #[test]
    fn a_missing_bucket_is_an_outage_and_never_gone() {
        let named = of_answer(404, Some("NoSuchBucket"), None);
        assert_eq!(named.class, ErrorClass::Outage);
        assert_eq!(of_answer(404, None, None).class, ErrorClass::Outage);
        assert_eq!(class_of_key_code("NoSuchBucket"), ErrorClass::Outage);
    }

    #[test]
    fn a_429_throttles_with_or_without_a_body() {
        for code in [None, Some("Whatever"), Some("AccessDenied")] {
            assert_eq!(of_answer(429, code, None).class, ErrorClass::Throttle);
        }
        let slow = of_answer(503, Some("SlowDown"), None);
        assert_eq!(slow.class, ErrorClass::Throttle);
    }

    #[test]
    fn what_is_not_known_may_pass() {
        assert_eq!(of_answer(500, None, None).class, ErrorClass::Transient);
        assert_eq!(of_answer(503, None, None).class, ErrorClass::Transient);
        assert_eq!(of_answer(200, None, None).class, ErrorClass::Transient);
        assert_eq!(class_of_key_code("SomethingNew"), ErrorClass::Transient);
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
            assert_eq!(failure.class, ErrorClass::Outage, "{code}");
            assert_eq!(remedy_of(Some(status), &failure), Remedy::None, "{code}");
        }
        assert_eq!(of_answer(301, None, None).class, ErrorClass::Outage);
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
        assert_eq!(remedy(501, "NotImplemented", ""), Remedy::OneByOne);
        assert_eq!(remedy(405, "MethodNotAllowed", ""), Remedy::OneByOne);
    }

    #[test]
    fn messages_are_cut_and_carry_no_control_characters() {
        let failure = Failure::new(ErrorClass::Transient, "X", &"a\u{1}".repeat(1_000));
        assert_eq!(failure.message, "a".repeat(MAX_MESSAGE_CHARS));
        assert_eq!(
            Failure::new(ErrorClass::Blocked, "C", "m").to_string(),
            "C: m"
        );
    }
}

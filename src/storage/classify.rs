//! What kind of failure an answer of the store is. Pure.

use std::error::Error;
use std::fmt;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

/// An error's text is cut to so many characters.
const LONGEST_MESSAGE: usize = 500;

/// What kind of failure it is; the queue decides by it what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Will pass.
    Transient,
    /// The store asks for a slower pace.
    Throttle,
    /// The store, or the way to it, is at fault: nothing can be deleted at present.
    Outage,
    /// This key is refused.
    Blocked,
    /// No retry can help.
    Permanent,
}

impl FailureClass {
    /// Its name in metrics and tables.
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

/// Why something was not deleted.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its kind.
    pub class: FailureClass,
    /// The store's code, or a word of ours where it gave none.
    pub code: String,
    /// The store's words, cut.
    pub message: String,
}

impl Failure {
    /// A failure with the message cut to a sane length.
    pub fn new(class: FailureClass, code: impl Into<String>, message: &str) -> Self {
        let message = message
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST_MESSAGE)
            .collect();
        Self {
            class,
            code: code.into(),
            message,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl Error for Failure {}

/// The class of an error code, for one key or for a whole request. Codes: Amazon S3 API reference,
/// "Error responses"; what is not listed may pass.
#[must_use]
pub fn class_of_code(code: &str) -> FailureClass {
    match code {
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests"
        | "TooManyRequestsException"
        | "RequestThrottled"
        | "BandwidthLimitExceeded" => FailureClass::Throttle,
        "NoSuchBucket"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "MovedPermanently"
        | "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "AuthorizationHeaderMalformed"
        | "AccountProblem"
        | "AllAccessDisabled"
        | "InvalidBucketName"
        | "RequestTimeTooSkewed"
        | "NotSignedUp" => FailureClass::Outage,
        "AccessDenied" | "ObjectLocked" | "InvalidRequest" | "MethodNotAllowed"
        | "InvalidObjectState" | "Forbidden" => FailureClass::Blocked,
        "KeyTooLongError" | "InvalidURI" | "InvalidArgument" | "MalformedXML" => {
            FailureClass::Permanent
        }
        _ => FailureClass::Transient,
    }
}

/// The class of a whole call's error.
pub fn of_sdk_error<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => {
            // No credentials, no region: the configuration is at fault.
            Failure::new(FailureClass::Outage, "RequestNotBuilt", &chain(error))
        }
        SdkError::TimeoutError(_) => {
            Failure::new(FailureClass::Transient, "TimedOut", "no answer in time")
        }
        SdkError::DispatchFailure(failure) => {
            let class = if failure.is_timeout() || is_broken_connection(error) {
                FailureClass::Transient
            } else {
                FailureClass::Outage
            };
            Failure::new(class, "NotReached", &chain(error))
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

/// The class of an error answer, by its code, else by its status.
#[must_use]
pub fn of_answer(status: u16, code: Option<&str>, message: Option<&str>) -> Failure {
    let message = message.unwrap_or("the store gave no reason");
    match code.filter(|code| !code.is_empty()) {
        Some(code) if status == 429 => Failure::new(FailureClass::Throttle, code, message),
        Some(code) => Failure::new(class_of_code(code), code, message),
        None => {
            let class = match status {
                429 => FailureClass::Throttle,
                301 | 307 | 401 | 404 => FailureClass::Outage,
                403 => FailureClass::Blocked,
                _ => FailureClass::Transient,
            };
            Failure::new(class, format!("Http{status}"), message)
        }
    }
}

/// A connection that broke after it stood may have carried the request; one that never stood did not.
fn is_broken_connection(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            use std::io::ErrorKind::{
                BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof,
            };
            return matches!(
                io.kind(),
                BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
            );
        }
        let text = error.to_string();
        if text.contains("connection closed") || text.contains("IncompleteMessage") {
            return true;
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

    #[test]
    fn a_missing_bucket_is_an_outage_and_never_gone() {
        assert_eq!(
            of_answer(404, Some("NoSuchBucket"), None).class,
            FailureClass::Outage
        );
        assert_eq!(of_answer(404, None, None).class, FailureClass::Outage);
    }

    #[test]
    fn a_429_throttles_with_or_without_a_body() {
        assert_eq!(of_answer(429, None, None).class, FailureClass::Throttle);
        assert_eq!(
            of_answer(429, Some("Whatever"), None).class,
            FailureClass::Throttle
        );
        assert_eq!(
            of_answer(503, Some("SlowDown"), None).class,
            FailureClass::Throttle
        );
    }

    #[test]
    fn what_is_not_known_may_pass() {
        assert_eq!(
            of_answer(500, Some("InternalError"), None).class,
            FailureClass::Transient
        );
        assert_eq!(of_answer(503, None, None).class, FailureClass::Transient);
        assert_eq!(class_of_code("SomethingNew"), FailureClass::Transient);
    }

    #[test]
    fn messages_are_cut_and_carry_no_control_characters() {
        let failure = Failure::new(FailureClass::Transient, "X", &"a\u{1}".repeat(1_000));
        assert_eq!(failure.message, "a".repeat(LONGEST_MESSAGE));
    }
}

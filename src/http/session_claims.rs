//! The class and the claims of a session token, and the reasons to refuse it.

use jsonwebtoken::{Algorithm, Header};
use serde::Deserialize;
use serde_json::Value;

/// The class of a token stands in the `cat` field of its header. Source: `jwtCategories.ts` in
/// Clerk's JavaScript backend SDK, "kept in sync with clerk_go (pkg/jwt/jwt.go)", which also knows
/// `cl_B7d4PD222AAA` (templates) and `cl_B7d4PD333AAA` (machines). OAuth tokens have another `typ`.
pub(super) const CATEGORY_SESSION: &str = "cl_B7d4PD111AAA";
/// Some instances put this on tokens of every class, so it says nothing about the class.
pub(super) const CATEGORY_UNSPECIFIED: &str = "cl_I7d4PD111III";

/// Why a token was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// 401.
    #[error("the session token {0}")]
    Invalid(&'static str),
    /// 401: Clerk signed it for this application, some time ago.
    #[error("the session token has expired")]
    Expired,
    /// 403: the user has signed in, but has tasks to do before the session counts.
    #[error("the session is pending")]
    Pending,
    /// 403: someone else acts in the user's name.
    #[error("an impersonated session may not do this")]
    Impersonated,
    /// 503: no key was ever fetched, so nothing can be verified.
    #[error("the keys that verify session tokens cannot be fetched at present")]
    Unavailable,
}

/// The claims that are checked here. [`Validation`] checks the times, except `iat`, which it does not know.
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) sub: String,
    pub(super) iss: Option<String>,
    pub(super) azp: Option<String>,
    pub(super) sid: Option<String>,
    pub(super) iat: Option<f64>,
    pub(super) sts: Option<String>,
    pub(super) act: Option<Value>,
}

/// Checks the header. A token without `typ` or `cat` counts as a session, as in Clerk's SDK, because tokens were
/// issued without them before there were categories.
pub(super) fn check_header(header: &Header) -> Result<(), SessionError> {
    if header.alg != Algorithm::RS256 {
        return Err(SessionError::Invalid("is not signed with RS256"));
    }
    if header.typ.as_deref().is_some_and(|typ| typ != "JWT") || header.crit.is_some() {
        return Err(SessionError::Invalid("is of another type"));
    }
    match category(header)?.as_deref() {
        None | Some(CATEGORY_SESSION | CATEGORY_UNSPECIFIED) => Ok(()),
        Some(_) => Err(SessionError::Invalid("is not a session's")),
    }
}

pub(super) fn category(header: &Header) -> Result<Option<String>, SessionError> {
    header
        .extras
        .get("cat")
        .map_err(|_| SessionError::Invalid("is malformed"))
}

/// Checks whether a valid session may erase anything.
pub(super) fn check_rights(claims: &Claims) -> Result<(), SessionError> {
    if claims.act.is_some() {
        return Err(SessionError::Impersonated);
    }
    match claims.sts.as_deref() {
        None | Some("active") => Ok(()),
        Some(_) => Err(SessionError::Pending),
    }
}

pub(super) fn refusal(error: &jsonwebtoken::errors::Error) -> SessionError {
    use jsonwebtoken::errors::ErrorKind;
    SessionError::Invalid(match error.kind() {
        // The signature is checked before the times.
        ErrorKind::ExpiredSignature => return SessionError::Expired,
        ErrorKind::InvalidSignature => "has a wrong signature",
        ErrorKind::ImmatureSignature => "is not yet valid",
        ErrorKind::MissingRequiredClaim(_) => "does not say when it expires",
        _ => "is malformed",
    })
}

//! The caller of a request: a user with a Clerk session, or an admin with a token of `ADMIN_API_TOKENS`. Both
//! send it as `Authorization: Bearer`.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode, header};
use parking_lot::RwLock;
use poem::Request;

use super::{
    admin_tokens::AdminTokens,
    client, correlation,
    failed_credentials::{FailedCredentials, Standing},
    problem::Problem,
    session::{Session, SessionError, SessionVerifier},
};
use crate::{
    telemetry::metrics::Metrics,
    vocabulary::{AuthFailure, ProblemCode, Role},
};

/// How long a client is told to wait when the keys of Clerk cannot be fetched.
const KEYS_RETRY_AFTER: Duration = Duration::from_secs(10);

/// A caller whose credentials are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    Session(Session),
    Admin { name: String, role: Role },
}

impl Caller {
    /// The name of the caller in `deleted_by` and in the audit trail.
    pub fn actor(&self) -> String {
        match self {
            Self::Session(session) => format!("user:{}", session.user_id),
            Self::Admin { name, .. } => format!("admin:{name}"),
        }
    }
}

/// Why a request is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// 401.
    #[error("Credentials are missing: send `Authorization: Bearer` with a token.")]
    Missing,
    /// 401: more than one header, another scheme, or an empty token.
    #[error("The `Authorization` header is not one `Bearer` token.")]
    Malformed,
    /// 401: neither an admin's token nor a valid session token.
    #[error("The token is not valid: it {0}.")]
    Invalid(&'static str),
    /// 401: a session token of the past.
    #[error("The token is not valid: it has expired.")]
    Expired,
    /// 403.
    #[error("The session is pending: the user has to complete a task first.")]
    Pending,
    /// 403.
    #[error("An impersonated session may not delete or restore anything.")]
    Impersonated,
    /// 403: a session where only admins may go.
    #[error("Only an admin may do this.")]
    NotAdmin,
    /// 403: an admin's token whose role does not suffice.
    #[error("This needs the role {least}, and the token has the role {role}.")]
    RoleTooLow { role: Role, least: Role },
    /// 429.
    #[error("Too many credentials from this address were wrong.")]
    Throttled(Duration),
    /// 503.
    #[error("Session tokens cannot be verified at present.")]
    Unavailable,
}

impl AuthError {
    /// The reason in the metrics and the log. `None` if the credentials were not refused.
    fn failure(self) -> Option<AuthFailure> {
        Some(match self {
            Self::Missing => AuthFailure::Missing,
            Self::Malformed => AuthFailure::Malformed,
            Self::Invalid(_) => AuthFailure::Invalid,
            Self::Expired => AuthFailure::Expired,
            Self::Pending => AuthFailure::Pending,
            Self::Impersonated => AuthFailure::Impersonated,
            Self::NotAdmin | Self::RoleTooLow { .. } => AuthFailure::Role,
            Self::Throttled(_) => AuthFailure::Throttled,
            Self::Unavailable => return None,
        })
    }
}

impl From<SessionError> for AuthError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Invalid(reason) => Self::Invalid(reason),
            SessionError::Expired => Self::Expired,
            SessionError::Pending => Self::Pending,
            SessionError::Impersonated => Self::Impersonated,
            SessionError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<AuthError> for Problem {
    fn from(error: AuthError) -> Self {
        let detail = error.to_string();
        let problem = match error {
            AuthError::Missing
            | AuthError::Malformed
            | AuthError::Invalid(_)
            | AuthError::Expired => Problem::unauthorized(detail),
            AuthError::Pending
            | AuthError::Impersonated
            | AuthError::NotAdmin
            | AuthError::RoleTooLow { .. } => Problem::forbidden(detail),
            AuthError::Throttled(wait) => Problem::too_many_requests(detail, wait),
            AuthError::Unavailable => Problem::unavailable(detail, KEYS_RETRY_AFTER),
        };
        problem.with_code(match error {
            AuthError::Missing => ProblemCode::CredentialsMissing,
            AuthError::Malformed | AuthError::Invalid(_) | AuthError::Expired => {
                ProblemCode::CredentialsInvalid
            }
            AuthError::RoleTooLow { .. } => ProblemCode::RoleTooLow,
            AuthError::Throttled(_) => ProblemCode::TooManyRequests,
            AuthError::Pending => ProblemCode::SessionPending,
            AuthError::Impersonated => ProblemCode::SessionImpersonated,
            AuthError::NotAdmin => ProblemCode::AdminRequired,
            AuthError::Unavailable => ProblemCode::KeysUnavailable,
        })
    }
}

/// The admins, and the verifier of sessions. Give it to the endpoints as `.data(Arc<Authenticator>)`.
#[derive(Debug)]
pub struct Authenticator {
    sessions: SessionVerifier,
    admins: RwLock<AdminTokens>,
    failed: FailedCredentials,
    metrics: Arc<Metrics>,
}

impl Authenticator {
    pub fn new(sessions: SessionVerifier, admins: AdminTokens, metrics: Arc<Metrics>) -> Self {
        Self {
            sessions,
            admins: RwLock::new(admins),
            failed: FailedCredentials::default(),
            metrics,
        }
    }

    /// From now on these are the admins.
    pub fn replace_admins(&self, admins: AdminTokens) {
        *self.admins.write() = admins;
    }

    /// The caller who holds the token. Admins' tokens are compared first, because that needs no network. After too many
    /// wrong ones from `client`, they are not compared any more. Session tokens always are: nobody guesses a signature.
    pub async fn authenticate(&self, bearer: &str, client: IpAddr) -> Result<Caller, AuthError> {
        let now = Instant::now();
        let standing = self.failed.standing(client, now);
        let may_be_admin = !matches!(
            standing,
            Standing::Waiting {
                is_proven: false,
                ..
            }
        );
        if may_be_admin && let Some(admin) = self.admin(bearer) {
            self.failed.proven(client, now);
            return Ok(admin);
        }
        match (self.sessions.verify(bearer).await, standing) {
            (Ok(session), _) => Ok(Caller::Session(session)),
            (Err(SessionError::Invalid(_)), Standing::Waiting { wait, .. }) => {
                Err(AuthError::Throttled(wait))
            }
            (Err(error), _) => {
                if matches!(error, SessionError::Invalid(_)) {
                    self.failed.failed(client, now);
                }
                Err(error.into())
            }
        }
    }

    fn admin(&self, bearer: &str) -> Option<Caller> {
        let admins = self.admins.read();
        let (name, role) = admins.identify(bearer)?;
        Some(Caller::Admin {
            name: name.to_owned(),
            role,
        })
    }

    /// Counts refused credentials, and notes them for the request's log line.
    fn refused(&self, failure: AuthFailure) {
        self.metrics.auth_failures.of(failure).inc();
        correlation::set_refused(failure);
    }
}

/// The token of the one `Authorization: Bearer` header. The scheme's case does not matter (RFC
/// 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Result<&str, AuthError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(AuthError::Missing)?;
    if values.next().is_some() {
        return Err(AuthError::Malformed);
    }
    let value = value.to_str().map_err(|_| AuthError::Malformed)?;
    let (scheme, token) = value.trim().split_once(' ').ok_or(AuthError::Malformed)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.contains(' ') {
        return Err(AuthError::Malformed);
    }
    Ok(token)
}

/// The caller of a request, if `may` says nothing against it.
pub(super) async fn caller(
    request: &Request,
    may: impl FnOnce(&Caller) -> Result<(), AuthError>,
) -> Result<Caller, Problem> {
    let Some(authenticator) = request.data::<Arc<Authenticator>>() else {
        tracing::error!("the endpoint was built without its Authenticator");
        return Err(Problem::opaque(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let client = client::of(request).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let caller = match bearer(request.headers()) {
        Ok(bearer) => authenticator.authenticate(bearer, client).await,
        Err(error) => Err(error),
    };
    let allowed = caller.and_then(|caller| {
        correlation::set_actor(caller.actor());
        may(&caller).map(|()| caller)
    });
    allowed.map_err(|error| {
        if let Some(failure) = error.failure() {
            authenticator.refused(failure);
        }
        error.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn the_token_of_one_bearer_header_is_taken() {
        for value in ["Bearer abc", "bearer abc", "BEARER  abc ", "Bearer abc  "] {
            assert_eq!(bearer(&with(&[value])), Ok("abc"), "{value}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(bearer(&with(&[])), Err(AuthError::Missing));
        for values in [
            &["Bearer"][..],
            &["Bearer "],
            &["abc"],
            &["Basic YTpi"],
            &["Bearer a b"],
            &["Bearer a", "Bearer b"],
            &["Bearer \u{e9}"],
        ] {
            assert_eq!(
                bearer(&with(values)),
                Err(AuthError::Malformed),
                "{values:?}"
            );
        }
    }

    #[test]
    fn each_refusal_has_its_status() {
        for (error, status) in [
            (AuthError::Missing, 401),
            (AuthError::Invalid("is malformed"), 401),
            (AuthError::Expired, 401),
            (AuthError::Pending, 403),
            (AuthError::Impersonated, 403),
            (AuthError::NotAdmin, 403),
            (
                AuthError::RoleTooLow {
                    role: Role::Viewer,
                    least: Role::Admin,
                },
                403,
            ),
            (AuthError::Throttled(Duration::from_secs(5)), 429),
            (AuthError::Unavailable, 503),
        ] {
            assert_eq!(Problem::from(error).status().as_u16(), status, "{error:?}");
        }
    }
}

//! The caller of a request: a user with a Clerk session, or an admin with a token of `ADMIN_API_TOKENS`. Both
//! send it as `Authorization: Bearer`.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, StatusCode, header};
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};

use super::{
    admin_tokens::AdminTokens,
    problem::Problem,
    session::{Session, SessionError, SessionVerifier},
};
use crate::vocabulary::ProblemCode;

/// How long a client is told to wait when the keys of Clerk cannot be fetched.
const KEYS_RETRY_AFTER: Duration = Duration::from_secs(10);

const SESSION_SCHEME: &str = "clerkSession";
const ADMIN_SCHEME: &str = "adminToken";

/// A caller whose credentials are valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    Session(Session),
    Admin { name: String },
}

impl Caller {
    /// The name of the caller in `deleted_by` and in the audit trail.
    pub fn actor(&self) -> String {
        match self {
            Self::Session(session) => format!("user:{}", session.user_id),
            Self::Admin { name } => format!("admin:{name}"),
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
    /// 403.
    #[error("The session is pending: the user has to complete a task first.")]
    Pending,
    /// 403.
    #[error("An impersonated session may not delete or restore anything.")]
    Impersonated,
    /// 403: a session where only admins may go.
    #[error("Only an admin may do this.")]
    NotAdmin,
    /// 503.
    #[error("Session tokens cannot be verified at present.")]
    Unavailable,
}

impl From<SessionError> for AuthError {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Invalid(reason) => Self::Invalid(reason),
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
            AuthError::Missing | AuthError::Malformed | AuthError::Invalid(_) => {
                Problem::unauthorized(detail)
            }
            AuthError::Pending | AuthError::Impersonated | AuthError::NotAdmin => {
                Problem::forbidden(detail)
            }
            AuthError::Unavailable => Problem::unavailable(detail, KEYS_RETRY_AFTER),
        };
        problem.with_code(match error {
            AuthError::Missing => ProblemCode::CredentialsMissing,
            AuthError::Malformed | AuthError::Invalid(_) => ProblemCode::CredentialsInvalid,
            AuthError::Pending => ProblemCode::SessionPending,
            AuthError::Impersonated => ProblemCode::SessionImpersonated,
            AuthError::NotAdmin => ProblemCode::AdminRequired,
            AuthError::Unavailable => ProblemCode::KeysUnavailable,
        })
    }
}

/// The admins, and the verifier of sessions. Give it to the endpoints as
/// `.data(Arc<Authenticator>)`.
#[derive(Debug)]
pub struct Authenticator {
    pub sessions: SessionVerifier,
    pub admins: AdminTokens,
}

impl Authenticator {
    /// The caller who holds the token. Admins' tokens are compared first, because that needs no network.
    pub async fn authenticate(&self, bearer: &str) -> Result<Caller, AuthError> {
        if let Some(name) = self.admins.identify(bearer) {
            return Ok(Caller::Admin {
                name: name.to_owned(),
            });
        }
        Ok(Caller::Session(self.sessions.verify(bearer).await?))
    }

    /// Like [`authenticate`](Self::authenticate), from the headers of a request.
    pub async fn authenticate_headers(&self, headers: &HeaderMap) -> Result<Caller, AuthError> {
        self.authenticate(bearer(headers)?).await
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

async fn caller(request: &Request) -> Result<Caller, Problem> {
    let Some(authenticator) = request.data::<Arc<Authenticator>>() else {
        tracing::error!("the endpoint was built without its Authenticator");
        return Err(Problem::opaque(StatusCode::INTERNAL_SERVER_ERROR));
    };
    Ok(authenticator
        .authenticate_headers(request.headers())
        .await?)
}

/// Argument of an operation that is for admins alone. It must be the first argument, or a bad
/// parameter is reported to strangers before their missing credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminAuth {
    /// The name that stands before the token in `ADMIN_API_TOKENS`.
    pub name: String,
}

impl AdminAuth {
    /// The name of the caller in `deleted_by` and in the audit trail.
    pub fn actor(&self) -> String {
        format!("admin:{}", self.name)
    }
}

/// Argument of an operation for users and admins. It must be the first argument, as [`AdminAuth`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOrAdminAuth(pub Caller);

impl<'a> ApiExtractor<'a> for AdminAuth {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_admin_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![ADMIN_SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        match caller(request).await? {
            Caller::Admin { name } => Ok(Self { name }),
            Caller::Session(_) => Err(Problem::from(AuthError::NotAdmin).into()),
        }
    }
}

impl<'a> ApiExtractor<'a> for SessionOrAdminAuth {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_session_scheme(registry);
        register_admin_scheme(registry);
    }

    /// Each is an alternative of its own in the spec: one or the other.
    fn security_schemes() -> Vec<&'static str> {
        vec![SESSION_SCHEME, ADMIN_SCHEME]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        Ok(Self(caller(request).await?))
    }
}

fn register_admin_scheme(registry: &mut Registry) {
    let description = "An admin's token: the part after `name:` of an entry of `ADMIN_API_TOKENS`. \
                       The name goes to the audit trail.";
    registry.create_security_scheme(ADMIN_SCHEME, bearer_scheme(description, None));
}

fn register_session_scheme(registry: &mut Registry) {
    let description = "A Clerk session token, as `getToken()` without a template returns it. \
                       It opens what belongs to its user.";
    registry.create_security_scheme(SESSION_SCHEME, bearer_scheme(description, Some("JWT")));
}

fn bearer_scheme(description: &'static str, format: Option<&'static str>) -> MetaSecurityScheme {
    MetaSecurityScheme {
        ty: "http",
        description: Some(description),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: format,
        flows: None,
        openid_connect_url: None,
    }
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
            (AuthError::Invalid("has expired"), 401),
            (AuthError::Pending, 403),
            (AuthError::Impersonated, 403),
            (AuthError::NotAdmin, 403),
            (AuthError::Unavailable, 503),
        ] {
            assert_eq!(Problem::from(error).status().as_u16(), status, "{error:?}");
        }
    }
}

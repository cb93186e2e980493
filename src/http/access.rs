//! Who may call an operation. The type of an operation's first argument says it: it is what is enforced, and
//! what the OpenAPI document says. There is no other list.

use std::marker::PhantomData;

use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaSecurityScheme, Registry},
};
use serde_json::{Map, Value, json};

use super::{
    credentials::{AuthError, Caller, caller},
    problem::Problem,
};
use crate::vocabulary::Role;

const SESSION_SCHEME: &str = "clerkSession";
const ADMIN_SCHEME: &str = "adminToken";
/// Where the document says an operation's least role.
const ROLE_FIELD: &str = "x-required-role";

/// The least role of an admin's token, as a type.
pub trait LeastRole: Send + Sync + 'static {
    const ROLE: Role;
    /// The name under which poem-openapi writes the requirement. [`declare_roles`] reads the role from it.
    const REQUIREMENT: &'static str;
}

macro_rules! least_roles {
    ($($(#[$doc:meta])* $name:ident = $requirement:literal;)+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq)]
            pub struct $name;

            impl LeastRole for $name {
                const ROLE: Role = Role::$name;
                const REQUIREMENT: &'static str = $requirement;
            }
        )+
    };
}

least_roles! {
    /// [`Role::Viewer`]
    Viewer = "adminToken viewer";
    /// [`Role::Operator`]
    Operator = "adminToken operator";
    /// [`Role::Admin`]
    Admin = "adminToken admin";
}

/// Argument of an operation that needs an admin's token with at least the role `R`. It must be the first argument, or
/// a bad parameter is reported to strangers before their missing credentials are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenAuth<R> {
    /// The name that stands before the token in `ADMIN_API_TOKENS`.
    pub name: String,
    /// The role of the token, which is at least `R`.
    pub role: Role,
    least: PhantomData<R>,
}

/// Needs a token of any role.
pub type ViewerAuth = TokenAuth<Viewer>;
/// Needs a token of the role operator or admin.
pub type OperatorAuth = TokenAuth<Operator>;
/// Needs a token of the role admin.
pub type AdminAuth = TokenAuth<Admin>;

impl<R> TokenAuth<R> {
    /// The name of the caller in `deleted_by` and in the audit trail.
    pub fn actor(&self) -> String {
        format!("admin:{}", self.name)
    }
}

/// Argument of an operation for users with a session, and for admins with at least the role `R`. It must be the first
/// argument, as [`TokenAuth`]. What a user owns is for the operation to check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerAuth<R>(pub Caller, PhantomData<R>);

/// A session, or a token of any role.
pub type SessionOrViewerAuth = CallerAuth<Viewer>;
/// A session, or a token of the role operator or admin.
pub type SessionOrOperatorAuth = CallerAuth<Operator>;
/// A session, or a token of the role admin.
pub type SessionOrAdminAuth = CallerAuth<Admin>;

fn check_role<R: LeastRole>(role: Role) -> Result<(), AuthError> {
    if role < R::ROLE {
        return Err(AuthError::RoleTooLow {
            role,
            least: R::ROLE,
        });
    }
    Ok(())
}

impl<'a, R: LeastRole> ApiExtractor<'a> for TokenAuth<R> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_admin_scheme(registry);
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![R::REQUIREMENT]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let caller = caller(request, |caller| match caller {
            Caller::Admin { role, .. } => check_role::<R>(*role),
            Caller::Session(_) => Err(AuthError::NotAdmin),
        });
        match caller.await? {
            Caller::Admin { name, role } => Ok(Self {
                name,
                role,
                least: PhantomData,
            }),
            Caller::Session(_) => Err(Problem::from(AuthError::NotAdmin).into()),
        }
    }
}

impl<'a, R: LeastRole> ApiExtractor<'a> for CallerAuth<R> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        register_session_scheme(registry);
        register_admin_scheme(registry);
    }

    /// Each is an alternative of its own in the document: one or the other.
    fn security_schemes() -> Vec<&'static str> {
        vec![SESSION_SCHEME, R::REQUIREMENT]
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let caller = caller(request, |caller| match caller {
            Caller::Admin { role, .. } => check_role::<R>(*role),
            Caller::Session(_) => Ok(()),
        });
        Ok(Self(caller.await?, PhantomData))
    }
}

fn register_admin_scheme(registry: &mut Registry) {
    let description = "An admin's token: the part after `name:` of an entry of `ADMIN_API_TOKENS`. \
                       `x-required-role` of an operation says the least role that it needs. The name goes to \
                       the audit trail.";
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

/// Completes what poem-openapi writes of an operation's credentials: the scheme's name, `x-required-role`, and the 429
/// that answers too many wrong credentials.
pub fn declare_roles(operation: &mut Map<String, Value>) {
    let Some(requirements) = operation.get_mut("security").and_then(Value::as_array_mut) else {
        return;
    };
    let mut role = None;
    for requirement in requirements.iter_mut().filter_map(Value::as_object_mut) {
        let named = requirement
            .keys()
            .find_map(|name| Some((name.clone(), name.split_once(' ')?.1.to_owned())));
        if let Some((name, least)) = named
            && let Some(scopes) = requirement.remove(&name)
        {
            requirement.insert(ADMIN_SCHEME.to_owned(), scopes);
            role = Some(least);
        }
    }
    let Some(role) = role else { return };
    operation.insert(ROLE_FIELD.to_owned(), Value::String(role));
    let responses = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut);
    if let Some(responses) = responses {
        responses.entry("429").or_insert_with(|| {
            json!({
                "description": "Too many credentials from this address were wrong; `Retry-After` says when to try again.",
                "headers": {"retry-after": {"schema": {"type": "integer", "format": "int32"},
                                            "description": "When to try again, in seconds."}},
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            })
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_requirements_that_poem_openapi_writes_name_the_roles() {
        for (requirement, role) in [
            (Viewer::REQUIREMENT, Viewer::ROLE),
            (Operator::REQUIREMENT, Operator::ROLE),
            (Admin::REQUIREMENT, Admin::ROLE),
        ] {
            assert_eq!(requirement, format!("{ADMIN_SCHEME} {role}"));
        }
    }

    #[test]
    fn a_role_includes_the_ones_below_it() {
        for role in Role::ALL {
            assert_eq!(check_role::<Viewer>(*role), Ok(()));
            assert_eq!(check_role::<Operator>(*role).is_ok(), *role != Role::Viewer);
            assert_eq!(check_role::<Admin>(*role).is_ok(), *role == Role::Admin);
        }
    }
}

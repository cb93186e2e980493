//! For admins: whose token it is.

use poem_openapi::{Object, OpenApi, payload::Json};

use super::{query::State, types::Tag};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    problems,
};

problems!(pub MeFailures: 400, 401, 403);

/// The holder of an admin token.
#[derive(Debug, Object)]
pub struct Me {
    /// The name that stands before the token in `ADMIN_API_TOKENS`.
    pub name: String,
    /// What the token may do: `viewer`, `operator` or `admin`. Each may also do what those before it may.
    pub role: String,
}

/// `GET /admin/me`
pub struct AdminMe;

#[OpenApi(tag = "Tag::Admin")]
impl AdminMe {
    /// Show whose token it is
    ///
    /// A client asks this first, to know that the token is valid and what it may do.
    #[oai(path = "/admin/me", method = "get", operation_id = "getMe")]
    async fn me(
        &self,
        auth: ViewerAuth,
        _state: State<'_>,
    ) -> Result<Json<Me>, Problems<MeFailures>> {
        Ok(Json(Me {
            name: auth.name,
            role: auth.role.to_string(),
        }))
    }
}

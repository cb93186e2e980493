//! For admins: users, and their erasure.

use std::time::Duration;

use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json};
use serde::Deserialize;

use super::{
    database::{connection, map_in_use, plan_problem, problem_of, reading, refuse_strange_id},
    parameter::{Path, Query},
    query::State,
    samples::promised,
    types::{Tag, task_location},
};
use crate::{
    deletion::requests::delete_user,
    evidence::{self, ErasureTask, User},
    http::{
        access::{AdminAuth, ViewerAuth},
        json_body::{UndocumentedBody, not_null},
        problem::{Problem, Problems},
    },
    map::plan::{self, Plan},
    problems,
    tasks::Reason,
    vocabulary::UserId,
};

problems!(pub UserFailures: 400, 401, 403, 503);
problems!(pub EraseFailures: 400, 401, 403, 415, 503);
problems!(pub PlanFailures: 400, 401, 403, 503);

/// How long each statement of a plan may take. It is shorter than the time in which a request is answered.
const PLAN_LIMIT: Duration = Duration::from_secs(8);

/// Why a user is erased.
#[derive(Debug, Object, Deserialize)]
#[oai(deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct EraseReason {
    #[serde(default, deserialize_with = "not_null")]
    pub reason: Option<String>,
}

/// Promised, not yet done.
#[derive(ApiResponse)]
pub enum ErasureAccepted {
    /// Committed: the task says how far it is.
    #[oai(status = 202)]
    Accepted(
        Json<ErasureTask>,
        /// The task.
        #[oai(header = "location")]
        String,
    ),
}

/// `GET` and `DELETE /admin/users/{userId}`
pub struct AdminUsers;

#[OpenApi(tag = "Tag::Admin")]
impl AdminUsers {
    /// Show what is known of a user
    ///
    /// Whether there is such a user, live, deleted or erased, and how many rows are theirs. A user that nobody knows
    /// is answered with `known: false`, so that an erasure can be asked for with open eyes.
    #[oai(
        path = "/admin/users/:userId",
        method = "get",
        operation_id = "getUser"
    )]
    async fn show(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
        /// The Clerk user id.
        #[oai(name = "userId")]
        user_id: Path<UserId>,
    ) -> Result<Json<User>, Problems<UserFailures>> {
        let mut tx = reading(&state.pool).await?;
        refuse_strange_id(&mut *tx, &user_id.0).await?;
        let user = evidence::user(&mut tx, &user_id.0)
            .await
            .map_err(problem_of)?;
        Ok(Json(user))
    }

    /// Erase a user
    ///
    /// The same erasure as by Clerk's webhook. **There is no way back**: all of the user's rows and objects are
    /// deleted for good, and a user of this id cannot be created again. An id that nobody knows is refused again from
    /// then on, too; the answer says `userKnown: false`. The reason may also stand in a JSON body, `{"reason": "…"}`.
    #[oai(
        path = "/admin/users/:userId",
        method = "delete",
        operation_id = "eraseUser"
    )]
    async fn erase(
        &self,
        auth: AdminAuth,
        state: State<'_>,
        /// The Clerk user id.
        #[oai(name = "userId")]
        user_id: Path<UserId>,
        /// Why, for the audit trail. A repeated request changes nothing, the reason of the first one neither.
        reason: Query<Reason>,
        body: UndocumentedBody<EraseReason>,
    ) -> Result<ErasureAccepted, Problems<EraseFailures>> {
        let user_id = user_id.0;
        let reason = one_reason(reason.0, body.0.reason.as_deref())?;
        let reason = reason.as_ref().map(Reason::as_str);
        let id = delete_user(&state.pool, &user_id, &auth.actor(), reason)
            .await
            .map_err(problem_of)?
            .ok_or_else(|| {
                let rule = "must be an id that the erasure map allows (`ids` and `never`)";
                Problem::bad_field("userId", rule)
            })?;
        let task = promised(&state, id).await?;
        let mut tx = reading(&state.pool).await?;
        let user_known = evidence::is_user_known(&mut tx, &user_id)
            .await
            .map_err(problem_of)?;
        Ok(ErasureAccepted::Accepted(
            Json(ErasureTask { task, user_known }),
            task_location(id),
        ))
    }
}

/// The reason of the query or of the body.
fn one_reason(query: Option<Reason>, body: Option<&str>) -> Result<Option<Reason>, Problem> {
    let body = body.map(Reason::parse).transpose();
    let body = body.map_err(|rule| Problem::bad_field("reason", rule))?;
    match (query, body) {
        (Some(query), Some(body)) if query != body => Err(Problem::bad_field(
            "reason",
            "must be given once: the query and the body have different ones",
        )),
        (query, body) => Ok(query.or(body)),
    }
}

/// `GET /admin/users/{userId}/plan`
pub struct AdminPlans;

#[OpenApi(tag = "Tag::Admin")]
impl AdminPlans {
    /// Show what an erasure of a user would do
    ///
    /// Counts by the erasure map, as of now, of what is deleted, what stays and why, and what happens to the objects.
    /// Nothing is changed. A user that nobody knows has an empty plan. `lethe map plan` prints the same.
    #[oai(
        path = "/admin/users/:userId/plan",
        method = "get",
        operation_id = "getPlan"
    )]
    async fn plan(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
        /// The Clerk user id.
        #[oai(name = "userId")]
        user_id: Path<UserId>,
    ) -> Result<Json<Plan>, Problems<PlanFailures>> {
        let mut connection = connection(&state.pool).await?;
        refuse_strange_id(&mut *connection, &user_id.0).await?;
        let map = map_in_use(&mut connection).await?;
        let plan = plan::plan(&mut connection, &map, user_id.0.as_str(), PLAN_LIMIT)
            .await
            .map_err(plan_problem)?;
        Ok(Json(plan))
    }
}

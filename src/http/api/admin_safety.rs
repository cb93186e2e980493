//! For admins: pause and resume, the limits that hold, and the cancellation of an erasure.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};
use serde::Deserialize;

use super::{
    database::{connection, problem_of, refuse_strange_id},
    parameter::Path,
    query::State,
    types::Tag,
};
use crate::{
    evidence::{self, Receipt},
    http::{
        access::{AdminAuth, OperatorAuth, ViewerAuth},
        json_body::{JsonBody, not_null},
        problem::{Problem, Problems},
    },
    problems,
    safety::{self, CancelOutcome, SafetySettings},
    tasks::Reason,
    vocabulary::{ProblemCode, UserId},
};

problems!(pub PauseFailures: 400, 401, 403, 415, 503);
problems!(pub SettingsFailures: 400, 401, 403, 503);
problems!(pub CancelFailures: 400, 401, 403, 404, 409, 415, 503);

/// Why claiming is paused or resumed.
#[derive(Debug, Object, Deserialize)]
#[oai(deny_unknown_fields, example)]
#[serde(deny_unknown_fields)]
pub struct PauseReason {
    /// 1 to 500 characters, not blank, for the audit trail.
    #[oai(validator(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    ))]
    pub reason: String,
}

impl Example for PauseReason {
    fn example() -> Self {
        Self {
            reason: "The signing secret has leaked.".into(),
        }
    }
}

/// Why an erasure is taken back.
#[derive(Debug, Object, Deserialize)]
#[oai(deny_unknown_fields, skip_serializing_if_is_none, example)]
#[serde(deny_unknown_fields)]
pub struct CancelReason {
    /// 1 to 500 characters, not blank, for the audit trail.
    #[oai(validator(
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    ))]
    #[serde(default, deserialize_with = "not_null")]
    pub reason: Option<String>,
}

impl Example for CancelReason {
    fn example() -> Self {
        Self {
            reason: Some("Clerk still has this user.".into()),
        }
    }
}

/// How many held erasures were released.
#[derive(Debug, Object)]
pub struct Released {
    pub released: i64,
}

/// `POST /admin/pause`
pub struct AdminPause;

#[OpenApi(tag = "Tag::Admin")]
impl AdminPause {
    /// Stop all claiming
    ///
    /// Workers finish what they have claimed and begin nothing more, until somebody resumes. Requests are still accepted.
    #[oai(path = "/admin/pause", method = "post", operation_id = "pause")]
    async fn pause(
        &self,
        auth: OperatorAuth,
        state: State<'_>,
        body: JsonBody<PauseReason>,
    ) -> Result<Json<SafetySettings>, Problems<PauseFailures>> {
        let reason = reason(&body.0.reason)?;
        let mut connection = connection(&state.pool).await?;
        safety::pause(&mut connection, &auth.actor(), &reason)
            .await
            .map_err(problem_of)?;
        let settings = safety::settings(&mut *connection)
            .await
            .map_err(problem_of)?;
        Ok(Json(settings))
    }
}

/// `POST /admin/resume`
pub struct AdminResume;

#[OpenApi(tag = "Tag::Admin")]
impl AdminResume {
    /// Let workers claim again, and release what the limit holds
    ///
    /// The held erasures begin now, or when their delay is over.
    #[oai(path = "/admin/resume", method = "post", operation_id = "resume")]
    async fn resume(
        &self,
        auth: OperatorAuth,
        state: State<'_>,
        body: JsonBody<PauseReason>,
    ) -> Result<Json<Released>, Problems<PauseFailures>> {
        let reason = reason(&body.0.reason)?;
        let mut connection = connection(&state.pool).await?;
        let released = safety::resume(&mut connection, &auth.actor(), &reason)
            .await
            .map_err(problem_of)?;
        Ok(Json(Released {
            released: i64::try_from(released).unwrap_or(i64::MAX),
        }))
    }
}

/// `GET /admin/settings`
pub struct AdminSettings;

#[OpenApi(tag = "Tag::Admin")]
impl AdminSettings {
    /// Show pause, limits and held erasures
    ///
    /// Paused or not, by whom and why; the limit of erasures in an hour, and how many erasures it holds.
    #[oai(path = "/admin/settings", method = "get", operation_id = "getSettings")]
    async fn settings(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
    ) -> Result<Json<SafetySettings>, Problems<SettingsFailures>> {
        let settings = safety::settings(&state.pool).await.map_err(problem_of)?;
        Ok(Json(settings))
    }
}

/// `POST /admin/users/{userId}/erasure/cancel`
pub struct AdminCancel;

#[OpenApi(tag = "Tag::Admin")]
impl AdminCancel {
    /// Cancel the erasure of a user
    ///
    /// Possible as long as no task of it was ever claimed: while it is held or delayed, or waits for its first claim. The
    /// user's rows are live again exactly as before, and the tombstone is gone. Afterwards it is a conflict.
    #[oai(
        path = "/admin/users/:userId/erasure/cancel",
        method = "post",
        operation_id = "cancelErasure"
    )]
    async fn cancel(
        &self,
        auth: AdminAuth,
        state: State<'_>,
        /// The Clerk user id.
        #[oai(name = "userId")]
        user_id: Path<UserId>,
        body: JsonBody<CancelReason>,
    ) -> Result<Json<Receipt>, Problems<CancelFailures>> {
        let user_id = user_id.0;
        let reason = body.0.reason.as_deref().map(reason).transpose()?;
        let mut connection = connection(&state.pool).await?;
        refuse_strange_id(&mut *connection, &user_id).await?;
        let outcome = safety::cancel(&mut connection, &user_id, &auth.actor(), reason.as_ref())
            .await
            .map_err(problem_of)?;
        let unknown = || {
            Problem::not_found("There is no erasure of this user to cancel.")
                .with_code(ProblemCode::ErasureNotFound)
        };
        match outcome {
            CancelOutcome::Cancelled => {
                let receipt = evidence::receipt(&mut connection, &user_id)
                    .await
                    .map_err(problem_of)?
                    .ok_or_else(unknown)?;
                Ok(Json(receipt))
            }
            CancelOutcome::Begun => Err(Problem::conflict(
                "The erasure has begun or ended, so objects may be gone. It cannot be cancelled.",
            )
            .with_code(ProblemCode::CleanupBegun)
            .into()),
            CancelOutcome::Unknown => Err(unknown().into()),
        }
    }
}

fn reason(text: &str) -> Result<Reason, Problem> {
    Reason::parse(text).map_err(|rule| Problem::bad_field("reason", rule))
}

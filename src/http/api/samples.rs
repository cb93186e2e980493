//! What users do with their own samples.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{ApiResponse, OpenApi, param::Path, payload::Json};
use uuid::Uuid;

use super::{
    ApiState,
    database::problem_of,
    types::{Sample, Tag},
};
use crate::{
    deletion::{
        requests::{Authority, delete_sample},
        restore::{RestoreOutcome, restore_sample},
    },
    http::{
        credentials::{Caller, SessionOrAdminAuth},
        problem::{Problem, Problems},
    },
    problems,
    tasks::{self, Task},
    vocabulary::TaskId,
};

problems!(pub DeleteFailures: 400, 401, 403, 404, 503);
problems!(pub RestoreFailures: 400, 401, 403, 404, 409, 503);

/// Promised, not yet done.
#[derive(ApiResponse)]
pub enum TaskAccepted {
    /// Committed: the task says how far it is.
    #[oai(status = 202)]
    Accepted(Json<Task>),
}

/// `DELETE /samples/{sampleId}`
pub struct Samples;

#[OpenApi(tag = "Tag::Samples")]
impl Samples {
    /// Delete a sample
    ///
    /// The sample and its images are soft-deleted at once; the task removes their objects, then
    /// their rows. The answer is the same while the sample's row exists.
    #[oai(
        path = "/samples/:sampleId",
        method = "delete",
        operation_id = "deleteSample"
    )]
    async fn delete(
        &self,
        auth: SessionOrAdminAuth,
        state: Data<&Arc<ApiState>>,
        /// The sample's id, a UUID.
        #[oai(name = "sampleId")]
        sample_id: Path<String>,
    ) -> Result<TaskAccepted, Problems<DeleteFailures>> {
        let sample_id = uuid(&sample_id.0)?;
        let actor = auth.0.actor();
        let task = delete_sample(
            &state.pool,
            sample_id,
            authority(&auth.0),
            &actor,
            state.grace,
        )
        .await
        .map_err(problem_of)?
        .ok_or_else(no_sample)?;
        Ok(TaskAccepted::Accepted(Json(promised(&state, task).await?)))
    }
}

/// `POST /samples/{sampleId}/restore`
pub struct Restores;

#[OpenApi(tag = "Tag::Samples")]
impl Restores {
    /// Restore a sample
    ///
    /// Takes a deletion back within the grace period, as long as cleanup has not begun. A session
    /// can take back only what it asked for itself. A sample that is not deleted stays as it is.
    #[oai(
        path = "/samples/:sampleId/restore",
        method = "post",
        operation_id = "restoreSample"
    )]
    async fn restore(
        &self,
        auth: SessionOrAdminAuth,
        state: Data<&Arc<ApiState>>,
        /// The sample's id, a UUID.
        #[oai(name = "sampleId")]
        sample_id: Path<String>,
    ) -> Result<Json<Sample>, Problems<RestoreFailures>> {
        let sample_id = uuid(&sample_id.0)?;
        let actor = auth.0.actor();
        let outcome = restore_sample(&state.pool, sample_id, authority(&auth.0), &actor)
            .await
            .map_err(problem_of)?;
        let conflict = |detail: &str| Err(Problem::conflict(detail).into());
        match outcome {
            RestoreOutcome::Live(sample) => Ok(Json(sample.into())),
            RestoreOutcome::NotFound => Err(no_sample().into()),
            RestoreOutcome::UserDeleted => conflict("The sample's user is deleted."),
            RestoreOutcome::DeletedByOther => {
                conflict("Somebody else asked for the deletion of this sample.")
            }
            RestoreOutcome::Begun => conflict("Cleanup has begun."),
            RestoreOutcome::NotRequested => conflict("No deletion of this sample is pending."),
        }
    }
}

fn authority(caller: &Caller) -> Authority<'_> {
    match caller {
        Caller::Session(session) => Authority::Owner(&session.user_id),
        Caller::Admin { .. } => Authority::Admin,
    }
}

/// Parsed here, because poem-openapi would name the field `param0`.
fn uuid(text: &str) -> Result<Uuid, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_field("sampleId", "must be a UUID"))
}

fn no_sample() -> Problem {
    Problem::not_found("There is no such sample.")
}

/// The task that was just promised. It is committed, and outlives this moment.
pub(super) async fn promised(state: &ApiState, id: TaskId) -> Result<Task, Problem> {
    tasks::find(&state.pool, id)
        .await
        .map_err(problem_of)?
        .ok_or_else(|| Problem::internal(&sqlx::Error::RowNotFound))
}

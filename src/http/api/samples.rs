//! What users do with their own samples.

use poem_openapi::{ApiResponse, Object, OpenApi, payload::Json};
use uuid::Uuid;

use super::{
    ApiState,
    database::{problem_of, reading},
    parameter::Path,
    query::State,
    types::{Sample, Tag},
};
use crate::{
    deletion::{
        requests::{Authority, EntityRef, delete_entity},
        restore::{RestoreOutcome, restore_entity},
    },
    evidence,
    http::{
        access::{SessionOrAdminAuth, SessionOrOperatorAuth, SessionOrViewerAuth},
        credentials::Caller,
        problem::{Problem, Problems},
    },
    problems,
    tasks::{self, Task},
    vocabulary::{ErrorClass, ProblemCode, TaskId, TaskStatus, Timestamp},
};

problems!(pub DeleteFailures: 400, 401, 403, 404, 503);
problems!(pub DeletionFailures: 400, 401, 403, 404, 503);
problems!(pub RestoreFailures: 400, 401, 403, 404, 409, 503);

/// The deletion of a sample, and how far it is. The sample's owner gets the fields up to `finishedAt`; the others
/// are for admins.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct SampleTask {
    /// A number, as a string: it may exceed what JavaScript can count to.
    pub id: TaskId,
    /// `sample-delete` or, for a sample whose user is being erased, `user-delete`.
    pub kind: String,
    pub entity_type: String,
    /// Of a composite key its parts, each percent-encoded, joined by `~`.
    pub entity_id: String,
    pub status: TaskStatus,
    /// When it is tried next.
    pub scheduled_at: Timestamp,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// Whose data it is.
    pub user_id: Option<String>,
    /// What remains to be deleted from the bucket. Empty once completed.
    pub object_keys: Option<Vec<String>>,
    pub attempts: Option<i32>,
    pub last_error: Option<String>,
    pub error_class: Option<ErrorClass>,
    /// Why it waits for a person before it begins.
    pub held_reason: Option<String>,
    /// The worker that has claimed it.
    pub lease_owner: Option<String>,
    pub lease_expires_at: Option<Timestamp>,
    /// The erasure that this is a part of.
    pub parent_id: Option<TaskId>,
    pub updated_at: Option<Timestamp>,
}

impl SampleTask {
    pub(super) fn for_caller(task: Task, caller: &Caller) -> Self {
        match caller {
            Caller::Session(_) => Self::for_owner(task),
            Caller::Admin { .. } => Self::for_admin(task),
        }
    }

    /// Leaves out the fields that only admins may see: errors of the store, keys, workers.
    fn for_owner(task: Task) -> Self {
        Self {
            id: task.id,
            kind: task.kind,
            entity_type: task.entity_type,
            entity_id: task.entity_id,
            status: task.status,
            scheduled_at: task.scheduled_at,
            created_at: task.created_at,
            finished_at: task.finished_at,
            user_id: None,
            object_keys: None,
            attempts: None,
            last_error: None,
            error_class: None,
            held_reason: None,
            lease_owner: None,
            lease_expires_at: None,
            parent_id: None,
            updated_at: None,
        }
    }

    fn for_admin(task: Task) -> Self {
        Self {
            user_id: Some(task.user_id.clone()),
            object_keys: Some(task.object_keys.clone()),
            attempts: Some(task.attempts),
            last_error: task.last_error.clone(),
            error_class: task.error_class,
            held_reason: task.held_reason.clone(),
            lease_owner: task.lease_owner.clone(),
            lease_expires_at: task.lease_expires_at,
            parent_id: task.parent_id,
            updated_at: Some(task.updated_at),
            ..Self::for_owner(task)
        }
    }
}

/// Promised, not yet done.
#[derive(ApiResponse)]
pub enum SampleTaskAccepted {
    /// Committed: the task says how far it is.
    #[oai(status = 202)]
    Accepted(
        Json<SampleTask>,
        /// Where the caller finds out how far it is.
        #[oai(header = "location")]
        String,
    ),
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
        state: State<'_>,
        /// The sample's id.
        #[oai(name = "sampleId")]
        sample_id: Path<Uuid>,
    ) -> Result<SampleTaskAccepted, Problems<DeleteFailures>> {
        let sample_id = sample_id.0;
        let actor = auth.0.actor();
        let task = delete_entity(
            &state.pool,
            sample(&sample_id.to_string()),
            authority(&auth.0),
            &actor,
            state.grace,
        )
        .await
        .map_err(problem_of)?
        .ok_or_else(no_sample)?;
        let task = promised(&state, task).await?;
        Ok(SampleTaskAccepted::Accepted(
            Json(SampleTask::for_caller(task, &auth.0)),
            format!("/samples/{sample_id}/deletion"),
        ))
    }
}

/// `GET /samples/{sampleId}/deletion`
pub struct SampleDeletions;

#[OpenApi(tag = "Tag::Samples")]
impl SampleDeletions {
    /// Show how far the deletion of a sample is
    ///
    /// The task of the last deletion that was asked for, also after the sample is gone, until its record is pruned.
    /// `cancelled` after a restore. 404 if no deletion was asked for.
    #[oai(
        path = "/samples/:sampleId/deletion",
        method = "get",
        operation_id = "getSampleDeletion"
    )]
    async fn show(
        &self,
        auth: SessionOrViewerAuth,
        state: State<'_>,
        /// The sample's id.
        #[oai(name = "sampleId")]
        sample_id: Path<Uuid>,
    ) -> Result<Json<SampleTask>, Problems<DeletionFailures>> {
        let owner = match &auth.0 {
            Caller::Session(session) => Some(session.user_id.as_str()),
            Caller::Admin { .. } => None,
        };
        let mut tx = reading(&state.pool).await?;
        let id = evidence::deletion_of_sample(&mut tx, sample_id.0, owner)
            .await
            .map_err(problem_of)?
            .ok_or_else(no_deletion)?;
        let task = tasks::find(&mut *tx, id)
            .await
            .map_err(problem_of)?
            .ok_or_else(no_deletion)?;
        Ok(Json(SampleTask::for_caller(task, &auth.0)))
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
        auth: SessionOrOperatorAuth,
        state: State<'_>,
        /// The sample's id.
        #[oai(name = "sampleId")]
        sample_id: Path<Uuid>,
    ) -> Result<Json<Sample>, Problems<RestoreFailures>> {
        let sample_id = sample_id.0;
        let actor = auth.0.actor();
        let id = sample_id.to_string();
        let outcome = restore_entity(&state.pool, sample(&id), authority(&auth.0), &actor)
            .await
            .map_err(problem_of)?;
        let conflict = |detail: &str, code| Err(Problem::conflict(detail).with_code(code).into());
        match outcome {
            RestoreOutcome::Live(sample) => {
                let sample = Sample::of(sample_id, &sample);
                Ok(Json(sample.ok_or_else(no_sample)?))
            }
            RestoreOutcome::NotFound => Err(no_sample().into()),
            RestoreOutcome::UserDeleted => {
                conflict("The sample's user is deleted.", ProblemCode::UserDeleted)
            }
            RestoreOutcome::DeletedByOther => conflict(
                "Somebody else asked for the deletion of this sample.",
                ProblemCode::DeletedByOther,
            ),
            RestoreOutcome::Begun => conflict("Cleanup has begun.", ProblemCode::CleanupBegun),
            RestoreOutcome::NotRequested => conflict(
                "No deletion of this sample is pending.",
                ProblemCode::NoDeletionPending,
            ),
        }
    }
}

pub(super) fn authority(caller: &Caller) -> Authority<'_> {
    match caller {
        Caller::Session(session) => Authority::Owner(&session.user_id),
        Caller::Admin { .. } => Authority::Admin,
    }
}

const fn sample(id: &str) -> EntityRef<'_> {
    EntityRef {
        of_type: "sample",
        id,
    }
}

fn no_sample() -> Problem {
    Problem::not_found("There is no such sample.").with_code(ProblemCode::SampleNotFound)
}

fn no_deletion() -> Problem {
    Problem::not_found("The deletion of this sample was never asked for.")
        .with_code(ProblemCode::DeletionNotFound)
}

/// Reads the task that was just committed. It cannot have been deleted yet.
pub(super) async fn promised(state: &ApiState, id: TaskId) -> Result<Task, Problem> {
    tasks::find(&state.pool, id)
        .await
        .map_err(problem_of)?
        .ok_or_else(|| Problem::internal(&sqlx::Error::RowNotFound))
}

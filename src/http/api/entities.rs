//! Rows of any type that the erasure map opens with `api = true`.

use poem::Request;
use poem_openapi::{Object, OpenApi, payload::Json};

use super::{
    database::{problem_of, reading},
    parameter::{Path, Text},
    query::State,
    samples::{SampleTask, SampleTaskAccepted, authority, promised},
    types::Tag,
};
use crate::{
    deletion::{
        requests::{EntityRef, delete_entity, has_entity},
        restore::{RestoreOutcome, restore_entity},
    },
    evidence,
    http::{
        access::{SessionOrAdminAuth, SessionOrOperatorAuth, SessionOrViewerAuth},
        credentials::Caller,
        problem::{Problem, Problems},
    },
    problems, tasks,
    vocabulary::{EntityId, ProblemCode},
};

problems!(pub DeleteEntityFailures: 400, 401, 403, 404, 503);
problems!(pub EntityDeletionFailures: 400, 401, 403, 404, 503);
problems!(pub RestoreEntityFailures: 400, 401, 403, 404, 409, 503);

/// A row that is not deleted.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase")]
pub struct Entity {
    pub entity_type: String,
    /// Of a composite key its parts, each percent-encoded, joined by `~`.
    pub id: String,
    /// Whose row it is; empty if it is nobody's.
    pub user_id: String,
}

/// `DELETE /entities/{type}/{id}`
pub struct Entities;

#[OpenApi(tag = "Tag::Samples")]
impl Entities {
    /// Delete one row of any type that the erasure map opens
    ///
    /// The row and what hangs on it are soft-deleted at once, where their tables have a column for it; the task removes
    /// their objects, then the rows. The answer is the same while the row exists. Cannot be taken back once the task has
    /// begun.
    #[oai(
        path = "/entities/:type/:id",
        method = "delete",
        operation_id = "deleteEntity"
    )]
    async fn delete(
        &self,
        auth: SessionOrAdminAuth,
        state: State<'_>,
        request: &Request,
        /// A type of the erasure map with `api = true`, such as `sample`.
        #[oai(name = "type")]
        of_type: Path<Text>,
        /// The id; of a composite key its parts, each percent-encoded, joined by `~`.
        id: Path<Text>,
    ) -> Result<SampleTaskAccepted, Problems<DeleteEntityFailures>> {
        let of_type = of_type.0.0.as_str();
        let id = id_in_database(&state, request, of_type, &id.0.0).await?;
        let entity = EntityRef { of_type, id: &id };
        let actor = auth.0.actor();
        let task = delete_entity(&state.pool, entity, authority(&auth.0), &actor, state.grace)
            .await
            .map_err(problem_of)?
            .ok_or_else(no_entity)?;
        let task = promised(&state, task).await?;
        Ok(SampleTaskAccepted::Accepted(
            Json(SampleTask::for_caller(task, &auth.0)),
            format!("{}/deletion", request.original_uri().path()),
        ))
    }
}

/// `GET /entities/{type}/{id}/deletion`
pub struct EntityDeletions;

#[OpenApi(tag = "Tag::Samples")]
impl EntityDeletions {
    /// Show how far the deletion of a row is
    ///
    /// The task of the last deletion that was asked for, also after the row is gone, until its record is pruned.
    /// `cancelled` after a restore. 404 if no deletion was asked for.
    #[oai(
        path = "/entities/:type/:id/deletion",
        method = "get",
        operation_id = "getEntityDeletion"
    )]
    async fn show(
        &self,
        auth: SessionOrViewerAuth,
        state: State<'_>,
        request: &Request,
        /// A type of the erasure map with `api = true`, such as `sample`.
        #[oai(name = "type")]
        of_type: Path<Text>,
        /// The id; of a composite key its parts, each percent-encoded, joined by `~`.
        id: Path<Text>,
    ) -> Result<Json<SampleTask>, Problems<EntityDeletionFailures>> {
        let owner = match &auth.0 {
            Caller::Session(session) => Some(session.user_id.as_str()),
            Caller::Admin { .. } => None,
        };
        let composite = composite(request);
        let mut tx = reading(&state.pool).await?;
        for id in composite.into_iter().chain([id.0.0.clone()]) {
            let found = evidence::deletion_of_entity(&mut tx, &of_type.0.0, &id, owner)
                .await
                .map_err(problem_of)?;
            if let Some(found) = found
                && let Some(task) = tasks::find(&mut *tx, found).await.map_err(problem_of)?
            {
                return Ok(Json(SampleTask::for_caller(task, &auth.0)));
            }
        }
        Err(
            Problem::not_found("The deletion of this row was never asked for.")
                .with_code(ProblemCode::DeletionNotFound)
                .into(),
        )
    }
}

/// `POST /entities/{type}/{id}/restore`
pub struct EntityRestores;

#[OpenApi(tag = "Tag::Samples")]
impl EntityRestores {
    /// Restore a row
    ///
    /// Takes a deletion back within the grace period, as long as cleanup has not begun. A session can take back only what
    /// it asked for itself. A row that is not deleted stays as it is.
    #[oai(
        path = "/entities/:type/:id/restore",
        method = "post",
        operation_id = "restoreEntity"
    )]
    async fn restore(
        &self,
        auth: SessionOrOperatorAuth,
        state: State<'_>,
        request: &Request,
        /// A type of the erasure map with `api = true`, such as `sample`.
        #[oai(name = "type")]
        of_type: Path<Text>,
        /// The id; of a composite key its parts, each percent-encoded, joined by `~`.
        id: Path<Text>,
    ) -> Result<Json<Entity>, Problems<RestoreEntityFailures>> {
        let of_type = of_type.0.0.as_str();
        let id = id_in_database(&state, request, of_type, &id.0.0).await?;
        let entity = EntityRef { of_type, id: &id };
        let actor = auth.0.actor();
        let outcome = restore_entity(&state.pool, entity, authority(&auth.0), &actor)
            .await
            .map_err(problem_of)?;
        let conflict = |detail: &str, code| Err(Problem::conflict(detail).with_code(code).into());
        match outcome {
            RestoreOutcome::Live(row) => Ok(Json(Entity {
                entity_type: of_type.to_owned(),
                id: EntityId::from_database(row.id).into(),
                user_id: row.user_id,
            })),
            RestoreOutcome::NotFound => Err(no_entity().into()),
            RestoreOutcome::UserDeleted => {
                conflict("The row's user is deleted.", ProblemCode::UserDeleted)
            }
            RestoreOutcome::DeletedByOther => conflict(
                "Somebody else asked for the deletion of this row.",
                ProblemCode::DeletedByOther,
            ),
            RestoreOutcome::Begun => conflict("Cleanup has begun.", ProblemCode::CleanupBegun),
            RestoreOutcome::NotRequested => conflict(
                "No deletion of this row is pending.",
                ProblemCode::NoDeletionPending,
            ),
        }
    }
}

/// The id as the database has it. A path with a tilde may mean several parts or one.
async fn id_in_database(
    state: &State<'_>,
    request: &Request,
    of_type: &str,
    id: &str,
) -> Result<String, Problem> {
    if let Some(composite) = composite(request) {
        let entity = EntityRef {
            of_type,
            id: &composite,
        };
        if has_entity(&state.pool, entity).await.map_err(problem_of)? {
            return Ok(composite);
        }
    }
    Ok(id.to_owned())
}

/// The id in the path as that of a composite key; `None` for an id of one part. The path is read before it is decoded,
/// because a part may have an encoded tilde in it.
fn composite(request: &Request) -> Option<String> {
    let mut segments = request.original_uri().path().split('/').skip(1);
    let mut ids = EntityId::to_database(segments.nth(2)?).into_iter();
    match (ids.next(), ids.next()) {
        (Some(composite), Some(_)) => Some(composite),
        _ => None,
    }
}

fn no_entity() -> Problem {
    Problem::not_found("There is no such row, or rows of its type may not be deleted alone.")
        .with_code(ProblemCode::EntityNotFound)
}

//! For admins: the rows that are soft-deleted and not yet purged.

use poem_openapi::{OpenApi, payload::Json};

use super::{
    database::{list_problem, reading},
    parameter::{Cursor, Limit, Query, Text},
    query::State,
    types::{Tag, page},
};
use crate::{
    evidence::{DeletedFilter, DeletedPage, list_deleted},
    http::{access::ViewerAuth, problem::Problems},
    problems,
    vocabulary::{TaskStatus, Timestamp},
};

problems!(pub DeletedFailures: 400, 401, 403, 503);

/// `GET /admin/deleted`
pub struct AdminDeleted;

#[OpenApi(tag = "Tag::Admin")]
impl AdminDeleted {
    /// List the rows that are soft-deleted and not yet purged, newest first
    ///
    /// Users, collections, samples and images, each with the open task that will purge it.
    #[oai(path = "/admin/deleted", method = "get", operation_id = "listDeleted")]
    #[allow(clippy::too_many_arguments, reason = "each is a query parameter")]
    async fn list(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
        /// A type of the erasure map, such as `sample`; `user` is in every map.
        #[oai(name = "entityType")]
        entity_type: Query<Text>,
        /// The id of a user, a collection, a sample or an image.
        #[oai(name = "entityId")]
        entity_id: Query<Text>,
        /// As recorded: `clerk:user.deleted`, `user:<id>`, `admin:<name>` or what SQL passed.
        #[oai(name = "deletedBy")]
        deleted_by: Query<Text>,
        /// At this time or later.
        #[oai(name = "deletedAfter")]
        deleted_after: Query<Timestamp>,
        /// Before this time.
        #[oai(name = "deletedBefore")]
        deleted_before: Query<Timestamp>,
        #[oai(name = "userId")] user_id: Query<Text>,
        /// How the open task stands. A page may then have fewer items than `limit`, or none, and a `nextCursor`.
        #[oai(name = "taskStatus")]
        task_status: Query<TaskStatus>,
        /// Where the last page ended: its `nextCursor`. Empty for the first page.
        cursor: Query<Cursor>,
        /// The most items of the page.
        limit: Query<Limit>,
    ) -> Result<Json<DeletedPage>, Problems<DeletedFailures>> {
        let filter = DeletedFilter {
            entity_type: entity_type.0.map(|text| text.0),
            entity_id: entity_id.0.map(|text| text.0),
            deleted_by: deleted_by.0.map(|text| text.0),
            user_id: user_id.0.map(|text| text.0),
            deleted_after: deleted_after.0,
            deleted_before: deleted_before.0,
            task_status: task_status.0,
        };
        let mut tx = reading(&state.pool).await?;
        let page = list_deleted(&mut tx, &filter, page(limit.0, &cursor))
            .await
            .map_err(list_problem)?;
        Ok(Json(page))
    }
}

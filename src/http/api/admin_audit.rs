//! For admins: who deleted what, and when.

use poem_openapi::{OpenApi, payload::Json};

use super::{
    database::{list_problem, reading},
    parameter::{Cursor, Limit, Query, Text},
    query::State,
    types::{Tag, page},
};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    problems,
    tasks::{self, AuditFilter, AuditPage},
    vocabulary::{AuditEvent, TaskId, Timestamp},
};

problems!(pub AuditFailures: 400, 401, 403, 503);

/// `GET /admin/audit`
pub struct AdminAudit;

#[OpenApi(tag = "Tag::Admin")]
impl AdminAudit {
    /// List the audit trail, newest first
    ///
    /// Requests, restores, attempts, retries and completed erasures, with the object keys and rows that each removed.
    #[oai(path = "/admin/audit", method = "get", operation_id = "listAudit")]
    #[allow(clippy::too_many_arguments, reason = "each is a query parameter")]
    async fn list(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
        event: Query<AuditEvent>,
        /// As recorded: `clerk:user.deleted`, `user:<id>`, `admin:<name>` or what SQL passed.
        actor: Query<Text>,
        #[oai(name = "taskId")] task_id: Query<TaskId>,
        /// A type of the erasure map, such as `sample`; `user` is in every map.
        #[oai(name = "entityType")]
        entity_type: Query<Text>,
        /// The id of a sample, an image or a user.
        #[oai(name = "entityId")]
        entity_id: Query<Text>,
        #[oai(name = "userId")] user_id: Query<Text>,
        /// At this time or later.
        after: Query<Timestamp>,
        /// Before this time.
        before: Query<Timestamp>,
        /// Where the last page ended: its `nextCursor`. Empty for the first page.
        cursor: Query<Cursor>,
        /// The most items of the page.
        limit: Query<Limit>,
    ) -> Result<Json<AuditPage>, Problems<AuditFailures>> {
        let filter = AuditFilter {
            event: event.0,
            actor: actor.0.map(|text| text.0),
            task_id: task_id.0,
            entity_type: entity_type.0.map(|text| text.0),
            entity_id: entity_id.0.map(|text| text.0),
            user_id: user_id.0.map(|text| text.0),
            after: after.0,
            before: before.0,
        };
        let mut tx = reading(&state.pool).await?;
        let page = tasks::list_audit(&mut tx, &filter, page(limit.0, &cursor))
            .await
            .map_err(list_problem)?;
        Ok(Json(page))
    }
}

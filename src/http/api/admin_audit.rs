//! For admins: who deleted what, and when.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{OpenApi, param::Query, payload::Json};

use super::{
    ApiState,
    database::{problem_of, reading},
    page,
    types::Tag,
};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    problems,
    tasks::{self, AuditFilter, AuditPage},
    vocabulary::{AuditEvent, AuditId, EntityType, Timestamp},
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
        state: Data<&Arc<ApiState>>,
        event: Query<Option<AuditEvent>>,
        /// As recorded: `clerk:user.deleted`, `user:<id>`, `admin:<name>` or what SQL passed.
        actor: Query<Option<String>>,
        #[oai(name = "taskId")] task_id: Query<Option<String>>,
        #[oai(name = "entityType")] entity_type: Query<Option<EntityType>>,
        #[oai(name = "entityId")] entity_id: Query<Option<String>>,
        #[oai(name = "userId")] user_id: Query<Option<String>>,
        /// At this time or later.
        after: Query<Option<Timestamp>>,
        /// Before this time.
        before: Query<Option<Timestamp>>,
        /// Where the last page ended: its `nextCursor`.
        cursor: Query<Option<String>>,
        /// 1 to 200, 50 if not given.
        limit: Query<Option<i32>>,
    ) -> Result<Json<AuditPage>, Problems<AuditFailures>> {
        let size = page::size(limit.0)?;
        let filter = AuditFilter {
            event: event.0,
            actor: page::optional_text("actor", actor.0)?,
            task_id: task_id
                .0
                .map(|id| page::task_id("taskId", &id))
                .transpose()?,
            entity_type: entity_type.0,
            entity_id: page::optional_text("entityId", entity_id.0)?,
            user_id: page::optional_text("userId", user_id.0)?,
            after: after.0,
            before: before.0,
            older_than: page::decode_id(cursor.0.as_deref())?.map(AuditId),
        };
        let mut tx = reading(&state.pool).await?;
        let page = tasks::list_audit(&mut tx, &filter, size)
            .await
            .map_err(problem_of)?;
        Ok(Json(page))
    }
}

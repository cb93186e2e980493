//! For admins: who deleted what, and when.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use sqlx::query_file_as;

use super::{
    ApiState,
    database::{problem_of, reading},
    entity::entity_tasks,
    page,
    types::{AuditEntry, AuditEvent, AuditRow, EntityType, Tag},
};
use crate::{
    http::{credentials::AdminAuth, problem::Problems},
    problems,
};

problems!(pub AuditFailures: 400, 401, 403, 503);

/// A page of the audit trail, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct AuditPage {
    pub items: Vec<AuditEntry>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

/// `GET /admin/audit`
pub struct AdminAudit;

#[OpenApi(tag = "Tag::Admin")]
impl AdminAudit {
    /// List the audit trail, newest first
    #[oai(path = "/admin/audit", method = "get", operation_id = "listAudit")]
    #[allow(clippy::too_many_arguments, reason = "each is a query parameter")]
    async fn list(
        &self,
        _auth: AdminAuth,
        state: Data<&Arc<ApiState>>,
        event: Query<Option<AuditEvent>>,
        /// As recorded: `clerk:user.deleted`, `user:<id>`, `admin:<name>` or what SQL passed.
        actor: Query<Option<String>>,
        #[oai(name = "taskId")] task_id: Query<Option<String>>,
        #[oai(name = "entityType")] entity_type: Query<Option<EntityType>>,
        #[oai(name = "entityId")] entity_id: Query<Option<String>>,
        #[oai(name = "userId")] user_id: Query<Option<String>>,
        /// At this time or later.
        after: Query<Option<DateTime<Utc>>>,
        /// Before this time.
        before: Query<Option<DateTime<Utc>>>,
        /// Where the last page ended: its `nextCursor`.
        cursor: Query<Option<String>>,
        /// 1 to 200, 50 if not given.
        limit: Query<Option<i32>>,
    ) -> Result<Json<AuditPage>, Problems<AuditFailures>> {
        let size = page::size(limit.0)?;
        let last = page::decode_id(cursor.0.as_deref())?;
        let task_id = match task_id.0 {
            Some(id) => Some(page::task_id("taskId", &id)?),
            None => None,
        };
        let actor = page::optional_text("actor", actor.0)?;
        let entity_id = page::optional_text("entityId", entity_id.0)?;
        let user_id = page::optional_text("userId", user_id.0)?;
        let mut transaction = reading(&state.pool).await?;
        let entity_tasks = entity_tasks(&mut transaction, entity_id.as_deref())
            .await
            .map_err(problem_of)?;
        let mut rows = query_file_as!(
            AuditRow,
            "sql/http/list_audit.sql",
            event.0.map(AuditEvent::as_str),
            actor,
            task_id,
            entity_type.0.map(EntityType::as_str),
            entity_id,
            user_id,
            after.0,
            before.0,
            last,
            page::rows_to_read(size),
            entity_tasks.as_deref()
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(problem_of)?;
        let next_cursor = page::cut(&mut rows, size, |row| vec![row.id.to_string()]);
        let items = rows.into_iter().map(AuditEntry::from).collect();
        Ok(Json(AuditPage { items, next_cursor }))
    }
}

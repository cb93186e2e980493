//! For admins: what is soft-deleted and not yet purged.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use sqlx::query_file_as;
use uuid::Uuid;

use super::{
    ApiState,
    database::{problem_of, reading},
    page,
    types::Tag,
};
use crate::vocabulary::EntityType;
use crate::{
    http::{credentials::AdminAuth, problem::Problem, problem::Problems},
    problems,
};

problems!(pub DeletedFailures: 400, 401, 403, 503);

/// Something that is soft-deleted.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct Deleted {
    /// `user`, `collection`, `sample` or `sample-image`.
    pub entity_type: String,
    pub id: String,
    pub user_id: String,
    pub deleted_at: DateTime<Utc>,
    pub deleted_by: Option<String>,
    /// The open task that will purge it.
    pub task_id: Option<String>,
    /// When that task is tried next.
    pub scheduled_at: Option<DateTime<Utc>>,
}

/// A page of what is soft-deleted, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct DeletedPage {
    pub items: Vec<Deleted>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

#[derive(Debug)]
struct DeletedRow {
    entity_type: String,
    id: String,
    user_id: String,
    deleted_at: DateTime<Utc>,
    deleted_by: Option<String>,
    task_id: Option<i64>,
    scheduled_at: Option<DateTime<Utc>>,
}

/// `GET /admin/deleted`
pub struct AdminDeleted;

#[OpenApi(tag = "Tag::Admin")]
impl AdminDeleted {
    /// List what is soft-deleted and not yet purged, newest first
    #[oai(path = "/admin/deleted", method = "get", operation_id = "listDeleted")]
    #[allow(clippy::too_many_arguments, reason = "each is a query parameter")]
    async fn list(
        &self,
        _auth: AdminAuth,
        state: Data<&Arc<ApiState>>,
        #[oai(name = "entityType")] entity_type: Query<Option<EntityType>>,
        /// As recorded: `clerk:user.deleted`, `user:<id>`, `admin:<name>` or what SQL passed.
        #[oai(name = "deletedBy")]
        deleted_by: Query<Option<String>>,
        /// At this time or later.
        #[oai(name = "deletedAfter")]
        deleted_after: Query<Option<DateTime<Utc>>>,
        /// Before this time.
        #[oai(name = "deletedBefore")]
        deleted_before: Query<Option<DateTime<Utc>>>,
        #[oai(name = "userId")] user_id: Query<Option<String>>,
        /// Where the last page ended: its `nextCursor`.
        cursor: Query<Option<String>>,
        /// 1 to 200, 50 if not given.
        limit: Query<Option<i32>>,
    ) -> Result<Json<DeletedPage>, Problems<DeletedFailures>> {
        let size = page::size(limit.0)?;
        let place = Place::parse(cursor.0.as_deref())?;
        let deleted_by = page::optional_text("deletedBy", deleted_by.0)?;
        let user_id = page::optional_text("userId", user_id.0)?;
        let mut transaction = reading(&state.pool).await?;
        let mut rows = query_file_as!(
            DeletedRow,
            "sql/http/list_deleted.sql",
            entity_type.0.map(EntityType::as_str),
            deleted_by,
            user_id,
            deleted_after.0,
            deleted_before.0,
            place.at,
            place.user,
            place.others[0],
            place.others[1],
            place.others[2],
            page::rows_to_read(size)
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(problem_of)?;
        let next_cursor = crate::cursor::cut_page(&mut rows, size, |row| {
            let micros = row.deleted_at.timestamp_micros();
            vec![micros.to_string(), row.entity_type.clone(), row.id.clone()]
        });
        let items = rows.into_iter().map(Deleted::from).collect();
        Ok(Json(DeletedPage { items, next_cursor }))
    }
}

impl From<DeletedRow> for Deleted {
    fn from(row: DeletedRow) -> Self {
        Self {
            entity_type: row.entity_type,
            id: row.id,
            user_id: row.user_id,
            deleted_at: row.deleted_at,
            deleted_by: row.deleted_by,
            task_id: row.task_id.map(|id| id.to_string()),
            scheduled_at: row.scheduled_at,
        }
    }
}

/// Where a page begins. At one time users come first, then collections, samples and images: for
/// each, the id below which its rows of that time are still to be shown. The least id means none
/// of them, the greatest all.
#[derive(Debug)]
struct Place {
    at: Option<DateTime<Utc>>,
    user: String,
    others: [Uuid; 3],
}

impl Place {
    fn parse(cursor: Option<&str>) -> Result<Self, Problem> {
        let mut place = Self {
            at: None,
            user: String::new(),
            others: [Uuid::max(); 3],
        };
        let Some(cursor) = cursor else {
            return Ok(place);
        };
        let [micros, entity_type, id] = page::decode(cursor)?;
        let at = micros
            .parse()
            .ok()
            .and_then(DateTime::from_timestamp_micros);
        place.at = Some(at.ok_or_else(page::bad_cursor)?);
        let rank = match entity_type.as_str() {
            "user" => {
                place.user = id;
                return Ok(place);
            }
            "collection" => 0,
            "sample" => 1,
            "sample-image" => 2,
            _ => return Err(page::bad_cursor()),
        };
        place.others[..rank].fill(Uuid::nil());
        place.others[rank] = id.parse().map_err(|_| page::bad_cursor())?;
        Ok(place)
    }
}

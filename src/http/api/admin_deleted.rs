//! For admins: the rows that are soft-deleted and not yet purged.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{Object, OpenApi, param::Query, payload::Json};
use sqlx::query_file_as;
use uuid::Uuid;

use super::{
    ApiState,
    database::{problem_of, reading},
    exact_time::ExactTime,
    page,
    types::Tag,
};
use crate::{
    cursor,
    http::{
        access::ViewerAuth,
        problem::{Problem, Problems},
    },
    problems,
    vocabulary::{EntityType, TaskId, Timestamp},
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
    pub deleted_at: Timestamp,
    pub deleted_by: Option<String>,
    /// The open task that will purge it.
    pub task_id: Option<TaskId>,
    /// When that task is tried next.
    pub scheduled_at: Option<Timestamp>,
}

/// A page of rows that are soft-deleted, newest first.
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
    deleted_at: Timestamp,
    exact_deleted_at: ExactTime,
    deleted_by: Option<String>,
    task_id: Option<TaskId>,
    scheduled_at: Option<Timestamp>,
}

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
        state: Data<&Arc<ApiState>>,
        #[oai(name = "entityType")] entity_type: Query<Option<EntityType>>,
        /// As recorded: `clerk:user.deleted`, `user:<id>`, `admin:<name>` or what SQL passed.
        #[oai(name = "deletedBy")]
        deleted_by: Query<Option<String>>,
        /// At this time or later.
        #[oai(name = "deletedAfter")]
        deleted_after: Query<Option<Timestamp>>,
        /// Before this time.
        #[oai(name = "deletedBefore")]
        deleted_before: Query<Option<Timestamp>>,
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
        let mut tx = reading(&state.pool).await?;
        let mut rows = query_file_as!(
            DeletedRow,
            "sql/http/list_deleted.sql",
            entity_type.0 as Option<EntityType>,
            deleted_by,
            user_id,
            deleted_after.0 as Option<Timestamp>,
            deleted_before.0 as Option<Timestamp>,
            place.at as Option<ExactTime>,
            place.user,
            place.others[0],
            place.others[1],
            place.others[2],
            crate::cursor::rows_to_read(size)
        )
        .fetch_all(&mut *tx)
        .await
        .map_err(problem_of)?;
        let next_cursor = cursor::cut_page(&mut rows, size, |row| {
            let at = row.exact_deleted_at.to_string();
            vec![at, row.entity_type.clone(), row.id.clone()]
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
            task_id: row.task_id,
            scheduled_at: row.scheduled_at,
        }
    }
}

/// Where a page begins. Of the rows of one time, users come first, then collections, samples and images. For
/// each there is the id below which its rows of that time are still to be shown: the least id means none of
/// them, the greatest means all.
#[derive(Debug)]
struct Place {
    at: Option<ExactTime>,
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
        let [at, entity_type, id] = page::decode(cursor)?;
        place.at = Some(at.parse().map_err(|_| page::bad_cursor())?);
        let rank = match EntityType::parse(&entity_type) {
            Some(EntityType::User) => {
                place.user = id;
                return Ok(place);
            }
            Some(EntityType::Collection) => 0,
            Some(EntityType::Sample) => 1,
            Some(EntityType::SampleImage) => 2,
            None => return Err(page::bad_cursor()),
        };
        place.others[..rank].fill(Uuid::nil());
        place.others[rank] = id.parse().map_err(|_| page::bad_cursor())?;
        Ok(place)
    }
}

//! The audit trail: who asked for what, and what was deleted.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use poem_openapi::{Object, types::Example};
use sqlx::{PgConnection, query_file_as};
use uuid::Uuid;

use super::task::{EXAMPLE_SAMPLE, EXAMPLE_USER, example_time};
use super::types::check_type;
use super::{entity_ids, entity_tasks};
use crate::cursor::{ListError, ListId, Page, bytes_of, read_rows, rows_to_read};
use crate::vocabulary::{
    AuditEvent, AuditId, EntityId, EntityType, ErrorClass, TaskId, TaskKind, Timestamp,
};

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none, example)]
pub struct AuditEntry {
    pub id: AuditId,
    pub at: Timestamp,
    /// What happened, such as `task-completed`. A newer version may add others.
    pub event: String,
    /// Who asked: `clerk:user.deleted`, `user:<id>`, `admin:<name>`, `cli:<user>` or what SQL passed. Absent for a worker's own acts.
    pub actor: Option<String>,
    pub worker: Option<String>,
    pub task_id: Option<TaskId>,
    pub kind: Option<String>,
    pub entity_type: Option<String>,
    /// Of a composite key its parts, each percent-encoded, joined by `~`.
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    pub attempt: Option<i32>,
    /// Objects that the store confirmed to be gone.
    pub object_keys: Vec<String>,
    /// Objects that were kept, because a live image names them.
    pub kept_keys: Vec<String>,
    /// The ids of the rows that were removed, by the type that the erasure map gives them.
    pub rows_removed: BTreeMap<String, Vec<String>>,
    /// The same for the types of the built-in map.
    pub image_ids: Vec<Uuid>,
    pub sample_ids: Vec<Uuid>,
    pub collection_ids: Vec<Uuid>,
    /// Rows of `users` that were removed.
    pub user_rows: i32,
    pub error_class: Option<ErrorClass>,
    /// An error, or the reason that an admin gave.
    pub detail: Option<String>,
}

impl Example for AuditEntry {
    fn example() -> Self {
        Self {
            id: AuditId(7),
            at: example_time().into(),
            event: AuditEvent::SampleDeletionRequested.to_string(),
            actor: Some(format!("user:{EXAMPLE_USER}")),
            worker: None,
            task_id: Some(TaskId(42)),
            kind: Some(TaskKind::SampleDelete.to_string()),
            entity_type: Some(EntityType::Sample.to_string()),
            entity_id: Some(EXAMPLE_SAMPLE.into()),
            user_id: Some(EXAMPLE_USER.into()),
            attempt: None,
            object_keys: vec![],
            kept_keys: vec![],
            rows_removed: BTreeMap::new(),
            image_ids: vec![],
            sample_ids: vec![],
            collection_ids: vec![],
            user_rows: 0,
            error_class: None,
            detail: None,
        }
    }
}

/// An entry as the database has it.
struct AuditRow {
    id: AuditId,
    at: Timestamp,
    event: String,
    actor: Option<String>,
    worker: Option<String>,
    task_id: Option<TaskId>,
    kind: Option<String>,
    entity_type: Option<String>,
    entity_id: Option<EntityId>,
    user_id: Option<String>,
    attempt: Option<i32>,
    object_keys: Vec<String>,
    kept_keys: Vec<String>,
    /// The type of the rows that the task named.
    row_type: Option<String>,
    row_ids: Vec<String>,
    /// Other rows, by type.
    more_rows: Option<serde_json::Value>,
    error_class: Option<ErrorClass>,
    detail: Option<String>,
}

impl AuditRow {
    /// The ids of the removed rows of each type.
    fn by_type(&self) -> BTreeMap<String, Vec<String>> {
        let shown = |id: &str| EntityId::from_database(id.to_owned()).into();
        let mut removed = BTreeMap::<String, Vec<String>>::new();
        if let Some(of_type) = self.row_type.as_ref().filter(|_| !self.row_ids.is_empty()) {
            let ids = self.row_ids.iter().map(|id| shown(id));
            removed.insert(of_type.clone(), ids.collect());
        }
        let more = self.more_rows.as_ref().and_then(|rows| rows.as_object());
        for (of_type, ids) in more.into_iter().flatten() {
            let ids = ids.as_array().into_iter().flatten();
            let ids = ids.filter_map(|id| id.as_str()).map(shown);
            removed.entry(of_type.clone()).or_default().extend(ids);
        }
        removed
    }
}

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        let removed = row.by_type();
        let of = |entity: EntityType| removed.get(entity.as_str()).into_iter().flatten();
        let uuids = |entity| {
            of(entity)
                .filter_map(|id| Uuid::parse_str(id).ok())
                .collect()
        };
        Self {
            image_ids: uuids(EntityType::SampleImage),
            sample_ids: uuids(EntityType::Sample),
            collection_ids: uuids(EntityType::Collection),
            user_rows: i32::try_from(of(EntityType::User).count()).unwrap_or(i32::MAX),
            rows_removed: removed,
            id: row.id,
            at: row.at,
            event: row.event,
            actor: row.actor,
            worker: row.worker,
            task_id: row.task_id,
            kind: row.kind,
            entity_type: row.entity_type,
            entity_id: row.entity_id.map(String::from),
            user_id: row.user_id,
            attempt: row.attempt,
            object_keys: row.object_keys,
            kept_keys: row.kept_keys,
            error_class: row.error_class,
            detail: row.detail,
        }
    }
}

/// A page of the audit trail, newest first.
#[derive(Debug, Object)]
#[oai(rename_all = "camelCase", skip_serializing_if_is_none)]
pub struct AuditPage {
    pub items: Vec<AuditEntry>,
    /// Absent on the last page.
    pub next_cursor: Option<String>,
}

/// Which entries are listed; what is `None` does not filter.
#[derive(Debug, Default)]
pub struct AuditFilter {
    pub event: Option<AuditEvent>,
    pub actor: Option<String>,
    pub task_id: Option<TaskId>,
    pub entity_type: Option<String>,
    /// A sample's, an image's or a user's id.
    pub entity_id: Option<String>,
    pub user_id: Option<String>,
    /// At this time or later.
    pub after: Option<Timestamp>,
    /// Before this time.
    pub before: Option<Timestamp>,
}

/// A page of entries, newest first.
///
/// # Errors
/// For a cursor of another list or filter, and those of the database.
pub async fn list_audit(
    connection: &mut PgConnection,
    filter: &AuditFilter,
    page: Page<'_>,
) -> Result<AuditPage, ListError> {
    let list = ListId::new("audit", filter);
    let older_than = list.decode_number(&page)?.map(AuditId);
    check_type(&mut *connection, filter.entity_type.as_deref()).await?;
    let entity_ids = entity_ids(filter.entity_id.as_deref());
    let entity_tasks = entity_tasks(&mut *connection, entity_ids.as_deref()).await?;
    let rows = query_file_as!(
        AuditRow,
        "sql/tasks/list_audit.sql",
        filter.event as Option<AuditEvent>,
        filter.actor.as_deref(),
        filter.task_id as Option<TaskId>,
        filter.entity_type.as_deref(),
        entity_ids.as_deref(),
        filter.user_id.as_deref(),
        filter.after as Option<Timestamp>,
        filter.before as Option<Timestamp>,
        older_than as Option<AuditId>,
        rows_to_read(page.size),
        entity_tasks.as_deref()
    )
    .fetch(connection)
    .map_ok(AuditEntry::from);
    let (mut items, size) = read_rows(rows, page.size, |entry| {
        bytes_of(&entry.object_keys) + bytes_of(&entry.kept_keys)
    })
    .await?;
    let next_cursor = list.cut_page(&mut items, size, |entry| vec![entry.id.to_string()]);
    Ok(AuditPage { items, next_cursor })
}

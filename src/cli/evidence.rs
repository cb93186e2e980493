//! `lethe erase`, `receipt`, `audit` and `deleted`: the main job and its evidence from a terminal, straight on the
//! database.

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write as _};
use std::time::Duration;

use sqlx::PgPool;

use super::args::{AuditArgs, DeletedArgs, EraseArgs, ReceiptArgs};
use super::print::{TasksOutput, new_table, output, plain};
use super::tasks::{MAX_KEYS_SHOWN, TasksError, history_line};
use crate::cursor::Page;
use crate::db::transaction::begin_read_only;
use crate::deletion::requests::delete_user;
use crate::evidence::{self, DeletedFilter, DeletedPage, ErasureTask, Receipt, User};
use crate::map;
use crate::map::plan::{CompileError, Plan, PlannedObjects, plan};
use crate::tasks::{self, AuditFilter, AuditPage, Reason};
use crate::vocabulary::{Timestamp, UserId};

/// How long each statement of a plan may take. A person waits for it.
const PLAN_LIMIT: Duration = Duration::from_secs(30);

/// Erases a user after the person has typed the id again. `user` is that person, for the audit trail.
///
/// # Errors
/// When the database refuses, or the id was not typed again.
pub async fn erase(pool: &PgPool, args: &EraseArgs, user: &str) -> Result<TasksOutput, TasksError> {
    if !args.yes {
        let mut tx = begin_read_only(pool).await?;
        if !evidence::is_user_id(&mut *tx, &args.user_id).await? {
            return Err(TasksError::NotErasable(args.user_id.clone()));
        }
        let found = evidence::user(&mut tx, &args.user_id).await?;
        tx.commit().await?;
        let plan = plan_of(pool, &args.user_id).await?;
        confirm(&found, &plan, &args.user_id)?;
    }
    let actor = format!("cli:{user}");
    let reason = args.reason.as_ref().map(Reason::as_str);
    let id = delete_user(pool, &args.user_id, &actor, reason)
        .await?
        .ok_or_else(|| TasksError::NotErasable(args.user_id.clone()))?;
    let mut tx = begin_read_only(pool).await?;
    let task = tasks::find(&mut *tx, id).await?;
    let task = ErasureTask {
        task: task.ok_or(TasksError::Unknown(id))?,
        user_known: evidence::is_user_known(&mut tx, &args.user_id).await?,
    };
    Ok(output(args.json, &task, erased_text))
}

/// What an erasure would do, by the map that is applied.
async fn plan_of(pool: &PgPool, user_id: &UserId) -> Result<Plan, TasksError> {
    let mut connection = pool.acquire().await?;
    let map = map::current(&mut connection).await?;
    let map = map.ok_or(TasksError::OtherMap)?;
    plan(&mut connection, &map, user_id.as_str(), PLAN_LIMIT)
        .await
        .map_err(|error| match error {
            CompileError::Database(error) => error.into(),
            error @ CompileError::Unbound(_) => TasksError::Unplanned(error),
        })
}

/// Shows what will be lost and asks for the id, on standard error and not on standard output. Where nobody can be asked,
/// what would be lost is shown all the same.
fn confirm(found: &User, plan: &Plan, user_id: &UserId) -> Result<(), TasksError> {
    let mut input = std::io::stdin().lock();
    let mut terminal = std::io::stderr();
    let mut say = |text: String| {
        // A person who cannot read the question cannot answer it.
        let _ = terminal.write_all(text.as_bytes());
        let _ = terminal.flush();
    };
    say(format!("{}\n\n{}\n\n", user_text(found), plan_text(plan)));
    if !input.is_terminal() {
        return Err(TasksError::Unconfirmed(
            "there is no terminal to ask on; give --yes",
        ));
    }
    say(format!(
        "This cannot be taken back. Type the id again to erase {user_id}: "
    ));
    let mut typed = String::new();
    let _ = input.read_line(&mut typed);
    if typed.trim() == user_id.as_str() {
        Ok(())
    } else {
        Err(TasksError::Unconfirmed("the id was not typed again"))
    }
}

fn user_text(user: &User) -> String {
    let head = [
        ["user".to_owned(), user.user_id.clone()],
        ["status".to_owned(), user.status.to_string()],
    ];
    let mut text = new_table(&[]).add_rows(head).trim_fmt();
    if !user.known {
        text.push_str("\n\nNobody knows this user: is the id mistyped?");
    }
    text
}

/// What `lethe map plan` says, for people.
fn plan_text(plan: &Plan) -> String {
    let mut text = match plan.rows.is_empty() {
        true => "No row would be changed.".to_owned(),
        false => {
            let mut table = new_table(&["ROWS", "TYPE", "ACTION", "OBJECTS GIVEN UP"]);
            for rows in &plan.rows {
                table.add_row([
                    rows.rows.to_string(),
                    plain(&rows.row_type),
                    rows.action.clone(),
                    rows.keys.to_string(),
                ]);
            }
            table.trim_fmt()
        }
    };
    if !plan.kept.is_empty() {
        text.push_str("\n\nRows that stay:");
        for kept in &plan.kept {
            let (of_type, why) = (plain(&kept.row_type), plain(&kept.why));
            let _ = write!(text, "\n  {} {of_type}: {why}", kept.rows);
        }
    }
    let PlannedObjects {
        delete,
        shared,
        foreign,
        outside,
    } = &plan.objects;
    let _ = write!(
        text,
        "\n\nObjects: {delete} to delete, {shared} shared with live rows stay, {foreign} at foreign URLs stay"
    );
    if !outside.is_empty() {
        let _ = write!(
            text,
            "\n{} keys lie outside of what the map allows, and wait for a person:",
            outside.len()
        );
        for key in outside.iter().take(MAX_KEYS_SHOWN) {
            let _ = write!(text, "\n  {}", plain(key));
        }
        if outside.len() > MAX_KEYS_SHOWN {
            text.push_str("\n  … (`lethe map plan` shows all)");
        }
    }
    text
}

fn erased_text(task: &ErasureTask) -> String {
    let (user_id, id) = (&task.task.user_id, task.task.id);
    let mut text = format!("{user_id} is being erased by task {id}");
    if !task.user_known {
        text.push_str("; there is no such user, so nothing will be removed");
    }
    let _ = write!(text, "\nlethe receipt {user_id} shows how far it is");
    text
}

/// Shows the receipt of an erasure.
///
/// # Errors
/// When the database refuses, or the erasure was never asked for.
pub async fn receipt(pool: &PgPool, args: &ReceiptArgs) -> Result<TasksOutput, TasksError> {
    let mut tx = begin_read_only(pool).await?;
    let receipt = evidence::receipt(&mut tx, &args.user_id)
        .await?
        .ok_or_else(|| TasksError::NoErasure(args.user_id.clone()))?;
    Ok(output(args.json, &receipt, receipt_text))
}

fn receipt_text(receipt: &Receipt) -> String {
    let removed: Vec<String> = receipt
        .rows_deleted
        .iter()
        .map(|(of_type, rows)| format!("{rows} {of_type}"))
        .collect();
    let removed = removed.join(", ");
    let objects = format!(
        "{} deleted, {} kept",
        receipt.objects_deleted, receipt.objects_kept
    );
    let left = format!(
        "{} tasks, {} objects",
        receipt.remaining.tasks, receipt.remaining.objects
    );
    let known = if receipt.user_known { "yes" } else { "no" };
    let lines = [
        ("user", Some(receipt.user_id.clone())),
        ("known", Some(known.to_owned())),
        ("status", Some(receipt.status.to_string())),
        ("requested", Some(receipt.requested_at.to_seconds())),
        ("by", Some(plain(&receipt.requested_by))),
        ("completed", receipt.completed_at.map(Timestamp::to_seconds)),
        ("objects", Some(objects)),
        ("rows removed", Some(removed)),
        ("left", Some(left)),
    ];
    let lines = lines
        .into_iter()
        .filter_map(|(name, value)| Some([name.to_owned(), value?]));
    let mut text = new_table(&[]).add_rows(lines).trim_fmt();
    if !receipt.parked.is_empty() {
        text.push_str("\n\nWaiting for a person (lethe tasks retry):");
        for task in &receipt.parked {
            let class = task.error_class.map_or("unknown", |class| class.as_str());
            let error = plain(task.last_error.as_deref().unwrap_or_default());
            let _ = write!(text, "\n  task {} {class}: {error}", task.task_id);
        }
    }
    text
}

/// Lists the audit trail.
///
/// # Errors
/// When the database refuses, or the cursor is of another list.
pub async fn audit(pool: &PgPool, args: &AuditArgs) -> Result<TasksOutput, TasksError> {
    let filter = AuditFilter {
        event: args.event,
        actor: args.actor.clone(),
        task_id: args.task_id,
        entity_type: args.entity_type.clone(),
        entity_id: args.entity_id.clone(),
        user_id: args.user_id.clone(),
        after: args.after,
        before: args.before,
    };
    let page = Page {
        size: args.page.limit.into(),
        cursor: args.page.cursor.as_deref(),
    };
    let mut tx = begin_read_only(pool).await?;
    let page = tasks::list_audit(&mut tx, &filter, page).await?;
    Ok(output(args.page.json, &page, audit_text))
}

fn audit_text(page: &AuditPage) -> String {
    if page.items.is_empty() {
        return "no entries".to_owned();
    }
    let lines: Vec<String> = page
        .items
        .iter()
        .map(|entry| {
            let of = match (&entry.entity_type, &entry.entity_id) {
                (Some(kind), Some(id)) => format!(" of {} {}", plain(kind), plain(id)),
                _ => String::new(),
            };
            format!("{} {}{of}", entry.id, history_line(entry))
        })
        .collect();
    with_more(lines.join("\n"), page.next_cursor.as_deref())
}

/// Lists what is soft-deleted and not yet purged.
///
/// # Errors
/// When the database refuses, or the cursor is of another list.
pub async fn deleted(pool: &PgPool, args: &DeletedArgs) -> Result<TasksOutput, TasksError> {
    let filter = DeletedFilter {
        entity_type: args.entity_type.clone(),
        entity_id: args.entity_id.clone(),
        deleted_by: args.deleted_by.clone(),
        user_id: args.user_id.clone(),
        deleted_after: args.deleted_after,
        deleted_before: args.deleted_before,
        task_status: args.task_status,
    };
    let page = Page {
        size: args.page.limit.into(),
        cursor: args.page.cursor.as_deref(),
    };
    let mut tx = begin_read_only(pool).await?;
    let page = evidence::list_deleted(&mut tx, &filter, page).await?;
    Ok(output(args.page.json, &page, deleted_text))
}

fn deleted_text(page: &DeletedPage) -> String {
    if page.items.is_empty() {
        let text = "nothing is deleted and waiting".to_owned();
        return with_more(text, page.next_cursor.as_deref());
    }
    let mut table = new_table(&[
        "TYPE",
        "ID",
        "USER",
        "DELETED",
        "BY",
        "TASK",
        "STATUS",
        "SCHEDULED",
    ]);
    for item in &page.items {
        table.add_row([
            item.entity_type.clone(),
            plain(&item.id),
            plain(&item.user_id),
            item.deleted_at.to_seconds(),
            plain(item.deleted_by.as_deref().unwrap_or_default()),
            item.task_id.map(|id| id.to_string()).unwrap_or_default(),
            item.task_status
                .map(|status| status.to_string())
                .unwrap_or_default(),
            item.scheduled_at
                .map(Timestamp::to_seconds)
                .unwrap_or_default(),
        ]);
    }
    with_more(table.trim_fmt(), page.next_cursor.as_deref())
}

fn with_more(text: String, next_cursor: Option<&str>) -> String {
    match next_cursor {
        Some(cursor) => format!("{text}\n\nThere are more: add --cursor {cursor}"),
        None => text,
    }
}

//! `lethe notices`: what the receiver of notices does not have, straight from the database.

use sqlx::PgConnection;

use super::args::{NoticesArgs, NoticesCommand};
use super::print::new_table;
use crate::notices::manage;

/// The most notices that are listed.
const LIST_LIMIT: i64 = 200;

/// Returns what the command prints.
///
/// # Errors
/// When the database refuses.
pub async fn run(connection: &mut PgConnection, args: &NoticesArgs) -> Result<String, sqlx::Error> {
    match &args.command {
        NoticesCommand::List => list(connection).await,
        NoticesCommand::Retry(args) => {
            let ids = (!args.all).then_some(args.ids.as_slice());
            let retried = manage::retry(connection, ids).await?;
            Ok(format!(
                "{retried} notices are delivered again from the first attempt on"
            ))
        }
    }
}

async fn list(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let notices = manage::undelivered(connection, LIST_LIMIT).await?;
    if notices.is_empty() {
        return Ok("every notice was delivered".to_owned());
    }
    let mut table = new_table(&[
        "id",
        "type",
        "written",
        "attempts",
        "next try",
        "last error",
    ]);
    for notice in notices {
        let next = match notice.given_up {
            true => "given up".to_owned(),
            false => notice.next_try_at.to_seconds(),
        };
        table.add_row([
            notice.id.to_string(),
            notice.kind,
            notice.created_at.to_seconds(),
            notice.attempts.to_string(),
            next,
            notice.last_error.unwrap_or_default(),
        ]);
    }
    Ok(table.to_string())
}

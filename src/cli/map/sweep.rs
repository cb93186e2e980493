//! `lethe map apply --sweep`: erases again whom an earlier map did not erase whole.

use std::fmt::Write as _;

use sqlx::PgConnection;

use crate::cli::progress::bar;
use crate::map::sweep;

/// How many users the report names before it only counts them.
const MAX_NAMED: usize = 20;

/// Finds what is left of erased users, and with `apply` asks for their erasure. Returns what to print.
///
/// # Errors
/// When the database refuses. To run it again is harmless.
pub async fn sweep(
    connection: &mut PgConnection,
    apply: bool,
    actor: &str,
) -> Result<String, sqlx::Error> {
    let looking = bar("{spinner} looked at {pos} erased users", 0);
    let found = sweep::find(connection, |looked| looking.set_position(looked)).await;
    looking.finish_and_clear();
    let found = found?;
    let count = found.users.len();
    let mut text = format!(
        "\nsweep: of {} erased users {count} have something left that this map speaks of",
        found.erased
    );
    for ((of_type, action), rows) in &found.rows {
        let _ = write!(text, "\n  {rows} rows of {of_type} to {action}");
    }
    for user in found.users.iter().take(MAX_NAMED) {
        let _ = write!(text, "\n  {}", user.as_str().escape_debug());
    }
    if count > MAX_NAMED {
        let _ = write!(text, "\n  … and {} more", count - MAX_NAMED);
    }
    if found.under_way > 0 {
        let _ = write!(text, "\n{} more are being erased already", found.under_way);
    }
    if !apply {
        if count > 0 {
            text.push_str("\nnothing was asked for; --sweep --yes erases these users again");
        }
        return Ok(text);
    }
    let length = u64::try_from(count).unwrap_or(u64::MAX);
    let asking = bar(
        "asking for erasures [{bar:30}] {pos}/{len}, {eta} left",
        length,
    );
    let asked = sweep::erase(connection, &found.users, actor, || asking.inc(1)).await;
    asking.finish_and_clear();
    let asked = asked?;
    let _ = write!(
        text,
        "\nasked for {asked} erasures; workers carry them out, under ERASURE_LIMIT_PER_HOUR"
    );
    if asked < length {
        let refused = length - asked;
        let _ = write!(
            text,
            "\n{refused} users may not be erased by this map (`ids` and `never`)"
        );
    }
    Ok(text)
}

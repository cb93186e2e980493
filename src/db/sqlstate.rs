//! What a database error means, by its SQLSTATE. The program's list of codes.
//!
//! Codes: PostgreSQL's documentation, appendix A, "PostgreSQL Error Codes".

use crate::cause;

/// What is to be done about a database error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The database cannot be reached, or it is starting, stopping or out of resources. Wait and try again.
    Away,
    /// A standby answered, as during a failover. Wait and try again.
    ReadOnly,
    /// The server ended this transaction for the sake of another (serialization failure, deadlock). The same
    /// transaction can succeed at once.
    Conflict,
    /// Somebody holds a lock for longer than this statement may wait.
    Locked,
    /// The statement took longer than it may, or was cancelled.
    TooSlow,
    /// A table, function or column does not exist: the schema is older than this program, or not there.
    NotMigrated,
    /// The password, the role or the name of the database is wrong.
    Unauthorized,
    /// The role lacks a right, or row level security would hide rows from it.
    Forbidden,
    /// A value cannot be stored or computed with: a time outside PostgreSQL's range, a bad encoding.
    BadValue,
    /// Anything else: a constraint, a trigger, a fault of the program.
    Refused,
}

/// The meaning of an error.
#[must_use]
pub fn meaning(error: &sqlx::Error) -> Meaning {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .map_or(Meaning::Refused, |code| meaning_of_code(&code)),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Meaning::Away,
        _ => Meaning::Refused,
    }
}

fn meaning_of_code(code: &str) -> Meaning {
    match code {
        "25006" => Meaning::ReadOnly,
        "40001" | "40P01" => Meaning::Conflict,
        "55P03" => Meaning::Locked,
        "57014" => Meaning::TooSlow,
        // Undefined table, function, column, schema.
        "42P01" | "42883" | "42703" | "3F000" => Meaning::NotMigrated,
        "28000" | "28P01" | "3D000" => Meaning::Unauthorized,
        "42501" => Meaning::Forbidden,
        // Datetime field overflow, invalid text representation, untranslatable character.
        "22008" | "22P02" | "22P05" | "22021" => Meaning::BadValue,
        // An earlier statement of this transaction failed, and its error was lost with a connection.
        "25P02" => Meaning::Away,
        // Connection exceptions, insufficient resources, operator intervention.
        _ if ["08", "53", "57"]
            .iter()
            .any(|class| code.starts_with(class)) =>
        {
            Meaning::Away
        }
        _ => Meaning::Refused,
    }
}

/// What a worker does after a transaction of its own failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The database cannot be used at the moment: wait and repeat.
    Away,
    /// The work takes too long, or somebody holds a row or a lock: do less at once.
    TooBig,
    /// The database refuses this work: a constraint, a trigger, a right.
    Refused,
}

/// The kind of trouble that an error is.
#[must_use]
pub fn trouble(error: &sqlx::Error) -> Trouble {
    match meaning(error) {
        Meaning::Away | Meaning::ReadOnly | Meaning::Conflict => Trouble::Away,
        Meaning::Locked | Meaning::TooSlow => Trouble::TooBig,
        Meaning::NotMigrated
        | Meaning::Unauthorized
        | Meaning::Forbidden
        | Meaning::BadValue
        | Meaning::Refused => Trouble::Refused,
    }
}

/// Where an error arose: table, constraint and the statement, as far as the server says so.
#[must_use]
pub fn place(error: &sqlx::Error) -> String {
    let Some(error) = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>())
    else {
        return String::new();
    };
    let mut parts = Vec::new();
    let context = error.r#where().unwrap_or_default();
    if let Some(table) = error.table().or_else(|| outermost_table(context)) {
        parts.push(format!("table {table}"));
    }
    if let Some(constraint) = error.constraint() {
        parts.push(format!("constraint {constraint}"));
    }
    if let Some(context) = context.lines().next() {
        parts.push(context.to_owned());
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join(", "))
    }
}

/// The table that the outermost statement of a context writes. A trigger's own statements stand before it.
fn outermost_table(context: &str) -> Option<&str> {
    let written = |line: &'_ str| -> Option<usize> {
        ["delete from public.", "update public."]
            .iter()
            .find_map(|verb| Some(line.find(verb)? + verb.len()))
    };
    context.lines().rev().find_map(|line| {
        let name = &line[written(line)?..];
        name.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .next()
            .filter(|name| !name.is_empty())
    })
}

/// Whether the server refused because row level security would hide rows from this role (`set row_security = off`).
#[must_use]
pub fn hides_rows(error: &sqlx::Error) -> bool {
    let is_said = |error: &dyn sqlx::error::DatabaseError| {
        error.code().is_some_and(|code| code == "42501")
            && error.message().contains("row-level security")
    };
    error.as_database_error().is_some_and(is_said)
}

/// The error in words, and what a person can do about a missing right: no retry helps against that.
#[must_use]
pub fn with_remedy(error: &sqlx::Error) -> String {
    let text = cause::chain(error) + &place(error);
    match meaning(error) {
        Meaning::Forbidden => format!(
            "{text} (grant the role this right; where row level security applies, the role needs BYPASSRLS, \
             or to own the tables without FORCE ROW LEVEL SECURITY)"
        ),
        _ => text,
    }
}

/// Whether the same statement may succeed later without anybody's help: the database is away, read-only or
/// busy, or somebody holds a lock.
#[must_use]
pub fn is_temporary(error: &sqlx::Error) -> bool {
    matches!(
        meaning(error),
        Meaning::Away | Meaning::ReadOnly | Meaning::Conflict | Meaning::Locked | Meaning::TooSlow
    )
}

/// Whether the statement may have been carried out and committed although it failed here, because only its
/// answer was lost. What the server refused was not carried out, unless the server was stopping; what got no
/// connection was not sent.
#[must_use]
pub fn may_have_been_done(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => error
            .code()
            .is_none_or(|code| code.starts_with("08") || code.starts_with("57P")),
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_the_meaning_that_the_documentation_gives_them() {
        for (code, expected) in [
            ("08006", Meaning::Away),
            ("53300", Meaning::Away),
            ("57P01", Meaning::Away),
            ("25006", Meaning::ReadOnly),
            ("40P01", Meaning::Conflict),
            ("55P03", Meaning::Locked),
            ("57014", Meaning::TooSlow),
            ("42P01", Meaning::NotMigrated),
            ("28P01", Meaning::Unauthorized),
            ("42501", Meaning::Forbidden),
            ("22008", Meaning::BadValue),
            ("23503", Meaning::Refused),
            ("P0001", Meaning::Refused),
        ] {
            assert_eq!(meaning_of_code(code), expected, "{code}");
        }
    }

    #[test]
    fn the_table_of_a_slow_trigger_is_the_one_that_was_written() {
        let context = "SQL statement \"SELECT pg_sleep(60)\"\nPL/pgSQL function slow() line 1 at PERFORM\n\
                       SQL statement \"delete from public.users u\n where u.id = any (users)\"";
        assert_eq!(outermost_table(context), Some("users"));
        assert_eq!(outermost_table("SQL function \"x\""), None);
    }

    #[test]
    fn no_connection_means_that_the_database_is_away_and_nothing_was_sent() {
        assert_eq!(meaning(&sqlx::Error::PoolTimedOut), Meaning::Away);
        assert!(!may_have_been_done(&sqlx::Error::PoolTimedOut));
        let lost = sqlx::Error::Io(std::io::ErrorKind::ConnectionReset.into());
        assert!(is_temporary(&lost) && may_have_been_done(&lost));
        assert!(!is_temporary(&sqlx::Error::RowNotFound));
    }
}

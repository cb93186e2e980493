//! The parameters that lists share: page size, cursor, and texts that may be sent to the database.

use crate::cursor;
use crate::http::problem::Problem;
use crate::vocabulary::TaskId;

const DEFAULT_LIMIT: i32 = 50;
const MAX_LIMIT: i32 = 200;
/// The longest text in a filter or a path. Longer text cannot be one of our ids and does not fit into an index.
const MAX_TEXT_BYTES: usize = 512;

/// The page's size, 50 if none is given.
pub(super) fn size(limit: Option<i32>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::bad_field(
            "limit",
            format!("must be from 1 to {MAX_LIMIT}"),
        ));
    }
    usize::try_from(limit).map_err(|_| Problem::bad_field("limit", "must be positive"))
}

/// The parts of a cursor that one of our lists returned.
pub(super) fn decode<const PARTS: usize>(cursor: &str) -> Result<[String; PARTS], Problem> {
    cursor::decode(cursor).ok_or_else(bad_cursor)
}

pub(super) fn bad_cursor() -> Problem {
    Problem::bad_field("cursor", "is not one that this list gave out")
}

/// The cursor of a list that is ordered by a number.
pub(super) fn decode_id(cursor: Option<&str>) -> Result<Option<i64>, Problem> {
    let Some(cursor) = cursor else {
        return Ok(None);
    };
    let [id] = decode(cursor)?;
    id.parse().map(Some).map_err(|_| bad_cursor())
}

/// Text that may be sent to the database.
pub(super) fn text(field: &str, value: String) -> Result<String, Problem> {
    if value.is_empty() || value.len() > MAX_TEXT_BYTES || value.contains('\0') {
        let reason = format!("must have 1 to {MAX_TEXT_BYTES} bytes and no NUL");
        return Err(Problem::bad_field(field, reason));
    }
    Ok(value)
}

/// Like [`text`], for optional values.
pub(super) fn optional_text(field: &str, value: Option<String>) -> Result<Option<String>, Problem> {
    value.map(|value| text(field, value)).transpose()
}

/// A task's id, which is a number sent as a string.
pub(super) fn task_id(field: &str, value: &str) -> Result<TaskId, Problem> {
    TaskId::parse(value)
        .ok_or_else(|| Problem::bad_field(field, "must be a task's id, a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_cursor_is_a_bad_request_that_names_it() {
        for cursor in ["", "!", "eHg", "MQAy"] {
            let problem = decode_id(Some(cursor)).unwrap_err();
            assert!(problem.detail().starts_with("`cursor`"), "{cursor}");
        }
    }

    #[test]
    fn limits_out_of_range_are_refused() {
        assert_eq!(size(None).unwrap(), 50);
        assert_eq!(size(Some(200)).unwrap(), 200);
        for limit in [-1, 0, 201] {
            assert_eq!(size(Some(limit)).unwrap_err().status().as_u16(), 400);
        }
    }
}

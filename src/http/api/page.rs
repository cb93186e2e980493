//! Cursors: where a page ended, opaque to clients.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::http::problem::Problem;

const DEFAULT_LIMIT: i32 = 50;
const MAX_LIMIT: i32 = 200;
/// Longer text in a filter or a path cannot be an id of ours, nor stand in an index.
const MAX_TEXT_BYTES: usize = 512;
/// Between the parts of a cursor; it cannot stand in any text of PostgreSQL.
const SEPARATOR: char = '\0';

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

/// One more than the page holds is read, which tells whether there is another.
pub(super) fn rows_to_read(size: usize) -> i64 {
    i64::try_from(size).map_or(i64::MAX, |size| size + 1)
}

/// Cuts what was read to the page, and makes the cursor of the next one.
pub(super) fn cut<T>(
    rows: &mut Vec<T>,
    size: usize,
    parts: impl Fn(&T) -> Vec<String>,
) -> Option<String> {
    if rows.len() <= size {
        return None;
    }
    rows.truncate(size);
    rows.last().map(|last| encode(&parts(last)))
}

fn encode(parts: &[String]) -> String {
    URL_SAFE_NO_PAD.encode(parts.join(&SEPARATOR.to_string()))
}

/// The parts of a cursor, if it has exactly so many.
pub(super) fn decode<const PARTS: usize>(cursor: &str) -> Result<[String; PARTS], Problem> {
    URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|text| text.split(SEPARATOR).map(str::to_owned).collect::<Vec<_>>())
        .and_then(|parts| parts.try_into().ok())
        .ok_or_else(bad_cursor)
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

/// As [`text`], for what need not be given.
pub(super) fn optional_text(field: &str, value: Option<String>) -> Result<Option<String>, Problem> {
    value.map(|value| text(field, value)).transpose()
}

/// A task's id, which is a number sent as a string.
pub(super) fn task_id(field: &str, value: &str) -> Result<i64, Problem> {
    value
        .parse()
        .map_err(|_| Problem::bad_field(field, "must be a task's id, a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_brings_back_what_went_in() {
        let mut rows = vec![3_i64, 2, 1];
        let cursor = cut(&mut rows, 2, |id| vec![id.to_string()]).unwrap();
        assert_eq!(rows, [3, 2]);
        assert_eq!(decode_id(Some(&cursor)).unwrap(), Some(2));
        assert_eq!(cut(&mut rows, 2, |id| vec![id.to_string()]), None);
    }

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

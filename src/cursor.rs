//! Cursors: where a page of a list ended, as text that clients pass on and do not read.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Between the parts of a cursor. It cannot stand in any text of PostgreSQL.
const SEPARATOR: char = '\0';

/// The cursor that consists of these parts.
#[must_use]
pub fn encode(parts: &[String]) -> String {
    URL_SAFE_NO_PAD.encode(parts.join(&SEPARATOR.to_string()))
}

/// The parts of a cursor. `None` unless it consists of exactly this number of parts.
#[must_use]
pub fn decode<const PARTS: usize>(cursor: &str) -> Option<[String; PARTS]> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let parts: Vec<String> = text.split(SEPARATOR).map(str::to_owned).collect();
    parts.try_into().ok()
}

/// The number of rows to read for a page of `size` rows: one more tells whether there is another page.
#[must_use]
pub fn rows_to_read(size: usize) -> i64 {
    i64::try_from(size).map_or(i64::MAX, |size| size.saturating_add(1))
}

/// Cuts `rows`, which were read with one more than `size`, to a page. Returns the cursor of the next page, made
/// from the last row that stays; `None` on the last page.
pub fn cut_page<T>(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_brings_back_what_went_in() {
        let mut rows = vec![3_i64, 2, 1];
        let cursor = cut_page(&mut rows, 2, |id| vec![id.to_string()]).unwrap();
        assert_eq!(rows, [3, 2]);
        assert_eq!(decode(&cursor), Some(["2".to_owned()]));
        assert_eq!(decode::<2>(&cursor), None);
        assert_eq!(cut_page(&mut rows, 2, |id| vec![id.to_string()]), None);
        assert_eq!(decode::<1>("!"), None);
    }
}

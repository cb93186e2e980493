//! Cursors: where a page of a list ended, as text that clients pass on and do not read. A cursor belongs to one
//! list with one set of filters, and is refused by every other, which would skip rows silently.

use std::fmt::Debug;
use std::pin::pin;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{Stream, TryStreamExt};
use sha2::{Digest, Sha256};

/// Between the parts of a cursor. It cannot stand in any text of PostgreSQL.
const SEPARATOR: char = '\0';
/// How many bytes of the digest of a list and its filters a cursor has. It guards against mistakes, not attacks.
const DIGEST_BYTES: usize = 6;
/// Most bytes of the long texts in a page: a task may name 10,000 keys of 1 KiB each, so the number of rows alone does
/// not limit the memory of an answer. A single row may have more.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// Which page of a list is read.
#[derive(Clone, Copy, Debug)]
pub struct Page<'a> {
    /// The most items of it.
    pub size: usize,
    /// Where the last page ended; none, or an empty one, is the first page.
    pub cursor: Option<&'a str>,
}

/// The cursor is not one that this list gave out for these filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not one that this list gave out for these filters")]
pub struct InvalidCursor;

/// Why a page cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The cursor is of another list or of other filters.
    #[error("the cursor {0}")]
    Cursor(#[from] InvalidCursor),
    /// The applied map has no such type of rows; these it has.
    #[error("the type must be one of {}", .0.join(", "))]
    Type(Vec<String>),
    /// The database refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// One list with one set of filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListId([u8; DIGEST_BYTES]);

impl ListId {
    /// The list of this name with these filters.
    #[must_use]
    pub fn new(list: &str, filters: &impl Debug) -> Self {
        let digest = Sha256::digest(format!("{list}{SEPARATOR}{filters:?}"));
        let mut id = [0; DIGEST_BYTES];
        id.copy_from_slice(&digest[..DIGEST_BYTES]);
        Self(id)
    }

    /// The cursor that consists of these parts.
    #[must_use]
    pub fn encode(self, parts: &[String]) -> String {
        let mut bytes = self.0.to_vec();
        bytes.extend_from_slice(parts.join(&SEPARATOR.to_string()).as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The parts of a page's cursor. `None` for the first page.
    ///
    /// # Errors
    /// Unless this list gave the cursor out, and it consists of exactly this number of parts.
    pub fn decode<const PARTS: usize>(
        self,
        page: &Page<'_>,
    ) -> Result<Option<[String; PARTS]>, InvalidCursor> {
        let cursor = page.cursor.unwrap_or_default();
        if cursor.is_empty() {
            return Ok(None);
        }
        let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| InvalidCursor)?;
        let parts = bytes.strip_prefix(&self.0).ok_or(InvalidCursor)?;
        let text = std::str::from_utf8(parts).map_err(|_| InvalidCursor)?;
        let parts: Vec<String> = text.split(SEPARATOR).map(str::to_owned).collect();
        parts.try_into().map(Some).map_err(|_| InvalidCursor)
    }

    /// The cursor of a list that is ordered by a number. `None` for the first page.
    ///
    /// # Errors
    /// Unless this list gave the cursor out.
    pub fn decode_number(self, page: &Page<'_>) -> Result<Option<i64>, InvalidCursor> {
        let Some([number]) = self.decode(page)? else {
            return Ok(None);
        };
        number.parse().map(Some).map_err(|_| InvalidCursor)
    }

    /// Cuts `rows`, which were read with one more than `size`, to a page. Returns the cursor of the next page, made
    /// from the last row that stays; `None` on the last page.
    pub fn cut_page<T>(
        self,
        rows: &mut Vec<T>,
        size: usize,
        parts: impl Fn(&T) -> Vec<String>,
    ) -> Option<String> {
        if rows.len() <= size {
            return None;
        }
        rows.truncate(size);
        rows.last().map(|last| self.encode(&parts(last)))
    }
}

/// Reads the rows of a page as they come. Stops when they are larger than a page may be, of which `bytes_of` says
/// what a row has. Returns them and the number of rows of the page, for [`ListId::cut_page`].
///
/// # Errors
/// Those of the rows.
pub async fn read_rows<T, E>(
    rows: impl Stream<Item = Result<T, E>>,
    size: usize,
    bytes_of: impl Fn(&T) -> usize,
) -> Result<(Vec<T>, usize), E> {
    let mut rows = pin!(rows);
    let (mut read, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        bytes += bytes_of(&row);
        read.push(row);
        if bytes > MAX_PAGE_BYTES && read.len() > 1 {
            let fitting = read.len() - 1;
            return Ok((read, fitting.min(size)));
        }
    }
    Ok((read, size))
}

/// The bytes of some texts.
pub fn bytes_of(texts: &[String]) -> usize {
    texts.iter().map(String::len).sum()
}

/// The number of rows to read for a page of `size` rows: one more tells whether there is another page.
#[must_use]
pub fn rows_to_read(size: usize) -> i64 {
    i64::try_from(size).map_or(i64::MAX, |size| size.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cursor: &str) -> Page<'_> {
        let cursor = Some(cursor);
        Page { size: 2, cursor }
    }

    #[test]
    fn a_cursor_brings_back_what_went_in() {
        let list = ListId::new("tasks", &Some("dead"));
        let mut rows = vec![3_i64, 2, 1];
        let parts = |id: &i64| vec![id.to_string()];
        let cursor = list.cut_page(&mut rows, 2, parts).unwrap();
        assert_eq!(rows, [3, 2]);
        assert_eq!(list.decode_number(&at(&cursor)), Ok(Some(2)));
        assert_eq!(list.cut_page(&mut rows, 2, parts), None);
    }

    #[tokio::test]
    async fn a_page_ends_before_its_rows_become_too_large() {
        let page = async |rows: &[usize]| {
            let rows = rows.iter().copied().map(Ok::<_, InvalidCursor>);
            let (read, size) = read_rows(futures::stream::iter(rows), 3, |bytes| *bytes)
                .await
                .unwrap();
            (read.len(), size)
        };
        let half = MAX_PAGE_BYTES / 2;
        assert_eq!(page(&[1, 1, 1, 1]).await, (4, 3));
        assert_eq!(page(&[half, half, 1, 1]).await, (3, 2));
        // A row that is too large by itself is a page.
        assert_eq!(page(&[3 * half, 1, 1, 1]).await, (2, 1));
        assert_eq!(page(&[3 * half]).await, (1, 3));
        assert_eq!(page(&[1, 1, 1, 3 * half]).await, (4, 3));
    }

    #[test]
    fn an_empty_cursor_is_the_first_page_and_a_foreign_one_is_refused() {
        let list = ListId::new("tasks", &Some("dead"));
        let first = Page {
            size: 2,
            cursor: None,
        };
        assert_eq!(list.decode_number(&first), Ok(None));
        assert_eq!(list.decode_number(&at("")), Ok(None));
        let others = [
            ListId::new("audit", &Some("dead")),
            ListId::new("tasks", &Some("failed")),
        ];
        for other in others {
            let cursor = other.encode(&["2".to_owned()]);
            assert_eq!(list.decode_number(&at(&cursor)), Err(InvalidCursor));
        }
        let two_parts = list.encode(&["2".to_owned(), "3".to_owned()]);
        let no_number = list.encode(&["x".to_owned()]);
        for cursor in ["!", "eHg", "MQAy", &two_parts, &no_number] {
            assert_eq!(
                list.decode_number(&at(cursor)),
                Err(InvalidCursor),
                "{cursor}"
            );
        }
    }
}

//! The id of a row. Of a composite key the database has the JSON array of its parts, as PostgreSQL writes a jsonb array
//! of texts; people have the parts, each percent-encoded, joined by `~`, as a path has them. An id of one part is the
//! same in both.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::{
    Decode, Postgres, Type, error::BoxDynError, postgres::PgTypeInfo, postgres::PgValueRef,
};

/// Between the parts of a composite id.
const SEPARATOR: char = '~';
/// What is encoded in a part: all but letters, digits and these signs, which a path has as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// The id as people have it, read from the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntityId(String);

impl EntityId {
    /// The id as people have it, from that of the database.
    #[must_use]
    pub fn from_database(id: String) -> Self {
        let parts = match id.starts_with('[') {
            true => serde_json::from_str::<Vec<String>>(&id).unwrap_or_default(),
            false => Vec::new(),
        };
        if parts.len() < 2 {
            return Self(id);
        }
        let parts: Vec<String> = parts
            .iter()
            .map(|part| utf8_percent_encode(part, ENCODED).to_string())
            .collect();
        Self(parts.join(&SEPARATOR.to_string()))
    }

    /// The ids of the database that a text of people may mean, the likeliest first: a text with a `~` may be an id of
    /// several parts, or of one.
    #[must_use]
    pub fn to_database(text: &str) -> Vec<String> {
        composite(text)
            .into_iter()
            .chain([text.to_owned()])
            .collect()
    }
}

/// The JSON array of the parts; `None` for an id of one part.
fn composite(text: &str) -> Option<String> {
    if !text.contains(SEPARATOR) {
        return None;
    }
    let parts: Option<Vec<String>> = text
        .split(SEPARATOR)
        .map(|part| {
            let part = percent_decode_str(part).decode_utf8().ok()?;
            Some(serde_json::Value::from(part.as_ref()).to_string())
        })
        .collect();
    Some(format!("[{}]", parts?.join(", ")))
}

impl From<EntityId> for String {
    fn from(id: EntityId) -> Self {
        id.0
    }
}

impl Type<Postgres> for EntityId {
    fn type_info() -> PgTypeInfo {
        <str as Type<Postgres>>::type_info()
    }

    fn compatible(other: &PgTypeInfo) -> bool {
        <str as Type<Postgres>>::compatible(other)
    }
}

impl<'r> Decode<'r, Postgres> for EntityId {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        <String as Decode<'r, Postgres>>::decode(value).map(Self::from_database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_composite_id_goes_both_ways() {
        for (database, people) in [
            (r#"["2", "1"]"#, "2~1"),
            (r#"["a~b", "c/d", "é %"]"#, "a%7Eb~c%2Fd~%C3%A9%20%25"),
            (r#"["\"", "\\"]"#, "%22~%5C"),
            (r#"["", ""]"#, "~"),
        ] {
            let shown: String = EntityId::from_database(database.to_owned()).into();
            assert_eq!(shown, people);
            assert_eq!(EntityId::to_database(people), [database, people]);
        }
    }

    #[test]
    fn an_id_of_one_part_stays_as_it_is() {
        for id in ["", "7", "a b", "[", "[]", r#"["2"]"#, "[1, 2]", "user_2abc"] {
            let shown: String = EntityId::from_database(id.to_owned()).into();
            assert_eq!(shown, id);
            assert_eq!(EntityId::to_database(id), [id]);
        }
        // It may be one of several parts, so both are looked for.
        assert_eq!(EntityId::to_database("a~b"), [r#"["a", "b"]"#, "a~b"]);
        assert_eq!(EntityId::to_database("%ff~b"), ["%ff~b"]);
    }
}

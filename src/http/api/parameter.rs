//! The values of paths and queries: what is accepted stands in one place with what the document says of it.

use poem::{PathPattern, Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaParamIn, MetaSchema, MetaSchemaRef, Registry},
    types::Type,
};
use uuid::Uuid;

use super::query;
use crate::http::problem::Problem;
use crate::tasks::{MAX_REASON_CHARS, Reason};
use crate::vocabulary::{
    AuditEvent, ErasureStatus, ErrorClass, StatsWindow, TaskId, TaskKind, TaskStatus, Timestamp,
    UserId,
};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 200;
/// The longest text in a filter, in characters. Longer text cannot be one of our ids.
const MAX_TEXT_CHARS: usize = 512;
/// The longest hyphenated UUID.
const UUID_CHARS: usize = 36;

/// A value that comes as text.
pub(super) trait Parameter: Sized + Send {
    /// What the document says of it.
    fn schema() -> MetaSchemaRef;

    /// Adds the schema to which it refers, if it does.
    fn register(_registry: &mut Registry) {}

    /// # Errors
    /// With the rule that the text breaks, as the end of a sentence that begins with the parameter's name.
    fn parse(text: &str) -> Result<Self, String>;
}

/// An optional parameter of the query.
pub(super) struct Query<T>(pub Option<T>);

/// A parameter of the path. (poem-openapi looks for a type of this name.)
pub(super) struct Path<T>(pub T);

impl<'a, T: Parameter> ApiExtractor<'a> for Query<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Query)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let Some(text) = query::value(request, options.name)? else {
            return Ok(Self(None));
        };
        match T::parse(&text) {
            Ok(value) => Ok(Self(Some(value))),
            Err(rule) => Err(Problem::bad_field(options.name, rule).into()),
        }
    }
}

impl<'a, T: Parameter> ApiExtractor<'a> for Path<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::Parameter];
    const PARAM_IS_REQUIRED: bool = true;
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn param_in() -> Option<MetaParamIn> {
        Some(MetaParamIn::Path)
    }

    fn param_schema_ref() -> Option<MetaSchemaRef> {
        Some(T::schema())
    }

    async fn from_request(
        request: &'a Request,
        _body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let pattern = request.data::<PathPattern>();
        let name = query::operations(request)?.path_parameter(pattern, options.name);
        let text = request.raw_path_param(options.name).unwrap_or_default();
        match T::parse(text) {
            Ok(value) => Ok(Self(value)),
            Err(rule) => Err(Problem::bad_field(name, rule).into()),
        }
    }
}

/// The most items of a page.
pub(super) struct Limit(usize);

impl Limit {
    /// The size of a page for which none is given, too.
    pub(super) fn size(limit: Option<Self>) -> usize {
        limit.map_or(DEFAULT_LIMIT, |limit| limit.0)
    }
}

impl Parameter for Limit {
    fn schema() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            default: Some(DEFAULT_LIMIT.into()),
            minimum: Some(1.0),
            maximum: Some(MAX_LIMIT as f64),
            ..MetaSchema::new_with_format("integer", "int32")
        }))
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(size @ 1..=MAX_LIMIT) => Ok(Self(size)),
            _ => Err(format!("must be a whole number from 1 to {MAX_LIMIT}")),
        }
    }
}

/// Where the last page ended. The list itself says whether it gave this cursor out.
pub(super) struct Cursor(pub String);

impl Parameter for Cursor {
    fn schema() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema::new_with_format("string", "cursor")))
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
}

/// A place in the chain of receipts.
pub(super) struct Sequence(pub i64);

impl Parameter for Sequence {
    fn schema() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            minimum: Some(1.0),
            ..MetaSchema::new_with_format("integer", "int64")
        }))
    }

    fn parse(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(place @ 1..) => Ok(Self(place)),
            _ => Err("must be a whole number from 1".to_owned()),
        }
    }
}

/// Text that a filter compares with.
pub(super) struct Text(pub String);

impl Parameter for Text {
    fn schema() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(MAX_TEXT_CHARS),
            pattern: Some(r"^[^\x00]+$".to_owned()),
            ..MetaSchema::new("string")
        }))
    }

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.chars().count() > MAX_TEXT_CHARS || text.contains('\0') {
            return Err(format!(
                "must have 1 to {MAX_TEXT_CHARS} characters and no NUL"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The same for a field of a body.
pub(super) fn optional_text(field: &str, value: Option<String>) -> Result<Option<String>, Problem> {
    let Some(value) = value else {
        return Ok(None);
    };
    match Text::parse(&value) {
        Ok(text) => Ok(Some(text.0)),
        Err(rule) => Err(Problem::bad_field(field, rule)),
    }
}

impl Parameter for Reason {
    fn schema() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            min_length: Some(1),
            max_length: Some(MAX_REASON_CHARS),
            pattern: Some(r"^[^\x00]*[^\s\x00][^\x00]*$".to_owned()),
            ..MetaSchema::new("string")
        }))
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl Parameter for UserId {
    fn schema() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            max_length: Some(Self::max_chars()),
            pattern: Some(Self::pattern()),
            ..MetaSchema::new("string")
        }))
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|rule| rule.to_string())
    }
}

impl Parameter for TaskId {
    fn schema() -> MetaSchemaRef {
        Self::schema_ref()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(Self::parse)
            .ok_or_else(|| "must be a task's id, a whole number".to_owned())
    }
}

impl Parameter for Uuid {
    fn schema() -> MetaSchemaRef {
        Self::schema_ref()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let hyphenated = Some(text).filter(|text| text.len() == UUID_CHARS);
        hyphenated
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| "must be a UUID".to_owned())
    }
}

impl Parameter for Timestamp {
    fn schema() -> MetaSchemaRef {
        Self::schema_ref()
    }

    fn parse(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| {
            "must be a time such as 2026-11-24T18:00:00Z, of a year from 0001 to 9999".to_owned()
        })
    }
}

macro_rules! words {
    ($($name:ident),+ $(,)?) => {
        $(impl Parameter for $name {
            fn schema() -> MetaSchemaRef {
                Self::schema_ref()
            }

            fn register(registry: &mut Registry) {
                <Self as Type>::register(registry);
            }

            fn parse(text: &str) -> Result<Self, String> {
                Self::parse(text).ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|word| word.as_str()).collect();
                    format!("must be one of `{}`", words.join("`, `"))
                })
            }
        })+
    };
}

words!(
    TaskStatus,
    TaskKind,
    ErrorClass,
    AuditEvent,
    ErasureStatus,
    StatsWindow
);

#[cfg(test)]
mod tests {
    use super::*;

    fn rule<T: Parameter>(text: &str) -> String {
        T::parse(text).err().unwrap_or_default()
    }

    #[test]
    fn a_rule_is_told_in_plain_words_with_what_is_allowed() {
        let limit = "must be a whole number from 1 to 200";
        for text in ["", "0", "201", "-1", "abc", "1.5", "99999999999999999999"] {
            assert_eq!(rule::<Limit>(text), limit, "{text}");
        }
        assert_eq!(
            rule::<TaskStatus>("DEAD"),
            "must be one of `pending`, `running`, `failed`, `completed`, `dead`, `cancelled`"
        );
        assert_eq!(rule::<TaskStatus>("dead"), "");
        for text in ["0", "{0190b6e2-7c1f-7a3e-9d54-3f1b2c4d5e6f}"] {
            assert_eq!(rule::<Uuid>(text), "must be a UUID", "{text}");
        }
        for text in ["", "-1", "+1", "1.0", "99999999999999999999"] {
            assert!(rule::<TaskId>(text).contains("whole number"), "{text}");
        }
        let long = "é".repeat(MAX_TEXT_CHARS);
        assert_eq!(rule::<Text>(&long), "");
        assert!(rule::<Text>(&format!("{long}é")).contains("1 to 512 characters"));
        assert!(rule::<Timestamp>("2026-01-01").contains("2026-11-24T18:00:00Z"));
    }

    #[test]
    fn a_page_has_fifty_items_unless_it_says_otherwise() {
        assert_eq!(Limit::size(None), 50);
        assert_eq!(Limit::size(Limit::parse("200").ok()), 200);
    }
}

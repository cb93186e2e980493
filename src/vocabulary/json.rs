//! How ids and times appear in the API: as strings.

use std::borrow::Cow;

use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{
    ParseError, ParseFromJSON, ParseFromParameter, ParseResult, ToJSON, Type,
};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::Value;

use super::{AuditId, TaskId, Timestamp};

/// The expression for numbers that are strings. Ids have fewer digits than would overflow.
const NUMBER: &str = "^[0-9]{1,18}$";

macro_rules! string_in_json {
    ($name:ident, $format:expr, $pattern:expr, $rule:literal) => {
        impl Type for $name {
            const IS_REQUIRED: bool = true;
            type RawValueType = Self;
            type RawElementValueType = Self;

            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn schema_ref() -> MetaSchemaRef {
                MetaSchemaRef::Inline(Box::new(MetaSchema {
                    format: $format,
                    pattern: $pattern,
                    ..MetaSchema::new("string")
                }))
            }

            fn as_raw_value(&self) -> Option<&Self::RawValueType> {
                Some(self)
            }

            fn raw_element_iter<'a>(
                &'a self,
            ) -> Box<dyn Iterator<Item = &'a Self::RawElementValueType> + 'a> {
                Box::new(self.as_raw_value().into_iter())
            }
        }

        impl ToJSON for $name {
            fn to_json(&self) -> Option<Value> {
                Some(Value::String(self.to_string()))
            }
        }

        impl ParseFromParameter for $name {
            fn parse_from_parameter(text: &str) -> ParseResult<Self> {
                Self::parse(text).ok_or_else(|| ParseError::custom($rule))
            }
        }

        impl ParseFromJSON for $name {
            fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
                match value {
                    Some(Value::String(text)) => Self::parse_from_parameter(&text),
                    _ => Err(ParseError::custom($rule)),
                }
            }
        }
    };
}

string_in_json!(
    TaskId,
    None,
    Some(NUMBER.to_owned()),
    "must be a task's id, a whole number as a string"
);
impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = Some(&text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        digits
            .and_then(|text| Self::parse(text))
            .ok_or_else(|| D::Error::custom("must be a task's id, a whole number as a string"))
    }
}

string_in_json!(
    AuditId,
    None,
    Some(NUMBER.to_owned()),
    "must be an entry's id, a whole number as a string"
);
string_in_json!(
    Timestamp,
    Some("date-time"),
    None,
    "must be a time such as 2026-11-24T18:00:00Z, of a year from 0001 to 9999"
);

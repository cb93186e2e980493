//! A JSON request body whose faults are reported by the field.

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    error::ContentTypeError,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaRequest, MetaSchema, MetaSchemaRef, Registry},
    types::ParseFromJSON,
};
use serde_json::Value;

use super::problem::Problem;

/// Deeper schemas than this are not searched for the faulty field.
const MAX_DEPTH: usize = 8;

/// Like poem-openapi's `Json` as an argument, with two differences: a missing or mistyped field is
/// named in the 400, and a body without a content type is read as JSON, so that an empty one is
/// told what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonBody<T>(pub T);

impl<'a, T: ParseFromJSON> ApiExtractor<'a> for JsonBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        T::register(registry);
    }

    fn request_meta() -> Option<MetaRequest> {
        Some(MetaRequest {
            description: None,
            content: vec![MetaMediaType {
                content_type: Json::<T>::CONTENT_TYPE,
                schema: T::schema_ref(),
            }],
            required: T::IS_REQUIRED,
        })
    }

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        _options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        if let Some(content_type) = request.content_type()
            && !Json::<T>::check_content_type(content_type)
        {
            let content_type = content_type.to_owned();
            return Err(ContentTypeError::NotSupported { content_type }.into());
        }
        let bytes = <Vec<u8> as FromRequest>::from_request(request, body).await?;
        Ok(Self(parse(&bytes)?))
    }
}

fn parse<T: ParseFromJSON>(bytes: &[u8]) -> Result<T, Problem> {
    let value = if bytes.iter().all(u8::is_ascii_whitespace) {
        Value::Object(serde_json::Map::new())
    } else {
        serde_json::from_slice(bytes)
            .map_err(|error| Problem::bad_field("body", format!("is not JSON: {error}")))?
    };
    // Before parsing, which would take the number 5 for the string "5", against its own schema.
    let mut registry = Registry::new();
    T::register(&mut registry);
    if let Some((field, reason)) = fault(&registry, &T::schema_ref(), &value, "", MAX_DEPTH) {
        return Err(Problem::bad_field(&field, reason));
    }
    T::parse_from_json(Some(value)).map_err(|error| Problem::bad_field("body", error.message()))
}

/// The first field, by its path, that does not fit the schema, and why.
fn fault(
    registry: &Registry,
    schema: &MetaSchemaRef,
    value: &Value,
    path: &str,
    depth: usize,
) -> Option<(String, String)> {
    let schema = match schema {
        MetaSchemaRef::Inline(schema) => schema,
        MetaSchemaRef::Reference(name) => registry.schemas.get(name)?,
    };
    let here = |reason: String| {
        Some((
            if path.is_empty() { "body" } else { path }.to_owned(),
            reason,
        ))
    };
    if !fits_type(schema, value) {
        return here(format!("must be of type {}", schema.ty));
    }
    if !schema.enum_items.is_empty() && !schema.enum_items.contains(value) {
        let allowed: Vec<_> = schema.enum_items.iter().map(ToString::to_string).collect();
        return here(format!("must be one of {}", allowed.join(", ")));
    }
    let object = value.as_object()?;
    let below = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    let missing = schema
        .required
        .iter()
        .find(|name| object.get(**name).is_none_or(Value::is_null));
    if let Some(name) = missing {
        return Some((below(name), "is required".to_owned()));
    }
    let depth = depth.checked_sub(1)?;
    schema.properties.iter().find_map(|(name, property)| {
        let value = object.get(*name).filter(|value| !value.is_null())?;
        fault(registry, property, value, &below(name), depth)
    })
}

fn fits_type(schema: &MetaSchema, value: &Value) -> bool {
    match schema.ty {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::{Enum, Object};

    use super::*;

    #[derive(Debug, Enum)]
    #[oai(rename_all = "kebab-case")]
    enum Status {
        Dead,
        Failed,
    }

    #[derive(Debug, Object)]
    #[oai(rename_all = "camelCase", deny_unknown_fields)]
    struct Filter {
        status: Option<Status>,
        user_id: Option<String>,
    }

    #[derive(Debug, Object)]
    struct Retry {
        #[oai(validator(min_length = 1, max_length = 5))]
        reason: String,
        filter: Option<Filter>,
    }

    fn detail(body: &str) -> String {
        let problem = parse::<Retry>(body.as_bytes()).unwrap_err();
        assert_eq!(problem.status().as_u16(), 400);
        problem.detail().to_owned()
    }

    #[test]
    fn a_good_body_is_parsed() {
        let body = br#"{"reason":"fixed","filter":{"status":"dead","userId":null}}"#;
        let retry: Retry = parse(body).unwrap();
        assert_eq!(retry.reason, "fixed");
        let filter = retry.filter.unwrap();
        assert!(matches!(filter.status, Some(Status::Dead)) && filter.user_id.is_none());
    }

    #[test]
    fn the_faulty_field_is_named() {
        for (body, field) in [
            ("", "`reason`"),
            ("{}", "`reason`"),
            (r#"{"reason":null}"#, "`reason`"),
            (r#"{"reason":5}"#, "`reason`"),
            (r#"{"reason":""}"#, "`reason`"),
            (r#"{"reason":"too long"}"#, "`reason`"),
            (r#"{"reason":"x","filter":[]}"#, "`filter`"),
            (
                r#"{"reason":"x","filter":{"status":"lost"}}"#,
                "`filter.status`",
            ),
            (r#"{"reason":"x","filter":{"userId":7}}"#, "`filter.userId`"),
            (r#"{"reason":"x","filter":{"owner":"y"}}"#, "`owner`"),
            ("[]", "`body`"),
            ("{", "`body`"),
        ] {
            let detail = detail(body);
            assert!(detail.contains(field), "{body}: {detail}");
        }
    }
}

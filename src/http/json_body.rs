//! A JSON request body. An error names the faulty field.

use poem::{FromRequest, Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    error::ContentTypeError,
    payload::{Json, Payload},
    registry::{MetaMediaType, MetaRequest, Registry},
    types::Type,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use super::problem::Problem;

/// Like poem-openapi's `Json` as an argument, with two differences: a missing, mistyped or unknown field is
/// named in the 400, and a body without a content type is read as JSON, so that an empty one is answered with
/// the name of a missing field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonBody<T>(pub T);

impl<'a, T: DeserializeOwned + Type> ApiExtractor<'a> for JsonBody<T> {
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

/// The same for an operation that needs no body, and whose body the document does not have: OpenAPI 3.0 gives the body of
/// a DELETE no meaning, and generators would make clients that must send one. An empty body is `{}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndocumentedBody<T>(pub T);

impl<'a, T: DeserializeOwned + Type> ApiExtractor<'a> for UndocumentedBody<T> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::RequestObject];
    type ParamType = ();
    type ParamRawType = ();

    async fn from_request(
        request: &'a Request,
        body: &mut RequestBody,
        options: ExtractParamOptions<()>,
    ) -> poem::Result<Self> {
        let JsonBody(value) = JsonBody::from_request(request, body, options).await?;
        Ok(Self(value))
    }
}

/// For optional fields: they may be left out, and a `null` is refused, because the document does not have it.
/// `#[serde(default, deserialize_with = "not_null")]`
pub fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    match Option::deserialize(deserializer)? {
        Some(value) => Ok(Some(value)),
        None => Err(D::Error::custom("must not be null; leave it out instead")),
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = match bytes.trim_ascii() {
        b"" => b"{}",
        text => text,
    };
    // serde would also accept an array of the fields' values.
    if text.starts_with(b"[") {
        return Err(Problem::bad_field("body", "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let field = match path.as_str() {
            // The object itself is at fault (the message names a missing field), or the text is not JSON.
            "." | "?" => "body",
            path => path,
        };
        let message = error.inner().to_string();
        // Where a value that breaks a rule stands says less than the name of its field.
        let rule = match message.rsplit_once(" at line ") {
            Some((rule, _)) if error.inner().is_data() => rule,
            _ => message.as_str(),
        };
        Problem::bad_field(field, rule)
    })?;
    json.end()
        .map_err(|error| Problem::bad_field("body", error))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::vocabulary::TaskStatus;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    struct Filter {
        #[serde(default, deserialize_with = "not_null")]
        status: Option<TaskStatus>,
        #[serde(default, deserialize_with = "not_null")]
        user_id: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    struct TestBody {
        reason: String,
        filter: Option<Filter>,
    }

    #[test]
    fn a_good_body_is_parsed() {
        let body = br#" {"reason":"fixed","filter":{"status":"dead"}} "#;
        let retry: TestBody = parse(body).unwrap();
        assert_eq!(retry.reason, "fixed");
        let filter = retry.filter.unwrap();
        assert_eq!(filter.status, Some(TaskStatus::Dead));
        assert_eq!(filter.user_id, None);
    }

    #[test]
    fn the_faulty_field_is_named() {
        for (body, part) in [
            ("", "missing field `reason`"),
            ("{}", "missing field `reason`"),
            (r#"{"reason":null}"#, "`reason`"),
            (r#"{"reason":5}"#, "`reason`"),
            (r#"{"reason":"x","filter":5}"#, "`filter`"),
            (
                r#"{"reason":"x","filter":{"status":"lost"}}"#,
                "`filter.status`: unknown variant `lost`, expected one of `pending`",
            ),
            (r#"{"reason":"x","filter":{"userId":7}}"#, "`filter.userId`"),
            (
                r#"{"reason":"x","filter":{"userId":null}}"#,
                "`filter.userId`: must not be null; leave it out instead",
            ),
            (
                r#"{"reason":"x","filter":{"status":null}}"#,
                "`filter.status`: must not be null; leave it out instead",
            ),
            (
                r#"{"reason":"x","filter":{"stauts":"dead"}}"#,
                "unknown field `stauts`",
            ),
            (r#"["x"]"#, "`body`"),
            ("5", "`body`"),
            ("{", "`body`"),
            (r#"{"reason":"x"} {}"#, "`body`"),
        ] {
            let problem = parse::<TestBody>(body.as_bytes()).unwrap_err();
            assert_eq!(problem.status().as_u16(), 400);
            let is_json = serde_json::from_str::<serde_json::Value>(body).is_ok();
            assert!(
                !is_json || !problem.detail().contains(" line "),
                "{problem:?}"
            );
            assert!(
                problem.detail().contains(part),
                "{body}: {}",
                problem.detail()
            );
        }
    }
}

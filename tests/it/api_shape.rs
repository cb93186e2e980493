//! The OpenAPI document is sound: what generators of clients stumble over is not in it.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use lethe::app::migrated;
use lethe::http::admin_tokens::AdminTokens;
use lethe::http::api::{ApiState, raw_specification, routes, specification};
use lethe::http::credentials::Authenticator;
use lethe::http::session::{SessionConfig, SessionVerifier};
use lethe::http::session_keys::SessionKeys;
use lethe::http::webhook_signature::WebhookVerifier;
use lethe::tasks::MAX_REASON_CHARS;
use lethe::telemetry::metrics::Metrics;
use lethe::vocabulary::{ProblemCode, ProcessRole};
use poem::{Endpoint as _, Request};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;

use crate::support::service::WEBHOOK_SECRET;

/// JSON that refuses an object with the same key twice, which `serde_json::Value` would accept.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Unique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON without repeated keys")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Unique, M::Error> {
                let mut keys = HashSet::new();
                while let Some(key) = map.next_key::<String>()? {
                    map.next_value::<Unique>()?;
                    if !keys.insert(key.clone()) {
                        return Err(serde::de::Error::custom(format!("{key} stands twice")));
                    }
                }
                Ok(Unique)
            }
            fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Unique, S::Error> {
                while items.next_element::<Unique>()?.is_some() {}
                Ok(Unique)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_i64<E>(self, _: i64) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_f64<E>(self, _: f64) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_str<E>(self, _: &str) -> Result<Unique, E> {
                Ok(Unique)
            }
            fn visit_unit<E>(self) -> Result<Unique, E> {
                Ok(Unique)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[test]
fn no_key_of_the_document_stands_twice() {
    let _: IgnoredAny = serde_json::from_str(&raw_specification()).unwrap();
    serde_json::from_str::<Unique>(&raw_specification())
        .map(|_| ())
        .unwrap();
}

#[test]
fn every_operation_has_an_id_of_its_own_a_tag_and_a_summary() {
    let spec = specification();
    let mut ids = HashSet::new();
    for (path, methods) in spec["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert_eq!(
                operation["tags"].as_array().unwrap().len(),
                1,
                "{method} {path}"
            );
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(
                operation["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{method} {path} has no description"
            );
            assert!(
                operation["security"].is_array(),
                "{method} {path} says nothing of credentials"
            );
            let responses = operation["responses"].as_object().unwrap();
            assert!(
                responses.keys().any(|status| status.starts_with('4')),
                "{method} {path} names no refusal"
            );
        }
    }
    assert_eq!(ids.len(), 30);
}

/// An absent field is left out, in examples too, because no field of ours is nullable.
#[test]
fn the_document_has_no_null() {
    fn nulls(path: &str, value: &Value) -> Vec<String> {
        match value {
            Value::Null => vec![path.to_owned()],
            Value::Array(items) => items.iter().flat_map(|item| nulls(path, item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(name, field)| nulls(&format!("{path}/{name}"), field))
                .collect(),
            _ => Vec::new(),
        }
    }
    assert_eq!(nulls("", &specification()), Vec::<String>::new());
}

fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap();
            methods
                .iter()
                .map(move |(method, operation)| (format!("{method} {path}"), operation))
        })
        .collect()
}

/// Generators make names of types from media types, and headers that are not named are not generated.
#[test]
fn media_types_have_no_parameters_and_each_answer_names_its_headers() {
    let document = specification();
    for (name, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        let content_of = |message: &Value| {
            let content = message["content"].as_object();
            content
                .into_iter()
                .flat_map(|types| types.keys().cloned())
                .collect::<Vec<_>>()
        };
        for (status, response) in responses {
            assert!(
                response["description"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{name}: {status}"
            );
            let known = ["application/json", "application/problem+json"];
            let types = content_of(response);
            assert!(
                types.iter().all(|media| known.contains(&&**media)),
                "{name}: {types:?}"
            );
            let headers = response["headers"].as_object().unwrap();
            let mut expected = vec!["x-request-id"];
            match status.as_str() {
                "202" if operation["operationId"] != "retryTasks" => expected.push("location"),
                "401" => expected.push("www-authenticate"),
                "429" | "503" => expected.push("retry-after"),
                "default" => expected.extend(["allow", "retry-after"]),
                _ => {}
            }
            for header in expected {
                assert!(
                    headers.contains_key(header),
                    "{name}: {status} has no {header}"
                );
            }
        }
        let types = content_of(&operation["requestBody"]);
        assert!(
            types.iter().all(|media| media == "application/json"),
            "{name}: {types:?}"
        );
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let parameter_name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "header" {
                assert_eq!(parameter_name, parameter_name.to_lowercase(), "{name}");
            }
            let schema = parameter["schema"].as_object().unwrap();
            let bounds = ["$ref", "pattern", "format", "minimum"];
            let is_bounded = bounds.iter().any(|bound| schema.contains_key(*bound));
            assert!(
                is_bounded || parameter["in"] == "header",
                "{name}: {parameter_name} has no bounds"
            );
        }
    }
}

/// A client must live with the fields that a newer version adds, and must not send what nobody knows.
#[test]
fn answers_may_grow_and_bodies_may_not() {
    let document = specification();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if schema["type"] == "object" {
            let is_body = ["CancelReason", "PauseReason", "Retry", "RetryAll"].contains(&&**name);
            assert_eq!(schema["additionalProperties"], !is_body, "{name}");
        }
    }
}

#[test]
fn words_of_answers_refer_to_their_enums() {
    let document = specification();
    for (schema, field, words) in [
        ("Task", "kind", "TaskKind"),
        ("Task", "status", "TaskStatus"),
        ("Task", "errorClass", "ErrorClass"),
        ("TaskWithHistory", "kind", "TaskKind"),
        ("ErasureTask", "kind", "TaskKind"),
        ("RetriedTask", "kind", "TaskKind"),
        ("SampleTask", "kind", "TaskKind"),
        ("SampleTask", "status", "TaskStatus"),
        ("AuditEntry", "event", "AuditEvent"),
        ("AuditEntry", "kind", "TaskKind"),
        ("AuditEntry", "errorClass", "ErrorClass"),
        ("Parked", "errorClass", "ErrorClass"),
        ("Health", "status", "HealthStatus"),
        ("Receipt", "status", "ErasureStatus"),
        ("Erasure", "status", "ErasureStatus"),
        ("User", "status", "UserStatus"),
        ("Problem", "code", "ProblemCode"),
    ] {
        let found = &document["components"]["schemas"][schema]["properties"][field];
        let reference = json!(format!("#/components/schemas/{words}"));
        assert!(
            found["$ref"] == reference || found["allOf"][0]["$ref"] == reference,
            "{schema}.{field} is {found}"
        );
    }
    let codes = &document["components"]["schemas"]["ProblemCode"]["enum"];
    let words: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(*codes, json!(words));
}

#[test]
fn the_bounds_of_the_document_are_those_of_the_program() {
    let document = specification();
    for body in ["CancelReason", "PauseReason", "Retry", "RetryAll"] {
        let reason = &document["components"]["schemas"][body]["properties"]["reason"];
        assert_eq!(reason["maxLength"], MAX_REASON_CHARS, "{body}");
        assert_eq!(reason["minLength"], 1, "{body}");
    }
    let of = |operation: &str, name: &str| {
        let operations = operations(&document);
        let (_, operation) = operations
            .into_iter()
            .find(|(_, found)| found["operationId"] == operation)
            .unwrap();
        let parameters = operation["parameters"].as_array().unwrap();
        let found = parameters
            .iter()
            .find(|parameter| parameter["name"] == name);
        found.unwrap()["schema"].clone()
    };
    for list in ["listTasks", "listDeleted", "listAudit", "listErasures"] {
        let limit = of(list, "limit");
        assert_eq!(limit["minimum"], 1.0, "{list}");
        assert_eq!(limit["maximum"], 200.0, "{list}");
        assert_eq!(limit["default"], 50, "{list}");
    }
    assert_eq!(of("deleteSample", "sampleId")["format"], "uuid");
    assert_eq!(of("getTask", "taskId")["pattern"], "^[0-9]{1,18}$");
    assert_eq!(of("eraseUser", "userId")["maxLength"], 512);
}

/// The page on problems says for each code what it means.
#[test]
fn every_code_of_a_problem_is_documented() {
    let page = include_str!("../../docs/problems.md");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let codes: Vec<&str> = ProblemCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(rows, codes);
}

/// The documentation is a text of 1.7 MB: an answer that nobody reads must not cost a copy of it.
#[tokio::test]
async fn all_answers_with_a_static_text_share_its_memory() {
    let pool = PgPoolOptions::new()
        .connect_lazy("postgres://nobody@127.0.0.1:9/none")
        .unwrap();
    let state = ApiState {
        ready: migrated::ready(pool.clone(), None, &[ProcessRole::Serve]),
        pool,
        webhook: WebhookVerifier::new(vec![WEBHOOK_SECRET.parse().unwrap()]),
        grace: Duration::ZERO,
        metrics: Metrics::new().unwrap(),
        show_metrics: false,
    };
    let keys = SessionKeys::from_pem(include_str!("fixtures/session-key.pub.pem")).unwrap();
    let sessions = SessionVerifier::new(SessionConfig {
        keys,
        issuer: None,
        authorized_parties: Vec::new(),
    });
    let authenticator = Authenticator::new(
        sessions.unwrap(),
        AdminTokens::default(),
        Metrics::new().unwrap(),
    );
    let routes = routes(state, Arc::new(authenticator));
    for path in ["/docs", "/openapi.json", "/openapi.yaml"] {
        let text = async || {
            let request = Request::builder().uri(path.parse().unwrap()).finish();
            let response = routes.get_response(request).await;
            assert_eq!(response.status().as_u16(), 200, "{path}");
            response.into_body().into_bytes().await.unwrap()
        };
        let (one, other) = (text().await, text().await);
        assert!(one.len() > 1000, "{path}");
        assert_eq!(one.as_ptr(), other.as_ptr(), "{path} is copied");
    }
}

//! The OpenAPI document is sound: what generators of clients stumble over is not in it.

use std::{collections::HashSet, fmt, sync::Arc, time::Duration};

use lethe::app::migrated;
use lethe::http::admin_tokens::AdminTokens;
use lethe::http::api::{ApiState, raw_specification, routes, specification};
use lethe::http::credentials::Authenticator;
use lethe::http::session::{SessionConfig, SessionVerifier};
use lethe::http::session_keys::SessionKeys;
use lethe::http::webhook_signature::WebhookVerifier;
use lethe::telemetry::metrics::Metrics;
use poem::{Endpoint as _, Request};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
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
    assert_eq!(ids.len(), 21);
}

/// An absent field is left out of an example, because no field of ours is nullable.
#[test]
fn no_example_has_a_null() {
    fn nulls(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().any(nulls),
            Value::Object(fields) => fields.values().any(nulls),
            _ => false,
        }
    }
    for (name, schema) in specification()["components"]["schemas"]
        .as_object()
        .unwrap()
    {
        if let Some(example) = schema.get("example") {
            assert!(!nulls(example), "the example of {name}: {example}");
        }
    }
}

/// The documentation is a text of 1.7 MB: an answer that nobody reads must not cost a copy of it.
#[tokio::test]
async fn all_answers_with_a_static_text_share_its_memory() {
    let pool = PgPoolOptions::new()
        .connect_lazy("postgres://nobody@127.0.0.1:9/none")
        .unwrap();
    let state = ApiState {
        ready: migrated::ready(pool.clone()),
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

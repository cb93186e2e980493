//! The OpenAPI document is sound: what generators of clients stumble over is not in it.

use std::{collections::HashSet, fmt};

use lethe::http::api::{raw_specification, specification};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

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
        }
    }
    assert_eq!(ids.len(), 14);
}

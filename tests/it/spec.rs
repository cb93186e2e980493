//! The OpenAPI document, as it is committed.

use std::collections::HashSet;

use serde_json::Value;

#[test]
fn every_operation_has_an_id_of_its_own_a_tag_and_a_summary() {
    let text = include_str!("../../openapi/openapi.json");
    let spec: Value = serde_json::from_str(text).unwrap();
    let mut ids = HashSet::new();
    for (path, operations) in spec["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let id = operation["operationId"].as_str();
            assert!(id.is_some_and(|id| ids.insert(id.to_owned())), "{method} {path}");
            assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{method} {path}");
            assert!(operation["summary"].is_string(), "{method} {path}");
        }
    }
    // A path that stands twice would hide operations: serde_json keeps the last.
    for path in spec["paths"].as_object().unwrap().keys() {
        let line = format!("\"{path}\": {{");
        assert_eq!(text.matches(&line).count(), 1, "{path}");
    }
    assert!(ids.len() >= 15, "{}", ids.len());
}

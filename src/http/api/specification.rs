//! The OpenAPI document. poem-openapi writes it from the handlers; what it cannot write is added here.

use poem_openapi::{LicenseObject, OpenApi, OpenApiService, ServerObject};
use serde_json::{Map, Value, json};

use super::{
    admin_audit::AdminAudit,
    admin_deleted::AdminDeleted,
    admin_erasures::{AdminErasures, AdminReceipts},
    admin_map::AdminMap,
    admin_me::AdminMe,
    admin_safety::{AdminCancel, AdminPause, AdminResume, AdminSettings},
    admin_stats::AdminStats,
    admin_tasks::{AdminRetries, AdminTask, AdminTaskRetry, AdminTasks},
    admin_users::{AdminPlans, AdminUsers},
    admin_workers::AdminWorkers,
    entities::{Entities, EntityDeletions, EntityRestores},
    health::HealthApi,
    receipts::{PublicReceiptKeys, SealedReceipts},
    samples::{Restores, SampleDeletions, Samples},
    webhooks::Webhooks,
};
use crate::http::access::declare_roles;

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];

/// Fields of answers that hold a word of an enum as text, so that an older process passes on the words of a newer
/// one: the schema, the field, and the enum's schema. An entity's type is no enum, because a map may name others.
const WORDS: &[(&str, &str, &str)] = &[
    ("Task", "kind", "TaskKind"),
    ("TaskWithHistory", "kind", "TaskKind"),
    ("ErasureTask", "kind", "TaskKind"),
    ("RetriedTask", "kind", "TaskKind"),
    ("SampleTask", "kind", "TaskKind"),
    ("AuditEntry", "kind", "TaskKind"),
    ("AuditEntry", "event", "AuditEvent"),
];

/// The OpenAPI document, as `lethe openapi` prints it and `/openapi.json` serves it.
pub fn specification() -> Value {
    let mut document = serde_json::from_str(&raw_specification()).unwrap_or_default();
    complete(&mut document);
    document
}

/// The same as JSON text.
pub fn specification_json() -> String {
    format!("{:#}\n", specification())
}

/// The same as YAML.
pub fn specification_yaml() -> String {
    serde_yaml_ng::to_string(&specification()).unwrap_or_default()
}

/// The document as poem-openapi writes it, for the test that it is valid.
pub fn raw_specification() -> String {
    described(operations()).spec()
}

/// Swagger UI with that document.
pub(super) fn swagger_ui() -> String {
    described(operations()).swagger_ui_html()
}

/// All operations.
pub(super) fn operations() -> impl OpenApi {
    (
        Webhooks,
        (Samples, SampleDeletions, Restores),
        (Entities, EntityDeletions, EntityRestores),
        (AdminUsers, AdminPlans),
        (AdminReceipts, AdminErasures, AdminCancel),
        (AdminPause, AdminResume, AdminSettings),
        AdminDeleted,
        (AdminTasks, AdminTask, AdminTaskRetry, AdminRetries),
        AdminAudit,
        (SealedReceipts, AdminStats),
        (AdminWorkers, AdminMap, AdminMe),
        (PublicReceiptKeys, HealthApi),
    )
}

pub(super) fn described<T: OpenApi>(api: T) -> OpenApiService<T, ()> {
    OpenApiService::new(api, "Lethe", env!("CARGO_PKG_VERSION"))
        .description(
            "Erases users and their files from applications built on Clerk, PostgreSQL and S3. \
             Lists are paged by `cursor`; errors are `application/problem+json` (RFC 9457).\n\n\
             **What cannot be undone.** `DELETE /admin/users/{userId}` and a `user.deleted` webhook erase a person for \
             ever. They can be cancelled (`POST /admin/users/{userId}/erasure/cancel`) only until a worker has begun, \
             which is at once unless `USER_ERASURE_DELAY_MS` is set. `DELETE /samples/{sampleId}` and \
             `DELETE /entities/{type}/{id}` can be taken back only within `CLEANUP_GRACE_PERIOD_MS`, which is 0 unless it \
             is set. `POST /admin/resume` lets held erasures begin, and a retry of tasks deletes what they name.",
        )
        .license(LicenseObject::new(env!("CARGO_PKG_LICENSE")).url("https://spdx.org/licenses/"))
        .server(ServerObject::new("/"))
}

/// Adds to the document what poem-openapi cannot say.
fn complete(document: &mut Value) {
    let strict = strict_schemas(document);
    if let Some(paths) = document["paths"].as_object_mut() {
        for path in paths.values_mut() {
            for method in METHODS {
                if let Some(operation) = path.get_mut(method).and_then(Value::as_object_mut) {
                    complete_operation(operation);
                }
            }
        }
    }
    document["components"]["headers"] = json!({
        "RequestId": {
            "description": "The id of the request, on every line of the log that belongs to it. A plain id that the \
                            client sent is kept.",
            "required": true,
            "schema": {"type": "string"},
        },
    });
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        complete_schemas(schemas, &strict);
    }
}

/// The schemas of the bodies that refuse unknown fields: all but those of Clerk, which come without credentials.
fn strict_schemas(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let operations = paths.flat_map(|(_, path)| path.as_object().into_iter().flatten());
    operations
        .filter(|(_, operation)| operation["security"].is_array())
        .filter_map(|(_, operation)| operation["requestBody"]["content"].as_object())
        .flat_map(|content| content.values())
        .filter_map(|media| media["schema"]["$ref"].as_str()?.rsplit('/').next())
        .map(str::to_owned)
        .collect()
}

/// Marks an operation without credentials as such, writes the names of headers and media types as clients do, and
/// adds to an operation without a 4xx response that any request can be refused (405, 408, 413, 431).
fn complete_operation(operation: &mut Map<String, Value>) {
    operation.entry("security").or_insert_with(|| json!([]));
    declare_roles(operation);
    if let Some(parameters) = operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut)
    {
        for parameter in parameters {
            if parameter["in"] == "header" {
                let name = parameter["name"].as_str().unwrap_or_default();
                parameter["name"] = name.to_lowercase().into();
            }
        }
    }
    if let Some(request) = operation.get_mut("requestBody") {
        rename_media_types(request);
    }
    let Some(responses) = operation
        .get_mut("responses")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    if !responses.keys().any(|status| status.starts_with('4')) {
        responses.insert("4XX".to_owned(), refused());
    }
    for response in responses.values_mut() {
        complete_response(response);
    }
}

fn complete_response(response: &mut Value) {
    rename_media_types(response);
    if response["description"] == "" {
        response["description"] = "The answer.".into();
    }
    let mut headers = Map::new();
    let request_id = json!({"$ref": "#/components/headers/RequestId"});
    headers.insert("x-request-id".to_owned(), request_id);
    for (name, header) in response["headers"].as_object().into_iter().flatten() {
        headers.insert(name.to_lowercase(), header.clone());
    }
    response["headers"] = headers.into();
}

/// `application/json; charset=utf-8` is what the header says; in a document it makes absurd names of generated types.
fn rename_media_types(message: &mut Value) {
    let Some(content) = message.get_mut("content").and_then(Value::as_object_mut) else {
        return;
    };
    let renamed = std::mem::take(content).into_iter().map(|(name, media)| {
        let essence = name.split(';').next().unwrap_or_default();
        (essence.trim().to_owned(), media)
    });
    *content = renamed.collect();
}

/// Says of each object whether it may have further fields: an answer may, because clients must live with what a newer
/// version adds, and a strict body may not. Refers to the enums of words, and writes a reference with a description
/// as one reference.
fn complete_schemas(schemas: &mut Map<String, Value>, strict: &[String]) {
    for (name, schema) in schemas.iter_mut() {
        if schema["type"] != "object" {
            continue;
        }
        schema["additionalProperties"] = Value::Bool(!strict.contains(name));
        let fields = schema["properties"].as_object_mut();
        for field in fields.into_iter().flat_map(Map::values_mut) {
            if let Some(all) = field.get_mut("allOf").and_then(Value::as_array_mut) {
                all.truncate(1);
            }
        }
    }
    for (schema, field, words) in WORDS {
        if let Some(field) = schemas
            .get_mut(*schema)
            .and_then(|schema| schema["properties"].get_mut(field))
        {
            *field = json!({"$ref": format!("#/components/schemas/{words}")});
        }
    }
}

fn refused() -> Value {
    json!({
        "description": "The request is refused: a wrong method, or a head or body that is too large or too slow.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

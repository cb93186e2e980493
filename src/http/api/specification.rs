//! The OpenAPI document. poem-openapi writes it from the handlers; what it cannot write is added here.

use poem_openapi::{LicenseObject, OpenApi, OpenApiService, ServerObject};
use serde_json::{Value, json};

use super::{
    admin_audit::AdminAudit,
    admin_deleted::AdminDeleted,
    admin_me::AdminMe,
    admin_safety::{AdminCancel, AdminPause, AdminResume, AdminSettings},
    admin_stats::AdminStats,
    admin_tasks::{AdminRetries, AdminTask, AdminTaskRetry, AdminTasks},
    admin_users::{AdminErasures, AdminUsers},
    admin_workers::AdminWorkers,
    health::HealthApi,
    samples::{Restores, Samples},
    webhooks::Webhooks,
};
use crate::http::access::declare_roles;

const METHODS: &[&str] = &["get", "put", "post", "delete", "patch"];

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
    service().spec()
}

/// All operations.
pub(super) fn service() -> OpenApiService<impl OpenApi, ()> {
    described((
        Webhooks,
        (Samples, Restores),
        (AdminUsers, AdminErasures, AdminCancel),
        (AdminPause, AdminResume, AdminSettings),
        AdminDeleted,
        (AdminTasks, AdminTask, AdminTaskRetry, AdminRetries),
        AdminAudit,
        AdminStats,
        (AdminWorkers, AdminMe),
        HealthApi,
    ))
}

pub(super) fn described<T: OpenApi>(api: T) -> OpenApiService<T, ()> {
    OpenApiService::new(api, "Lethe", env!("CARGO_PKG_VERSION"))
        .description(
            "Erases users and their files from applications built on Clerk, PostgreSQL and S3. \
             Lists are paged by `cursor`; errors are `application/problem+json` (RFC 9457).",
        )
        .license(LicenseObject::new(env!("CARGO_PKG_LICENSE")).url("https://spdx.org/licenses/"))
        .server(ServerObject::new("/"))
}

/// Marks each operation without credentials as such, and adds to each operation without a 4xx response that any
/// request can be refused (405, 408, 413, 431).
fn complete(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else {
        return;
    };
    for path in paths.values_mut() {
        for method in METHODS {
            let Some(operation) = path.get_mut(method).and_then(Value::as_object_mut) else {
                continue;
            };
            operation.entry("security").or_insert_with(|| json!([]));
            declare_roles(operation);
            let Some(responses) = operation
                .get_mut("responses")
                .and_then(Value::as_object_mut)
            else {
                continue;
            };
            if !responses.keys().any(|status| status.starts_with('4')) {
                responses.insert("4XX".to_owned(), refused());
            }
        }
    }
}

fn refused() -> Value {
    json!({
        "description": "The request is refused: a wrong method, or a head or body that is too large or too slow.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    })
}

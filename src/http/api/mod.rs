//! The routes, and the spec that describes them. One file a subject; one `OpenApi` for each path,
//! because poem-openapi writes a path once for each of them.

mod admin_audit;
mod admin_deleted;
mod admin_stats;
mod admin_tasks;
mod admin_users;
mod database;
pub mod health;
mod page;
mod samples;
mod types;
mod webhooks;

use std::{sync::Arc, time::Duration};

use poem::{Endpoint, EndpointExt, Response, Route, endpoint::make_sync, get, handler, web::Data};
use poem_openapi::{OpenApi, OpenApiService, ServerObject};
use serde_json::Value;
use sqlx::PgPool;

use self::health::{HealthApi, ReadyCheck};
use super::{
    credentials::Authenticator, problem::Problem, request_id::RequestId,
    webhook_signature::WebhookVerifier,
};
use crate::telemetry::{gauges::Gauges, metrics::Metrics};

/// What the handlers work with.
pub struct ApiState {
    pub pool: PgPool,
    pub webhook: WebhookVerifier,
    /// A deleted sample can be restored for so long.
    pub grace: Duration,
    pub metrics: Arc<Metrics>,
    /// [`health::database_ready`], and what else this process needs.
    pub ready: ReadyCheck,
    /// Whether `/metrics` is shown here: only where it has no address of its own.
    pub show_metrics: bool,
}

/// The whole API: every route of the spec, the spec itself and its documentation.
pub fn routes(state: ApiState, authenticator: Authenticator) -> impl Endpoint + 'static {
    let service = service();
    let spec = specification();
    let json = pretty(&spec);
    let docs = service.swagger_ui();
    let mut routes = Route::new()
        .nest_no_strip("/", service)
        .nest("/docs", docs)
        .at("/openapi.json", get(text("application/json", json)))
        .at(
            "/openapi.yaml",
            get(text("application/yaml", specification_yaml())),
        );
    if state.show_metrics {
        routes = routes.at("/metrics", get(metrics));
    }
    let gauges = Arc::new(Gauges::new(state.pool.clone(), Arc::clone(&state.metrics)));
    routes
        .data(gauges)
        .data(Arc::clone(&state.ready))
        .data(Arc::new(authenticator))
        .data(Arc::new(state))
        .with(RequestId)
}

/// What a process of any role serves on `METRICS_ADDR`: `/metrics` and `/health/*`.
pub fn observability(
    pool: PgPool,
    numbers: Arc<Metrics>,
    ready: ReadyCheck,
) -> impl Endpoint + 'static {
    Route::new()
        .nest_no_strip("/", described(HealthApi))
        .at("/metrics", get(metrics))
        .data(Arc::new(Gauges::new(pool, numbers)))
        .data(ready)
        .with(RequestId)
}

/// The OpenAPI document, as `lethe openapi` prints it and `/openapi.json` serves it.
pub fn specification() -> Value {
    serde_json::from_str(&service().spec()).unwrap_or_default()
}

/// The same as JSON text.
pub fn specification_json() -> String {
    pretty(&specification())
}

/// The same as YAML.
pub fn specification_yaml() -> String {
    serde_yaml_ng::to_string(&specification()).unwrap_or_default()
}

/// The document as poem-openapi writes it, for the test that it is sound.
pub fn raw_specification() -> String {
    service().spec()
}

fn pretty(spec: &Value) -> String {
    format!("{spec:#}\n")
}

fn service() -> OpenApiService<impl OpenApi, ()> {
    described((
        webhooks::Webhooks,
        (samples::Samples, samples::Restores),
        (admin_users::AdminUsers, admin_users::AdminErasures),
        admin_deleted::AdminDeleted,
        (
            admin_tasks::AdminTasks,
            admin_tasks::AdminTask,
            admin_tasks::AdminTaskRetry,
            admin_tasks::AdminRetries,
        ),
        admin_audit::AdminAudit,
        admin_stats::AdminStats,
        HealthApi,
    ))
}

fn described<T: OpenApi>(api: T) -> OpenApiService<T, ()> {
    OpenApiService::new(api, "Lethe", env!("CARGO_PKG_VERSION"))
        .description(
            "Erases users and their files from applications built on Clerk, PostgreSQL and S3. \
             Lists are paged by `cursor`; errors are `application/problem+json` (RFC 9457).",
        )
        .server(ServerObject::new("/"))
}

fn text(content_type: &'static str, body: String) -> impl Endpoint + 'static {
    make_sync(move |_| {
        Response::builder()
            .content_type(content_type)
            .body(body.clone())
    })
}

#[handler]
async fn metrics(gauges: Data<&Arc<Gauges>>) -> Result<Response, Problem> {
    let text = gauges
        .scrape()
        .await
        .map_err(|error| Problem::internal(&error))?;
    Ok(Response::builder()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

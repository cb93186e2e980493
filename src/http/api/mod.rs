//! The routes, and the spec that describes them. There is one file for each subject, and one `OpenApi` for each
//! path, because poem-openapi writes a path once for each `OpenApi`.

mod admin_audit;
mod admin_deleted;
mod admin_erasures;
mod admin_map;
mod admin_me;
mod admin_safety;
mod admin_stats;
mod admin_tasks;
mod admin_users;
mod admin_workers;
mod database;
mod docs;
mod edge;
mod entities;
pub mod health;
mod operations;
mod parameter;
mod query;
mod receipts;
mod samples;
mod specification;
mod types;
mod webhooks;

use std::{sync::Arc, time::Duration};

use poem::{Endpoint, EndpointExt, Response, Route, get, handler, web::Data};
use sqlx::PgPool;

use self::edge::Edge;
use self::health::{HealthApi, ReadyCheck};
use self::operations::Operations;
use self::specification::described;
pub use self::specification::{
    raw_specification, specification, specification_json, specification_yaml,
};
use super::{
    credentials::Authenticator, page_headers, panel, problem::Problem, request_id::RequestId,
    request_metrics::RequestMetrics, static_text::StaticText, webhook_signature::WebhookVerifier,
};
use crate::telemetry::{gauges::Gauges, metrics::Metrics};

/// The state that the handlers share.
pub struct ApiState {
    pub pool: PgPool,
    pub webhook: WebhookVerifier,
    /// How long a deleted sample can be restored.
    pub grace: Duration,
    pub metrics: Arc<Metrics>,
    /// Whether this process can do its work.
    pub ready: ReadyCheck,
    /// Whether the API serves `/metrics`. It does so only if `METRICS_ADDR` is not set.
    pub show_metrics: bool,
}

/// The whole API: every route of the spec, the spec itself and its documentation.
pub fn routes(state: ApiState, authenticator: Arc<Authenticator>) -> impl Endpoint + 'static {
    let operations = Arc::new(Operations::of(&specification::operations()));
    let docs =
        StaticText::new("text/html; charset=utf-8", docs::html).with_headers(page_headers::secure);
    let json = StaticText::new("application/json", specification_json);
    let yaml = StaticText::new("application/yaml", specification_yaml);
    let mut routes = panel::routes()
        .nest_no_strip("/", described(specification::operations()))
        .nest("/docs", Route::new().at("/", get(docs)))
        .at("/openapi.json", get(json))
        .at("/openapi.yaml", get(yaml));
    if state.show_metrics {
        routes = routes.at("/metrics", get(metrics));
    }
    let gauges = Arc::new(Gauges::new(state.pool.clone(), Arc::clone(&state.metrics)));
    routes
        .around(panel::redirect_root)
        .data(gauges)
        .data(health::cached(Arc::clone(&state.ready)))
        .data(authenticator)
        .with(RequestMetrics(Arc::clone(&state.metrics)))
        .data(Arc::new(state))
        .with(Edge(operations))
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
        .data(Arc::new(Gauges::new(pool, Arc::clone(&numbers))))
        .data(health::cached(ready))
        .with(RequestMetrics(numbers))
        .with(Edge(Arc::new(Operations::of(&HealthApi))))
        .with(RequestId)
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

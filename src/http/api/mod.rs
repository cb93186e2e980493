//! The routes, and the spec that describes them. There is one file for each subject, and one `OpenApi` for each
//! path, because poem-openapi writes a path once for each `OpenApi`.

mod admin_audit;
mod admin_deleted;
mod admin_me;
mod admin_safety;
mod admin_stats;
mod admin_tasks;
mod admin_users;
mod admin_workers;
mod database;
mod exact_time;
pub mod health;
mod page;
mod samples;
mod specification;
mod types;
mod webhooks;

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::body::Bytes;
use poem::{
    Endpoint, EndpointExt, IntoEndpoint, Response, Route, endpoint::make_sync, get, handler,
    web::Data,
};
use sqlx::PgPool;

use self::health::{HealthApi, ReadyCheck};
use self::specification::described;
pub use self::specification::{
    raw_specification, specification, specification_json, specification_yaml,
};
use super::{
    answer::SharedBody, credentials::Authenticator, page_headers, panel, problem::Problem,
    request_id::RequestId, request_metrics::RequestMetrics, webhook_signature::WebhookVerifier,
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
    let service = specification::service();
    let docs = service.swagger_ui_html();
    let headers = page_headers::secure(&docs);
    let docs = shared_text("text/html; charset=utf-8", docs).with(headers);
    let mut routes = panel::routes()
        .nest_no_strip("/", service.into_endpoint().after(uncached))
        .nest("/docs", Route::new().at("/", get(docs)))
        .at(
            "/openapi.json",
            get(shared_text("application/json", specification_json())),
        )
        .at(
            "/openapi.yaml",
            get(shared_text("application/yaml", specification_yaml())),
        );
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
        .with(RequestId)
}

/// Data of people stay in no cache, of a browser or of a proxy.
async fn uncached(answer: poem::Result<Response>) -> poem::Result<Response> {
    let mut answer = answer?;
    answer
        .headers_mut()
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    Ok(answer)
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
        .with(RequestId)
}

/// Serves one text that all answers share in memory: an answer that nobody reads must not cost a copy of it.
fn shared_text(content_type: &'static str, text: String) -> impl Endpoint + 'static {
    let text = Bytes::from(text);
    make_sync(move |_| {
        Response::builder()
            .header(CONTENT_TYPE, content_type)
            .extension(SharedBody)
            .body(text.clone())
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

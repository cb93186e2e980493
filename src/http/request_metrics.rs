//! Counts the requests and times their answers, by operation.

use std::{sync::Arc, time::Instant};

use http::StatusCode;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use poem_openapi::OperationId;

use crate::telemetry::metrics::Metrics;

/// The operation of a request that belongs to none of the document.
pub(super) const NO_OPERATION: &str = "other";

/// A middleware: `routes.with(RequestMetrics(metrics))`.
pub struct RequestMetrics(pub Arc<Metrics>);

impl<E: Endpoint> Middleware<E> for RequestMetrics {
    type Output = RequestMetricsEndpoint<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        RequestMetricsEndpoint {
            inner: endpoint,
            metrics: Arc::clone(&self.0),
        }
    }
}

/// The endpoint made by [`RequestMetrics`].
pub struct RequestMetricsEndpoint<E> {
    inner: E,
    metrics: Arc<Metrics>,
}

impl<E: Endpoint> Endpoint for RequestMetricsEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        let mut answered = Answered {
            metrics: &self.metrics,
            begun: Instant::now(),
            operation: NO_OPERATION,
            status: StatusCode::INTERNAL_SERVER_ERROR,
        };
        let answer = self
            .inner
            .call(request)
            .await
            .map(IntoResponse::into_response);
        let (operation, status) = match &answer {
            Ok(response) => (response.data::<OperationId>(), response.status()),
            Err(error) => (error.data::<OperationId>(), error.status()),
        };
        answered.operation = operation.map_or(NO_OPERATION, |operation| operation.0);
        answered.status = status;
        answer
    }
}

/// Counts the request when it is dropped, so that a handler that panics is counted too.
struct Answered<'a> {
    metrics: &'a Metrics,
    begun: Instant,
    operation: &'static str,
    status: StatusCode,
}

impl Drop for Answered<'_> {
    fn drop(&mut self) {
        let http = &self.metrics.http;
        http.answered(self.operation, self.status.as_u16(), self.begun.elapsed());
    }
}

//! What all answers of the API have in common: 405 with `Allow`, no cache unless an answer says otherwise, and
//! compression of the larger ones.

use std::sync::Arc;

use http::{HeaderValue, header};
use poem::{
    Endpoint, IntoResponse, Middleware, PathPattern, Request, Response, Result,
    error::MethodNotAllowedError,
};

use super::operations::Operations;
use crate::http::{compression, problem::Problem};

/// The middleware just inside of `RequestId`.
pub(super) struct Edge(pub(super) Arc<Operations>);

impl<E: Endpoint> Middleware<E> for Edge {
    type Output = EdgeEndpoint<E>;

    fn transform(&self, endpoint: E) -> Self::Output {
        EdgeEndpoint {
            inner: endpoint,
            operations: Arc::clone(&self.0),
        }
    }
}

/// The endpoint made by [`Edge`].
pub(super) struct EdgeEndpoint<E> {
    inner: E,
    operations: Arc<Operations>,
}

impl<E: Endpoint> Endpoint for EdgeEndpoint<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        request.set_data(Arc::clone(&self.operations));
        let takes_gzip = compression::takes_gzip(request.headers());
        match self.inner.call(request).await {
            Ok(output) => {
                let mut response = output.into_response();
                response
                    .headers_mut()
                    .entry(header::CACHE_CONTROL)
                    .or_insert(HeaderValue::from_static("no-store"));
                Ok(compression::compressed(response, takes_gzip).await)
            }
            Err(error) if error.is::<MethodNotAllowedError>() => {
                let allow = self.operations.allow(error.data::<PathPattern>());
                Err(Problem::method_not_allowed(allow).into())
            }
            Err(error) => Err(error),
        }
    }
}

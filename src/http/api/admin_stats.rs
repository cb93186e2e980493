//! For admins: the state of the queue in numbers.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::{OpenApi, payload::Json};

use super::{
    ApiState,
    database::{connection, problem_of},
    types::Tag,
};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    problems,
    tasks::{self, Stats},
};

problems!(pub StatsFailures: 401, 403, 503);

/// `GET /admin/stats`
pub struct AdminStats;

#[OpenApi(tag = "Tag::Admin")]
impl AdminStats {
    /// Show the queue in numbers
    ///
    /// Tasks by status, the ages of the oldest work, and the throughput of the last hour.
    #[oai(path = "/admin/stats", method = "get", operation_id = "getStats")]
    async fn stats(
        &self,
        _auth: ViewerAuth,
        state: Data<&Arc<ApiState>>,
    ) -> Result<Json<Stats>, Problems<StatsFailures>> {
        let mut connection = connection(&state.pool).await?;
        let stats = tasks::stats(&mut connection).await.map_err(problem_of)?;
        Ok(Json(stats))
    }
}

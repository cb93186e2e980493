//! For admins: the state of the queue in numbers.

use poem_openapi::{Object, OpenApi, payload::Json};

use super::{
    database::{connection, problem_of},
    parameter::Query,
    query::State,
    types::Tag,
};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    problems,
    tasks::{self, Series, Stats},
    vocabulary::StatsWindow,
};

problems!(pub StatsFailures: 400, 401, 403, 503);

/// The queue in numbers, and over time if a window is given.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct StatsWithSeries {
    #[oai(flatten)]
    pub stats: Stats,
    pub series: Option<Series>,
}

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
        state: State<'_>,
        /// Also show what happened in so much time, in buckets, for charts.
        window: Query<StatsWindow>,
    ) -> Result<Json<StatsWithSeries>, Problems<StatsFailures>> {
        let mut connection = connection(&state.pool).await?;
        let stats = tasks::stats(&mut connection).await.map_err(problem_of)?;
        let series = match window.0 {
            Some(window) => Some(
                tasks::series(&mut connection, window)
                    .await
                    .map_err(problem_of)?,
            ),
            None => None,
        };
        Ok(Json(StatsWithSeries { stats, series }))
    }
}

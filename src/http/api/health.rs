//! For the platform: whether this process is alive, and whether it can do its work.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use poem::web::Data;
use poem_openapi::{Enum, Object, OpenApi, payload::Json};

use super::{database::why_unavailable, types::Tag};
use crate::{
    http::problem::{Problem, Problems},
    problems,
    recent::Recent,
    vocabulary::ProblemCode,
};

/// How long a client is told to wait before it asks again.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// For how long one answer of the check is given to all who ask.
const READY_AGE: Duration = Duration::from_secs(1);

problems!(pub ReadyFailures: 503);

/// Says why this process is not ready, if it is not; else what a person should look at, if there is anything.
/// Both are shown to anybody, so the words of the store, of Clerk and of the database do not belong there.
pub type ReadyCheck =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Option<String>, String>> + Send + Sync>;

/// The check, made at most once in a second however many ask: anybody may, and it costs queries.
pub(super) fn cached(check: ReadyCheck) -> ReadyCheck {
    let recent = Arc::new(Recent::new(READY_AGE));
    Arc::new(move || {
        let (recent, check) = (Arc::clone(&recent), Arc::clone(&check));
        Box::pin(async move { recent.get(check()).await })
    })
}

/// Why a process is not ready, after this error of the database. Fit for anybody to read.
#[must_use]
pub fn why_not_ready(error: &sqlx::Error) -> &'static str {
    why_unavailable(error).unwrap_or("The database refuses to answer.")
}

/// What this process answers with 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "kebab-case")]
pub enum HealthStatus {
    /// It runs.
    Live,
    /// It can do its work.
    Ready,
}

/// The state of this process.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Health {
    pub status: HealthStatus,
    /// What a person should look at although the process is ready.
    pub detail: Option<String>,
}

/// `GET /health/live` and `GET /health/ready`
pub struct HealthApi;

#[OpenApi(tag = "Tag::Operations")]
impl HealthApi {
    /// Tell whether the process is alive
    ///
    /// Asks nothing of the database or the bucket.
    #[oai(path = "/health/live", method = "get", operation_id = "getLiveness")]
    async fn live(&self) -> Json<Health> {
        Json(Health {
            status: HealthStatus::Live,
            detail: None,
        })
    }

    /// Tell whether the database is reachable and migrated
    ///
    /// 503 with the reason while the process cannot do its work.
    #[oai(path = "/health/ready", method = "get", operation_id = "getReadiness")]
    async fn ready(
        &self,
        check: Data<&ReadyCheck>,
    ) -> Result<Json<Health>, Problems<ReadyFailures>> {
        match (check.0)().await {
            Ok(detail) => Ok(Json(Health {
                status: HealthStatus::Ready,
                detail,
            })),
            Err(why) => Err(Problem::unavailable(why, RETRY_AFTER)
                .with_code(ProblemCode::NotReady)
                .into()),
        }
    }
}

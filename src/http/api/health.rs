//! For the platform: whether this process lives, and whether it can do its work.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use poem::web::Data;
use poem_openapi::{Object, OpenApi, payload::Json};
use sqlx::{PgPool, query_file_scalar};
use tokio::time::timeout;

use super::{database::why_away, types::Tag};
use crate::{
    http::problem::{Problem, Problems},
    problems,
};

/// The database must answer within this to be called reachable.
const MAX_WAIT: Duration = Duration::from_secs(2);
const RETRY_AFTER: Duration = Duration::from_secs(5);

problems!(pub ReadyFailures: 503);

/// Says why this process is not ready, if it is not; else what a person should look at, if there is anything.
pub type ReadyCheck =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Option<String>, String>> + Send + Sync>;

/// Ready is: the database answers within 2 s, and its tables and functions are there.
pub fn database_ready(pool: PgPool) -> ReadyCheck {
    Arc::new(move || {
        let pool = pool.clone();
        Box::pin(async move {
            let asked = query_file_scalar!("sql/http/ready.sql").fetch_one(&pool);
            match timeout(MAX_WAIT, asked).await {
                Ok(Ok(true)) => Ok(None),
                Ok(Ok(false)) => Err("The database is not migrated: run `lethe migrate`.".into()),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "not ready");
                    let why = why_away(&error).unwrap_or("The database refuses to answer.");
                    Err(why.to_owned())
                }
                Err(_) => Err("The database does not answer within 2 s.".into()),
            }
        })
    })
}

/// How this process is.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Health {
    /// `live` or `ready`.
    pub status: String,
    /// What a person should look at although the process is ready.
    pub detail: Option<String>,
}

/// `GET /health/live` and `GET /health/ready`
pub struct HealthApi;

#[OpenApi(tag = "Tag::Operations")]
impl HealthApi {
    /// Tell whether the process lives
    ///
    /// Asks nothing of the database or the bucket.
    #[oai(path = "/health/live", method = "get", operation_id = "getLiveness")]
    async fn live(&self) -> Json<Health> {
        Json(Health {
            status: "live".into(),
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
                status: "ready".into(),
                detail,
            })),
            Err(why) => Err(Problem::unavailable(why, RETRY_AFTER).into()),
        }
    }
}

//! For admins: the workers.

use poem_openapi::{Object, OpenApi, payload::Json};

use super::{
    database::{problem_of, reading},
    query::State,
    types::Tag,
};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    problems,
    tasks::{self, Worker},
};

problems!(pub WorkersFailures: 400, 401, 403, 503);

/// The workers, those that are alive first.
#[derive(Debug, Object)]
pub struct WorkerList {
    pub items: Vec<Worker>,
}

/// `GET /admin/workers`
pub struct AdminWorkers;

#[OpenApi(tag = "Tag::Admin")]
impl AdminWorkers {
    /// List the workers
    ///
    /// Those that are alive, those whose lease ended, and the tasks that each holds.
    #[oai(path = "/admin/workers", method = "get", operation_id = "listWorkers")]
    async fn list(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
    ) -> Result<Json<WorkerList>, Problems<WorkersFailures>> {
        let mut tx = reading(&state.pool).await?;
        let items = tasks::workers(&mut *tx).await.map_err(problem_of)?;
        Ok(Json(WorkerList { items }))
    }
}

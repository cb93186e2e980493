//! For admins: the erasures of users, and what each removed.

use poem_openapi::{OpenApi, payload::Json};

use super::{
    database::{list_problem, problem_of, reading, refuse_strange_id},
    parameter::{Cursor, Limit, Path, Query, Text},
    query::State,
    types::{Tag, page},
};
use crate::{
    evidence::{self, ErasureFilter, ErasurePage, Receipt, list_erasures},
    http::{
        access::ViewerAuth,
        problem::{Problem, Problems},
    },
    problems,
    vocabulary::{ErasureStatus, ProblemCode, Timestamp, UserId},
};

problems!(pub ErasureListFailures: 400, 401, 403, 503);
problems!(pub ReceiptFailures: 400, 401, 403, 404, 503);

/// `GET /admin/erasures`
pub struct AdminErasures;

#[OpenApi(tag = "Tag::Admin")]
impl AdminErasures {
    /// List the erasures of users, newest first
    ///
    /// Each with the head of its receipt. `status=incomplete` lists those that wait for a person.
    #[oai(
        path = "/admin/erasures",
        method = "get",
        operation_id = "listErasures"
    )]
    #[allow(clippy::too_many_arguments, reason = "each is a query parameter")]
    async fn list(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
        status: Query<ErasureStatus>,
        /// At this time or later.
        #[oai(name = "requestedAfter")]
        requested_after: Query<Timestamp>,
        /// Before this time.
        #[oai(name = "requestedBefore")]
        requested_before: Query<Timestamp>,
        /// As recorded: `clerk:user.deleted`, `admin:<name>`, `reconcile` or what SQL passed.
        #[oai(name = "requestedBy")]
        requested_by: Query<Text>,
        /// Where the last page ended: its `nextCursor`. Empty for the first page.
        cursor: Query<Cursor>,
        /// The most items of the page.
        limit: Query<Limit>,
    ) -> Result<Json<ErasurePage>, Problems<ErasureListFailures>> {
        let filter = ErasureFilter {
            status: status.0,
            requested_after: requested_after.0,
            requested_before: requested_before.0,
            requested_by: requested_by.0.map(|text| text.0),
        };
        let mut tx = reading(&state.pool).await?;
        let page = list_erasures(&mut tx, &filter, page(limit.0, &cursor))
            .await
            .map_err(list_problem)?;
        Ok(Json(page))
    }
}

/// `GET /admin/users/{userId}/erasure`
pub struct AdminReceipts;

#[OpenApi(tag = "Tag::Admin")]
impl AdminReceipts {
    /// Show the receipt of an erasure
    ///
    /// `complete` only when nothing is left: no task, no row. 404 for a user whose deletion was
    /// never asked for.
    #[oai(
        path = "/admin/users/:userId/erasure",
        method = "get",
        operation_id = "getErasure"
    )]
    async fn receipt(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
        /// The Clerk user id.
        #[oai(name = "userId")]
        user_id: Path<UserId>,
    ) -> Result<Json<Receipt>, Problems<ReceiptFailures>> {
        let mut tx = reading(&state.pool).await?;
        refuse_strange_id(&mut *tx, &user_id.0).await?;
        let receipt = evidence::receipt(&mut tx, &user_id.0)
            .await
            .map_err(problem_of)?
            .ok_or_else(|| {
                Problem::not_found("The deletion of this user was never asked for.")
                    .with_code(ProblemCode::ErasureNotFound)
            })?;
        Ok(Json(receipt))
    }
}

//! The chain of signed receipts: for admins the receipts, for anybody the keys that verify them.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::{
    database::{list_problem, problem_of, reading},
    parameter::{Cursor, Limit, Query, Sequence},
    query::State,
    types::{Tag, page},
};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    problems,
    receipts::{
        body::{START, hex},
        keys,
        list::{self, ReceiptPage},
    },
    tasks::example_time,
    vocabulary::Timestamp,
};

problems!(pub ReceiptsFailures: 400, 401, 403, 503);
problems!(pub ReceiptKeysFailures: 503);

/// The signature of all receipts.
const ALGORITHM: &str = "Ed25519";

/// A key that receipts were or will be signed with.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase")]
pub struct ReceiptKey {
    pub key_id: String,
    /// SubjectPublicKeyInfo in base64: what stands between the first and the last line of a PEM file.
    pub public_key: String,
    pub created_at: Timestamp,
}

/// What is needed to verify receipts.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct ReceiptKeys {
    pub algorithm: String,
    /// The newest first. Old keys stay, because old receipts are verified with them.
    pub keys: Vec<ReceiptKey>,
    /// The place of the last sealed receipt; 0 if there is none.
    pub head_sequence: i64,
    /// Its hash, in hex.
    pub head_hash: String,
}

impl Example for ReceiptKeys {
    fn example() -> Self {
        Self {
            algorithm: ALGORITHM.into(),
            keys: vec![ReceiptKey {
                key_id: "0c5a9e1be7d24d3f".into(),
                public_key: "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=".into(),
                created_at: example_time().into(),
            }],
            head_sequence: 0,
            head_hash: hex(&START),
        }
    }
}

/// `GET /admin/receipts`
pub struct SealedReceipts;

#[OpenApi(tag = "Tag::Admin")]
impl SealedReceipts {
    /// List the signed receipts, newest first
    ///
    /// One for each completed erasure, a few seconds after its end. `lethe receipts export` writes all of them to be
    /// verified elsewhere.
    #[oai(
        path = "/admin/receipts",
        method = "get",
        operation_id = "listReceipts"
    )]
    async fn list(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
        /// Only the receipt at this place in the chain. `GET /admin/users/{userId}/erasure` says which one an erasure has.
        sequence: Query<Sequence>,
        /// Where the last page ended: its `nextCursor`. Empty for the first page.
        cursor: Query<Cursor>,
        /// The most items of the page.
        limit: Query<Limit>,
    ) -> Result<Json<ReceiptPage>, Problems<ReceiptsFailures>> {
        let mut tx = reading(&state.pool).await?;
        let page = list::list(
            &mut tx,
            sequence.0.map(|place| place.0),
            page(limit.0, &cursor),
        )
        .await
        .map_err(list_problem)?;
        Ok(Json(page))
    }
}

/// `GET /.well-known/lethe-receipts.json`
pub struct PublicReceiptKeys;

#[OpenApi(tag = "Tag::Operations")]
impl PublicReceiptKeys {
    /// Show the public keys that verify receipts
    ///
    /// For anybody. `lethe receipts verify --public-key` reads this document.
    #[oai(
        path = "/.well-known/lethe-receipts.json",
        method = "get",
        operation_id = "getReceiptKeys"
    )]
    async fn keys(
        &self,
        state: State<'_>,
    ) -> Result<Json<ReceiptKeys>, Problems<ReceiptKeysFailures>> {
        let mut tx = reading(&state.pool).await?;
        let keys = keys::public_keys(&mut tx).await.map_err(problem_of)?;
        let head = list::head(&mut tx).await.map_err(problem_of)?;
        let (head_sequence, head_hash) =
            head.map_or_else(|| (0, hex(&START)), |head| (head.sequence, hex(&head.hash)));
        Ok(Json(ReceiptKeys {
            algorithm: ALGORITHM.into(),
            keys: keys
                .into_iter()
                .map(|key| ReceiptKey {
                    key_id: key.public.id(),
                    public_key: key.public.to_base64(),
                    created_at: key.created_at,
                })
                .collect(),
            head_sequence,
            head_hash,
        }))
    }
}

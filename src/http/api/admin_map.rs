//! For admins: the erasure map, and what its gate says of the database.

use poem_openapi::{Object, OpenApi, payload::Json, types::Example};

use super::{
    database::{connection, map_in_use, problem_of},
    query::State,
    types::Tag,
};
use crate::{
    http::{access::ViewerAuth, problem::Problems},
    map::{
        format::ErasureMap,
        gate::{self, Finding, GateOptions, GateResult, Report},
    },
    problems,
};

problems!(pub MapFailures: 400, 401, 403, 503);

/// Most findings of one answer.
const MAX_FINDINGS: usize = 100;
/// Values are not looked at: that reads statistics and samples, and the gate in CI has done it.
const OPTIONS: GateOptions = GateOptions {
    no_values: true,
    strict: false,
};

/// The erasure map that this process plans erasures by, compared with its database.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(rename_all = "camelCase", example)]
pub struct MapState {
    /// SHA-256 of the map's text, in hex.
    pub digest: String,
    /// `complete`, `found` (something is incomplete or dangerous) or `differs` (another map is applied).
    pub result: String,
    /// The worst first. At most 100.
    pub findings: Vec<MapFinding>,
    pub tables: Vec<MapTable>,
    pub buckets: Vec<MapBucket>,
    pub database: MapDatabase,
}

/// What the gate found.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct MapFinding {
    /// `danger`, `incomplete` or `note`.
    pub severity: String,
    /// A word that stays the same, from `docs/erasure-map.md`.
    pub code: String,
    /// The table or column.
    pub place: String,
    /// What was found, why it matters, and how to mend it.
    pub detail: String,
}

/// A table of the map.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct MapTable {
    /// The type of its rows in the API, the audit trail and receipts.
    #[oai(rename = "type")]
    pub row_type: String,
    /// Its name, with its schema.
    pub table: String,
}

/// A bucket of the map.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct MapBucket {
    pub alias: String,
    /// Absent if it is the `S3_BUCKET` of the workers.
    pub name: Option<String>,
}

/// The database, as the service is connected to it.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct MapDatabase {
    pub name: String,
    /// The version of PostgreSQL.
    pub version: String,
    pub role: String,
    /// How many tables there are, those of Lethe and PostgreSQL left out.
    pub tables: u32,
}

impl Example for MapState {
    fn example() -> Self {
        Self {
            digest: "5f1c".repeat(16),
            result: "found".into(),
            findings: vec![MapFinding {
                severity: "incomplete".into(),
                code: "no-rule".into(),
                place: "comments.author_id".into(),
                detail: "Points at users, and the map has no rule for it.".into(),
            }],
            tables: vec![MapTable {
                row_type: "user".into(),
                table: "public.users".into(),
            }],
            buckets: vec![MapBucket {
                alias: "main".into(),
                name: None,
            }],
            database: MapDatabase {
                name: "app".into(),
                version: "16.10".into(),
                role: "lethe_serve".into(),
                tables: 12,
            },
        }
    }
}

fn state_of(map: &ErasureMap, report: Report) -> MapState {
    let finding = |finding: &Finding| MapFinding {
        severity: finding.severity.to_string(),
        code: finding.code.as_str().to_owned(),
        place: finding.place.clone(),
        detail: format!(
            "{} {} {}",
            finding.what,
            finding.code.reason(),
            finding.remedy
        ),
    };
    let tables = map.all_tables().map(|table| MapTable {
        row_type: table.type_name.clone(),
        table: format!("{}.{}", table.name.schema, table.name.name),
    });
    let buckets = map.buckets.iter().map(|bucket| MapBucket {
        alias: bucket.alias.clone(),
        name: bucket.name.clone(),
    });
    MapState {
        digest: map.digest.clone(),
        result: match report.result {
            GateResult::Complete => "complete",
            GateResult::Found => "found",
            GateResult::Differs => "differs",
        }
        .to_owned(),
        findings: report
            .findings
            .iter()
            .take(MAX_FINDINGS)
            .map(finding)
            .collect(),
        tables: tables.collect(),
        buckets: buckets.collect(),
        database: MapDatabase {
            name: report.server.database,
            version: report.server.version,
            role: report.server.role,
            tables: u32::try_from(report.tables).unwrap_or(u32::MAX),
        },
    }
}

/// `GET /admin/map`
pub struct AdminMap;

#[OpenApi(tag = "Tag::Admin")]
impl AdminMap {
    /// Show the erasure map and what its gate says
    ///
    /// Which tables and buckets a user consists of, and what in the database the map does not speak of or what would be
    /// dangerous, as `lethe map check --no-values` finds it with the role of this service.
    #[oai(path = "/admin/map", method = "get", operation_id = "getMap")]
    async fn show(
        &self,
        _auth: ViewerAuth,
        state: State<'_>,
    ) -> Result<Json<MapState>, Problems<MapFailures>> {
        let mut connection = connection(&state.pool).await?;
        let map = map_in_use(&mut connection).await?;
        let report = gate::inspect(&mut connection, &map, OPTIONS)
            .await
            .map_err(problem_of)?;
        Ok(Json(state_of(&map, report)))
    }
}

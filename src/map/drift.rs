//! Whether the database still fits the map that is applied. Running processes ask, because an application migrates its
//! tables while Lethe runs.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, query_file_scalar};
use tokio::sync::{Notify, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::apply::newest;
use super::bind::bind;
use super::catalog;
use super::format::ErasureMap;
use super::gate::{self, Code, Finding, GateOptions, Scope, Severity};
use super::installed;
use crate::cause::chain;
use crate::db::timeout::with_timeout;

/// The time between two looks while everything fits.
const INTERVAL: Duration = Duration::from_secs(30);
/// The time between two looks while something is breaking, so that a mended database is used soon.
const BROKEN_INTERVAL: Duration = Duration::from_secs(2);
/// A look is given up after this time. It reads the catalog only.
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// What no longer fits. Both lists are empty as long as everything does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// The map of which this is said: `lethe.maps.id`.
    pub map_id: i64,
    /// Sentences, each with its table or column: a table of the map is gone, a new foreign key
    /// cascades. An erasure would fail, or lose keys that nobody has read.
    pub breaking: Vec<String>,
    /// Tables and columns that the map does not speak of. An erasure would leave them.
    pub incomplete: Vec<String>,
}

/// Compares the applied map with the database. `None` if no map is applied, or one whose format this version does not
/// read.
///
/// # Errors
/// Of the database.
pub async fn look(connection: &mut PgConnection) -> Result<Option<Drift>, sqlx::Error> {
    let mut tx = catalog::begin(connection).await?;
    let Some(applied) = newest(&mut tx).await? else {
        return Ok(None);
    };
    let Ok(map) = ErasureMap::parse(&applied.map) else {
        return Ok(None);
    };
    let catalog = catalog::read(&mut tx).await?;
    let options = GateOptions {
        no_values: true,
        strict: false,
    };
    let findings = gate::look(&mut tx, &map, &catalog, options).await?.findings;
    let bound = bind(&map, &catalog);
    let missing = installed::missing(&mut tx, &bound).await?;
    tx.rollback().await?;
    // Of the built-in map only what would make it fail is asked, as when it is applied.
    if map.is_built_in() {
        let broken = findings.iter().filter(|finding| is_broken(finding));
        return Ok(Some(Drift {
            map_id: applied.id,
            breaking: broken.map(sentence).collect(),
            incomplete: Vec::new(),
        }));
    }
    let mut drift = Drift {
        map_id: applied.id,
        ..Drift::default()
    };
    drift.breaking.extend(missing.into_iter().map(|table| {
        format!(
            "{table}: the table was made again since the map was applied, so its functions are missing; \
             `lethe map apply` makes them"
        )
    }));
    // A map that was applied incomplete may have had such references from the beginning.
    let cascading: Vec<String> = match applied.is_incomplete {
        true => Vec::new(),
        false => gate::cascading_without_rule(&Scope::of(&bound)),
    };
    for finding in &findings {
        let is_new_cascade = finding.code == Code::NoRule && cascading.contains(&finding.place);
        if is_broken(finding) || is_new_cascade {
            drift.breaking.push(sentence(finding));
        } else if is_left_out(finding) {
            drift.incomplete.push(finding.place.clone());
        }
    }
    drift.incomplete.sort();
    drift.incomplete.dedup();
    Ok(Some(drift))
}

fn sentence(finding: &Finding) -> String {
    format!("{}: {}", finding.place, finding.what)
}

/// Nothing may be erased as long as there is such a finding. Row level security is not among them: a worker that it binds
/// notices it with its first task, and says so on the task.
fn is_broken(finding: &Finding) -> bool {
    let codes = [
        Code::MissingTable,
        Code::MissingColumn,
        Code::NoUserId,
        Code::ColumnType,
        Code::TableKind,
        Code::Cascade,
    ];
    finding.severity == Severity::Danger && codes.contains(&finding.code)
}

/// An erasure would leave something.
fn is_left_out(finding: &Finding) -> bool {
    let codes = [Code::NoRule, Code::KeptColumn, Code::ReferenceStays];
    finding.severity > Severity::Note && codes.contains(&finding.code)
}

/// Records what is incomplete, so that every process and every receipt knows. False if that is known already, or another
/// map was applied meanwhile.
///
/// # Errors
/// Of the database.
async fn note(connection: &mut PgConnection, drift: &Drift) -> Result<bool, sqlx::Error> {
    query_file_scalar!("sql/map/note_drift.sql", drift.map_id, &drift.incomplete)
        .fetch_one(connection)
        .await
}

/// What a process knows of the drift. Everything that must not go on with a broken map looks here.
#[derive(Debug)]
pub struct DriftState {
    breaking: watch::Sender<Vec<String>>,
    look_asked_for: Notify,
}

impl Default for DriftState {
    fn default() -> Self {
        Self {
            breaking: watch::Sender::new(Vec::new()),
            look_asked_for: Notify::new(),
        }
    }
}

impl DriftState {
    /// Whether an erasure would fail or lose keys.
    #[must_use]
    pub fn is_breaking(&self) -> bool {
        !self.breaking.borrow().is_empty()
    }

    /// Returns once nothing is breaking any more.
    pub async fn mended(&self) {
        // The sender lives as long as `self`, so this ends only when nothing is breaking.
        let mut breaking = self.breaking.subscribe();
        let _ = breaking.wait_for(Vec::is_empty).await;
    }

    /// Asks for a look at once, because the database gave an error that speaks of a changed schema.
    pub fn ask_for_look(&self) {
        self.look_asked_for.notify_one();
    }

    /// Looks, remembers and logs what is breaking, and returns what was found.
    ///
    /// # Errors
    /// Of the database; then what was known stays.
    pub async fn look(&self, pool: &PgPool) -> Result<Option<Drift>, sqlx::Error> {
        let mut connection = pool.acquire().await?;
        let drift = look(&mut connection).await?;
        let found = drift.as_ref().map(|drift| drift.breaking.clone());
        let found = found.unwrap_or_default();
        self.breaking.send_if_modified(|known| {
            let is_new = *known != found;
            if is_new && found.is_empty() {
                tracing::info!("the database fits the erasure map again");
            } else if is_new {
                tracing::error!(
                    findings = found.join(" "),
                    "the database no longer fits the erasure map; nothing is erased until it does or `lethe map apply` \
                     installs another map"
                );
            }
            *known = found;
            is_new
        });
        Ok(drift)
    }

    /// Looks once, and records what is incomplete if this process may.
    pub async fn look_and_record(&self, pool: &PgPool, records: Records) {
        let looked = async {
            let drift = self.look(pool).await?;
            if let (Some(drift), Records::Yes) = (drift, records) {
                record(pool, &drift).await?;
            }
            Ok(())
        };
        if let Err(error) = with_timeout(LOOK_LIMIT, looked).await {
            // Other loops of the process say that the database is away.
            let error = chain(&error);
            tracing::debug!(error, "cannot compare the erasure map with the database");
        }
    }

    /// Looks every now and then, and at once when somebody asks for it, until `stop`. The first look is the caller's.
    pub async fn watch(&self, pool: &PgPool, records: Records, stop: &CancellationToken) {
        let mut breaking = self.breaking.subscribe();
        loop {
            let pause = match breaking.borrow_and_update().is_empty() {
                true => INTERVAL,
                false => BROKEN_INTERVAL,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(pause) => {}
                () = self.look_asked_for.notified() => {}
                // Another look, such as the caller's first, found something else: the pause is another one.
                Ok(()) = breaking.changed() => continue,
            }
            self.look_and_record(pool, records).await;
        }
    }
}

/// Whether a process records what is incomplete. Only workers have the right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    Yes,
    No,
}

async fn record(pool: &PgPool, drift: &Drift) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let is_new = note(&mut connection, drift).await?;
    if is_new && drift.incomplete.is_empty() {
        tracing::info!("the erasure map speaks of everything in the database again");
    } else if is_new {
        tracing::warn!(
            places = drift.incomplete.join(", "),
            "the erasure map does not speak of everything in the database, so receipts say `incomplete`; `lethe map check` \
             says how to mend it"
        );
    }
    Ok(())
}

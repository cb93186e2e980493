//! `lethe migrate`.

use anyhow::Context;
use sqlx::migrate::{Migrate, MigrateError};
use sqlx::{Connection, Executor, PgConnection};

use super::pool;
use crate::config::{Database, MapText};
use crate::db::sqlstate::{Meaning, meaning};
use crate::map::apply::{self, Applied, ApplyError};
use crate::map::format::{BUILT_IN, ErasureMap};
use crate::receipts::key::SigningKey;
use crate::receipts::keys;
use crate::schema::{self, MIGRATOR, MigrationState, application};

/// Applies what is due, makes sure that there is a key to sign receipts with, and returns the state before. It uses the
/// direct connection, because the lock that keeps two runs apart belongs to a session.
///
/// # Errors
/// When the database is away or refuses.
pub async fn run(
    database: &Database,
    map: Option<&MapText>,
    receipt_key: Option<&SigningKey>,
) -> anyhow::Result<MigrationState> {
    let mut connection = pool::connect(&database.listen_url).await?;
    // What is there already is no news: sqlx creates its schema and its record only if they are missing, and says so.
    connection
        .execute("set client_min_messages = warning")
        .await?;
    let mut before = state(&mut connection).await?;
    if !before.is_current() {
        if map.is_none_or(|given| given.map.is_built_in()) {
            refuse_unfit(&mut connection).await?;
        } else if let Some(obstacle) = application::old_version(&mut connection).await? {
            anyhow::bail!("this database was not changed: {obstacle}");
        }
        before = apply(&mut connection).await?;
    }
    keys::prepare(&mut connection, receipt_key).await?;
    connection.close().await?;
    Ok(before)
}

/// Applies the given map, else the one that the database has, as this binary compiles it; the built-in one where it has
/// none. A map that was applied incomplete may stay so.
///
/// # Errors
/// When the database is away. The result says why the map was not applied.
pub async fn apply_map(
    connection: &mut PgConnection,
    given: Option<&MapText>,
    allow_incomplete: bool,
) -> anyhow::Result<Result<Applied, ApplyError>> {
    if let Some(given) = given {
        if given.map.is_built_in() {
            refuse_unfit(connection).await?;
        }
        let applied = apply::apply(connection, &given.map, &given.text, allow_incomplete);
        return Ok(applied.await);
    }
    let newest = apply::newest(connection).await?;
    let is_incomplete = newest.as_ref().is_some_and(|newest| newest.is_incomplete);
    let text = newest.map_or_else(|| BUILT_IN.to_owned(), |newest| newest.map);
    let map = ErasureMap::parse(&text).context("the map that the database has")?;
    if map.is_built_in() {
        refuse_unfit(connection).await?;
    }
    let allow_incomplete = allow_incomplete || is_incomplete;
    Ok(apply::apply(connection, &map, &text, allow_incomplete).await)
}

/// Reads the state for `lethe migrate --check`, and whether the map is due. Changes nothing.
///
/// # Errors
/// When the database is away or refuses.
pub async fn check(
    database: &Database,
    map_digest: Option<String>,
) -> anyhow::Result<(MigrationState, bool)> {
    let mut connection = pool::connect(&database.listen_url).await?;
    let state = state(&mut connection).await?;
    let map_is_due = match state.is_current() {
        false => false,
        true => {
            let newest = apply::newest(&mut connection).await?;
            let digest = newest.map(|newest| newest.digest);
            digest.is_none() || (map_digest.is_some() && map_digest != digest)
        }
    };
    connection.close().await?;
    Ok((state, map_is_due))
}

/// One line for each thing that [`run`] did, from the state before.
pub fn tell_applied(before: &MigrationState) -> String {
    let mut lines: Vec<String> = before
        .due
        .iter()
        .map(|(version, description)| format!("applied {version:04} {description}"))
        .collect();
    if lines.is_empty() {
        lines.push("the database is migrated already; nothing was changed".to_owned());
    }
    lines.extend(newer(before));
    lines.join("\n")
}

/// One line for each thing that [`check`] found.
pub fn tell_state(state: &MigrationState, map_is_due: bool) -> String {
    let mut lines: Vec<String> = state
        .due
        .iter()
        .map(|(version, description)| format!("due {version:04} {description}"))
        .collect();
    lines.extend(state.changed.iter().map(|version| {
        format!("changed {version:04}: it was applied with another text than this binary's")
    }));
    lines.extend(
        state
            .unfinished
            .iter()
            .map(|version| format!("unfinished {version:04}: it was begun and never finished")),
    );
    if map_is_due {
        lines.push("due: the erasure map".to_owned());
    }
    if lines.is_empty() {
        lines.push("the database is migrated".to_owned());
    } else if !state.due.is_empty() || map_is_due {
        lines.push("run `lethe migrate` as the database's owner".to_owned());
    }
    lines.extend(newer(state));
    lines.join("\n")
}

fn newer(state: &MigrationState) -> Option<String> {
    let newest = state.newer.iter().max()?;
    Some(format!(
        "the database is ahead of this binary, at {newest:04}; that is left as it is"
    ))
}

/// Before anything is changed: the tables of the application that are there must fit.
async fn refuse_unfit(connection: &mut PgConnection) -> anyhow::Result<()> {
    let obstacles = application::obstacles(connection)
        .await
        .context("cannot read which tables the application has")?;
    anyhow::ensure!(
        obstacles.is_empty(),
        "this database was not changed, because it does not fit:\n  {}\n\
         {}",
        obstacles.join("\n  "),
        application::REMEDY
    );
    Ok(())
}

async fn state(connection: &mut PgConnection) -> anyhow::Result<MigrationState> {
    schema::state(connection)
        .await
        .context("cannot read which migrations were applied; run this as the database's owner")
}

/// Applies what is due once no other run holds the lock, and returns the state under the lock, so that
/// migrations which another run applied meanwhile are not reported as ours.
async fn apply(connection: &mut PgConnection) -> anyhow::Result<MigrationState> {
    connection.lock().await.map_err(explained)?;
    let before = state(connection).await?;
    let mut migrator = schema::migrator(MIGRATOR.iter().cloned().collect());
    // The lock is held already. If this fails, it is released with the connection.
    migrator.set_locking(false);
    migrator.run(&mut *connection).await.map_err(explained)?;
    connection.unlock().await.map_err(explained)?;
    Ok(before)
}

fn explained(error: MigrateError) -> anyhow::Error {
    let remedy = match &error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
            if meaning(source) == Meaning::Forbidden =>
        {
            "this role may not change the database; run `lethe migrate` as its owner \
             (a superuser is not needed), or `alter database … owner to` this role"
        }
        MigrateError::VersionMismatch(_) => {
            "a migration was applied with another text; run the binary that the database was \
             migrated with, or restore the file"
        }
        MigrateError::Dirty(_) => {
            "a migration was begun and never finished; look at lethe._sqlx_migrations and mend it by hand"
        }
        _ => "the database could not be migrated",
    };
    anyhow::Error::new(error).context(remedy)
}

//! Runs a command on a map and a database.

use std::time::Duration;

use sqlx::PgConnection;

use super::invalid::tell_invalid;
use super::load::{LoadError, LoadedMap, load_from};
use super::output::{DIFFERS, FAILED, FOUND, INVALID, MapOutput};
use super::{grants, report};
use crate::cli::args::{MapCommand, MapFormat};
use crate::map::apply::{self, Applied, ApplyError};
use crate::map::draft::draft;
use crate::map::gate::{GateOptions, GateResult, inspect};
use crate::map::plan::{self, CompileError};
use crate::map::prove::{self, Proof};
use crate::schema::{self, application};

/// How long each statement of a plan may take. A person waits for it.
const PLAN_LIMIT: Duration = Duration::from_secs(30);

/// Runs a command on the map that was given, else on the one that the database has, else on the built-in one. Only
/// `init` needs none.
///
/// # Errors
/// When the database cannot be reached or refuses.
pub async fn run(
    connection: &mut PgConnection,
    given: Option<LoadedMap>,
    command: &MapCommand,
) -> Result<MapOutput, sqlx::Error> {
    if matches!(command, MapCommand::Init) {
        let text = draft(connection).await?;
        return Ok(MapOutput {
            text,
            ..MapOutput::default()
        });
    }
    let loaded = match given {
        Some(given) => given,
        None => match load_from(connection).await {
            Ok(loaded) => loaded,
            Err(LoadError::Database(error)) => return Err(error),
            Err(LoadError::Invalid(invalid)) => return Ok(tell_invalid(&invalid, command)),
            Err(error @ LoadError::Forbidden) => {
                return Ok(refused(format!("error: {error}"), FAILED));
            }
        },
    };
    let mut output = run_with(connection, &loaded, command).await?;
    if let Some(note) = loaded.note() {
        output.errors = format!("{note}\n{}", output.errors);
    }
    Ok(output)
}

async fn run_with(
    connection: &mut PgConnection,
    loaded: &LoadedMap,
    command: &MapCommand,
) -> Result<MapOutput, sqlx::Error> {
    let map = &loaded.map;
    let compiled = match command {
        MapCommand::Check {
            format,
            no_values,
            strict,
        } => {
            let options = GateOptions {
                no_values: *no_values,
                strict: *strict,
            };
            return check(connection, loaded, *format, options).await;
        }
        MapCommand::Apply {
            allow_incomplete, ..
        } => {
            if let Some(refused) = unprepared(connection, loaded).await? {
                return Ok(refused);
            }
            let allowed = *allow_incomplete || loaded.may_stay_incomplete();
            let applied = apply::apply(connection, map, &loaded.text, allowed).await;
            return tell_applied(&loaded.file, applied);
        }
        MapCommand::Prove { user } => {
            if let Some(refused) = unprepared(connection, loaded).await? {
                return Ok(refused);
            }
            let allowed = loaded.may_stay_incomplete();
            let proof = prove::prove(connection, map, user.as_deref(), allowed).await;
            return tell_proof(&loaded.file, proof);
        }
        MapCommand::Init | MapCommand::Sql => plan::script(connection, map).await,
        MapCommand::Plan { user } => {
            if let Some(why) = plan::refusal(connection, map, user).await? {
                let error = format!("error: {user:?} is no id that an erasure takes: {why}");
                return Ok(refused(error, INVALID));
            }
            let plan = plan::plan(connection, map, user, PLAN_LIMIT).await;
            plan.map(|plan| serde_json::to_string_pretty(&plan).unwrap_or_default())
        }
        MapCommand::Grants {
            worker,
            serve,
            application,
        } => match plan::rights(connection, map).await {
            Ok(rights) => {
                let roles = [worker, serve, application].map(String::as_str);
                let has_record = schema::may_have_record(connection).await?;
                Ok(grants::text(map, &rights, roles, has_record))
            }
            Err(error) => Err(error),
        },
    };
    match compiled {
        Ok(text) => Ok(MapOutput {
            text,
            ..MapOutput::default()
        }),
        Err(error) => tell_not_compiled(connection, loaded, error).await,
    }
}

/// Says why a map cannot be compiled for this database. An error of the database is returned as it is.
async fn tell_not_compiled(
    connection: &mut PgConnection,
    loaded: &LoadedMap,
    error: CompileError,
) -> Result<MapOutput, sqlx::Error> {
    match error {
        CompileError::Database(error) => Err(error),
        CompileError::Unbound(_) if loaded.map.is_built_in() => {
            let mut obstacles = application::obstacles(connection).await?;
            if obstacles.is_empty() {
                obstacles.push("none of its tables is there".to_owned());
            }
            Ok(unfit(&loaded.file, &obstacles))
        }
        unbound @ CompileError::Unbound(_) => Ok(refused(
            format!(
                "error: {}: {unbound}; `lethe map check` lists them",
                loaded.file
            ),
            FOUND,
        )),
    }
}

fn refused(errors: String, exit_code: u8) -> MapOutput {
    MapOutput {
        errors,
        exit_code,
        ..MapOutput::default()
    }
}

/// Why a map cannot be applied or proved on this database, before anything is tried: Lethe's own tables are missing, or
/// the tables of the built-in map do not fit.
async fn unprepared(
    connection: &mut PgConnection,
    loaded: &LoadedMap,
) -> Result<Option<MapOutput>, sqlx::Error> {
    if loaded.map.is_built_in() {
        let obstacles = application::obstacles(connection).await?;
        if !obstacles.is_empty() {
            return Ok(Some(unfit(&loaded.file, &obstacles)));
        }
    }
    if !schema::is_migrated(&mut *connection).await? {
        let error = "error: the database lacks tables or functions of this version of Lethe: run `lethe migrate` as its \
                     owner. It ends with applying the map of ERASURE_MAP; without one it creates the tables of the built-in \
                     map, unless the database has a map already";
        return Ok(Some(refused(error.to_owned(), FAILED)));
    }
    Ok(None)
}

fn unfit(file: &str, obstacles: &[String]) -> MapOutput {
    let obstacles = obstacles.join("\n  ");
    let error = format!(
        "error: {file}: it does not fit this database:\n  {obstacles}\n{}",
        application::REMEDY
    );
    refused(error, FOUND)
}

async fn check(
    connection: &mut PgConnection,
    loaded: &LoadedMap,
    format: MapFormat,
    options: GateOptions,
) -> Result<MapOutput, sqlx::Error> {
    let report = inspect(connection, &loaded.map, options).await?;
    let exit_code = match report.result {
        GateResult::Complete => 0,
        GateResult::Found => FOUND,
        GateResult::Differs => DIFFERS,
    };
    let text = match format {
        MapFormat::Text => report::text(loaded, &report),
        MapFormat::Json => report::json(loaded, &report, exit_code),
        MapFormat::Github => report::github(loaded, &report),
    };
    Ok(MapOutput {
        text,
        errors: String::new(),
        exit_code,
    })
}

/// What applying a map did, and its exit code.
///
/// # Errors
/// Those of the database.
pub fn tell_applied(
    file: &str,
    applied: Result<Applied, ApplyError>,
) -> Result<MapOutput, sqlx::Error> {
    let error = match applied {
        Ok(applied) => {
            let text = match applied {
                Applied::Installed => format!("{file}: applied"),
                Applied::Unchanged => format!("{file}: is applied already; nothing was changed"),
            };
            return Ok(MapOutput {
                text,
                ..MapOutput::default()
            });
        }
        Err(ApplyError::Database(error)) => return Err(error),
        Err(error) => error,
    };
    let (exit_code, remedy) = match error {
        ApplyError::TypesInUse(_) => (1, ""),
        _ => (
            FOUND,
            "; `lethe map check` lists all findings with their remedies",
        ),
    };
    Ok(MapOutput {
        errors: format!("error: {file}: {error}{remedy}; nothing was changed"),
        exit_code,
        ..MapOutput::default()
    })
}

fn tell_proof(file: &str, proof: Result<Proof, ApplyError>) -> Result<MapOutput, sqlx::Error> {
    let proof = match proof {
        Ok(proof) => proof,
        Err(error) => return tell_applied(file, Err(error)),
    };
    let mut text = proof.to_string();
    let exit_code = if proof.is_complete() { 0 } else { FOUND };
    text.push_str("\nEverything was rolled back.");
    Ok(MapOutput {
        text,
        exit_code,
        ..MapOutput::default()
    })
}

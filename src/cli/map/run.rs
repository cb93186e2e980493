//! Runs a command on a map and a database.

use std::time::Duration;

use sqlx::PgConnection;

use super::load::LoadedMap;
use super::report;
use crate::cli::args::{MapCommand, MapFormat};
use crate::map::apply::{self, Applied, ApplyError};
use crate::map::draft::draft;
use crate::map::format::ErasureMap;
use crate::map::gate::{GateOptions, GateResult, inspect};
use crate::map::plan::{self, CompileError};
use crate::map::prove::{self, Proof};
use crate::schema::needs;
use crate::vocabulary::ProcessRole;

/// How long each statement of a plan may take. A person waits for it.
const PLAN_LIMIT: Duration = Duration::from_secs(30);

/// The map's file is invalid.
pub(super) const INVALID: u8 = 2;
/// The map is incomplete or dangerous.
const FOUND: u8 = 3;
/// The map that is applied is another.
const DIFFERS: u8 = 4;

/// What a command says, and its exit code.
#[derive(Debug, Default)]
pub struct MapOutput {
    /// For standard output.
    pub text: String,
    /// For standard error.
    pub errors: String,
    pub exit_code: u8,
}

/// Runs a command. Only `init` needs no map.
///
/// # Errors
/// When the database cannot be reached or refuses.
pub async fn run(
    connection: &mut PgConnection,
    map: Option<&LoadedMap>,
    command: &MapCommand,
) -> Result<MapOutput, sqlx::Error> {
    let (Some(loaded), false) = (map, matches!(command, MapCommand::Init)) else {
        let text = draft(connection).await?;
        return Ok(MapOutput {
            text,
            ..MapOutput::default()
        });
    };
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
            let applied = apply::apply(connection, map, &loaded.text, *allow_incomplete).await;
            return tell_applied(&loaded.file, applied);
        }
        MapCommand::Prove { user } => {
            let proof = prove::prove(connection, map, user.as_deref()).await;
            return tell_proof(&loaded.file, proof);
        }
        MapCommand::Init | MapCommand::Sql => plan::script(connection, map).await,
        MapCommand::Plan { user } => {
            let plan = plan::plan(connection, map, user, PLAN_LIMIT).await;
            plan.map(|plan| serde_json::to_string_pretty(&plan).unwrap_or_default())
        }
        MapCommand::Grants {
            worker,
            serve,
            application,
        } => {
            let [worker, serve, application] = [worker, serve, application].map(|role| quote(role));
            let of_map = plan::rights(connection, map, (&worker, &serve)).await;
            of_map.map(|of_map| own_grants(map, (&worker, &serve, &application)) + &of_map)
        }
    };
    match compiled {
        Ok(text) => Ok(MapOutput {
            text,
            ..MapOutput::default()
        }),
        Err(CompileError::Database(error)) => Err(error),
        Err(unbound @ CompileError::Unbound(_)) => Ok(MapOutput {
            errors: format!(
                "error: {}: {unbound}; `lethe map check` lists them",
                loaded.file
            ),
            exit_code: FOUND,
            ..MapOutput::default()
        }),
    }
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

/// A role's name as SQL.
fn quote(role: &str) -> String {
    format!("\"{}\"", role.replace('"', "\"\""))
}

/// The rights on Lethe's own tables and functions.
fn own_grants(map: &ErasureMap, (worker, serve, application): (&str, &str, &str)) -> String {
    let functions = match map.is_built_in() {
        true => needs::function_names(),
        false => needs::own_function_names(),
    };
    let mut text = format!(
        "grant usage on schema lethe to {worker}, {serve}, {application};\n\
         grant usage on schema lethe_map to {worker}, {serve};\n"
    );
    for (role, name) in [(ProcessRole::Worker, worker), (ProcessRole::Serve, serve)] {
        for need in needs::TABLES {
            let rights: Vec<&str> = need.rights(&[role]).collect();
            if need.table.starts_with("lethe.") && !rights.is_empty() {
                text += &format!("grant {} on {} to {name};\n", rights.join(", "), need.table);
            }
        }
        let of_role = needs::functions_of(&[role]).into_iter();
        for function in of_role.filter(|function| functions.contains(function)) {
            text += &format!("grant execute on function {function} to {name};\n");
        }
    }
    for function in functions {
        if function.starts_with("lethe.delete") {
            text += &format!("grant execute on function {function} to {application};\n");
        }
    }
    text
}

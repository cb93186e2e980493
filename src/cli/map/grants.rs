//! The rights of Lethe's roles as SQL that can be pasted.

use crate::map::format::ErasureMap;
use crate::map::grants::MapRights;
use crate::schema::needs;
use crate::vocabulary::ProcessRole;

const HEAD: &str = "\
-- The least rights of the three roles. Run it as the owner of the database, after `lethe migrate`, and again after each
-- upgrade and each `lethe map apply`. The roles must exist: create role … login password '…';
";

/// Every right that the roles of the worker, of serve and of the application need, on Lethe's own tables and functions
/// and on those of the map. `has_record`: the record of migrations is there, or `lethe migrate` will make it.
pub(super) fn text(
    map: &ErasureMap,
    rights: &MapRights,
    roles: [&str; 3],
    has_record: bool,
) -> String {
    let [worker, serve, application] = roles.map(quote);
    let schemas = needs::SCHEMAS.join(", ");
    let mut lines = vec![
        format!("grant usage on schema {schemas} to {worker}, {serve};"),
        format!(
            "grant usage on schema {} to {application};",
            needs::SCHEMAS[0]
        ),
    ];
    for schema in &rights.schemas {
        lines.push(format!(
            "grant usage on schema {schema} to {worker}, {serve};"
        ));
    }
    let functions = match map.is_built_in() {
        true => needs::function_names(),
        false => needs::own_function_names(),
    };
    for (role, name, of_map) in [
        (ProcessRole::Worker, &worker, &rights.worker),
        (ProcessRole::Serve, &serve, &rights.serve),
    ] {
        if has_record {
            lines.push(format!("grant select on {} to {name};", needs::RECORD));
        }
        for need in needs::TABLES {
            let rights: Vec<&str> = need.rights(&[role]).collect();
            if !rights.is_empty() {
                lines.push(format!(
                    "grant {} on {} to {name};",
                    rights.join(", "),
                    need.table
                ));
            }
        }
        let of_role = needs::functions_of(&[role]).into_iter();
        for function in of_role.filter(|function| functions.contains(function)) {
            lines.push(format!("grant execute on function {function} to {name};"));
        }
        lines.extend(of_map.iter().map(|right| right.grant_to(name)));
    }
    // The application asks for deletions; its rights on its own tables are its own matter.
    for function in functions {
        if function.starts_with("lethe.delete") {
            lines.push(format!(
                "grant execute on function {function} to {application};"
            ));
        }
    }
    HEAD.to_owned() + &lines.join("\n") + "\n"
}

/// A role's name as SQL.
fn quote(role: &str) -> String {
    format!("\"{}\"", role.replace('"', "\"\""))
}

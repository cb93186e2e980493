//! The plan as a statement that makes no function: a role needs no right but to read the tables, and the transaction
//! may be read-only.

use super::functions;
use super::objects::KeyReader;
use super::quote::dollar_quoted;
use crate::map::bind::BoundMap;

/// The setting of the transaction that names the user.
pub const PLAN_OF: &str = "lethe.plan_of";
/// The setting of the transaction that the plan is in afterwards, as JSON.
pub const PLANNED: &str = "lethe.planned";

/// Makes the plan of the user that [`PLAN_OF`] names, and puts it into [`PLANNED`]. Its caller has pinned the search
/// path and ends the transaction, which gives up the settings of the planner too: rows are found one by one through
/// indexes, because statistics that are out of date could make hash joins read whole tables.
#[must_use]
pub fn plan_statement(map: &BoundMap<'_>) -> String {
    let answer = format!("perform set_config('{PLANNED}', lethe.answer::text, true);");
    let block = functions::plan_block(map, KeyReader::Subquery, &answer);
    let body = format!(
        "<<plan>>\ndeclare\n    user_id text := current_setting('{PLAN_OF}');\nbegin\n    \
         set local enable_seqscan = off;\n    set local enable_hashjoin = off;\n    set local enable_mergejoin = off;\n\
         {block};\nend\n"
    );
    format!("do {}", dollar_quoted(&body))
}

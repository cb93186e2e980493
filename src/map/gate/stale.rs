//! What the map names and the database no longer has.

use super::finding::{Code, Finding};
use super::scope::Scope;
use crate::map::bind::BindProblem;
use crate::map::format::TableName;

const BUILT_IN_TABLES: &str = "`lethe migrate` creates the tables of the built-in map in a database that has none of them. For \
                               tables of your own, `lethe map init` drafts a map.";
const BUILT_IN_COLUMN: &str = "Give the table the column, as the README describes it. For tables of your own, `lethe map init` \
                               drafts a map.";

pub(super) fn find(scope: &Scope<'_>) -> Vec<Finding> {
    let stale = scope.map.problems.iter();
    let stale = stale.filter(|problem| matches!(problem, BindProblem::NoTarget { .. }));
    let problems = scope.map.faults().chain(stale);
    let problems = problems.map(|problem| of_problem(scope, problem));
    let ignores = scope.stale.iter().map(|reason| {
        let what = "Is ignored, and is not there.";
        let remedy = "Remove the entry from [ignore].";
        Finding::incomplete(Code::StaleIgnore, &*reason.key, what, remedy).at(reason.line)
    });
    let references = scope.map.references.iter();
    let unused = references
        .filter(|reference| !scope.applies(reference))
        .map(|reference| {
            let place = scope.place_of(scope.map.tables[reference.child].table, &reference.columns);
            let what = "Points at rows that are never erased, so this rule never applies.";
            let remedy =
                "Remove the rule, or give the table that it points at a rule with \"delete\".";
            Finding::note(Code::StaleRule, place, what, remedy).at(reference.rule.line)
        });
    let mut findings: Vec<Finding> = problems.chain(ignores).chain(unused).collect();
    findings.dedup();
    findings
}

fn of_problem(scope: &Scope<'_>, problem: &BindProblem) -> Finding {
    let full = |name: &TableName| match name.schema == scope.map.map.schema {
        true => name.name.clone(),
        false => format!("{}.{}", name.schema, name.name),
    };
    match problem {
        BindProblem::MissingTable { line, name } => {
            let what = format!(
                "There is no table of this name in schema {:?}.",
                name.schema
            );
            let remedy = match scope.map.map.is_built_in() {
                true => BUILT_IN_TABLES,
                false => "Mend the name (case counts), or remove the section.",
            };
            Finding::danger(Code::MissingTable, full(name), what, remedy).at(*line)
        }
        BindProblem::MissingColumn { line, name, column } => {
            let place = format!("{}.{column}", full(name));
            let remedy = match scope.map.map.is_built_in() {
                true => BUILT_IN_COLUMN,
                false => "Mend the name (case counts), or remove it.",
            };
            Finding::danger(
                Code::MissingColumn,
                place,
                "There is no such column.",
                remedy,
            )
            .at(*line)
        }
        BindProblem::NoUserId { line, name } => {
            let what = "Has no primary key of one column, and the map names no `id`.";
            let remedy = "Name in `id` the column that others point at.";
            Finding::danger(Code::NoUserId, full(name), what, remedy).at(*line)
        }
        BindProblem::NoTarget {
            line,
            name,
            columns,
        } => {
            let place = format!("{}.{columns}", full(name));
            let what = "Has a rule without `to`, and no foreign key to a table of the map.";
            let remedy =
                "Give `to`, give the table that it points at a section, or remove the rule.";
            Finding::incomplete(Code::StaleRule, place, what, remedy).at(*line)
        }
    }
}

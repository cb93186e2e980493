//! Whether rules name the right one of the user's two ids. Some values of each column are looked up in both; only
//! counts are read.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, query_file_scalar};

use super::finding::{Code, Finding};
use super::scope::Scope;
use crate::cause::chain;
use crate::db::sqlstate::{Meaning, meaning};
use crate::map::bind::{BoundUser, Parent, Reference, equal};
use crate::map::catalog::{Column, Table};

/// How many values of a column are looked up.
const SAMPLE: u32 = 100;

/// Looks up samples of every reference to a user that has no foreign key, and tries the pattern of Clerk ids.
///
/// # Errors
/// Of the database, except a refusal, which is a finding.
pub async fn look(
    tx: &mut PgConnection,
    scope: &Scope<'_>,
    with_values: bool,
) -> Result<Vec<Finding>, sqlx::Error> {
    let mut findings = Vec::new();
    let user = &scope.map.map.user;
    let mut savepoint = tx.begin().await?;
    let pattern = query_file_scalar!("sql/map/pattern.sql", user.ids)
        .fetch_one(&mut *savepoint)
        .await;
    savepoint.rollback().await?;
    if let Err(error) = pattern {
        let remedy = "Mend `ids`; it is a regular expression of PostgreSQL.";
        let invalid = Finding::danger(Code::InvalidIds, "user.ids", chain(&error), remedy);
        return Ok(vec![invalid.at(user.line)]);
    }
    let (Some(root), BoundUser::Rows { id, clerk_id }) = (scope.map.tables.first(), scope.map.user)
    else {
        return Ok(findings);
    };
    if !with_values {
        return Ok(findings);
    }
    findings.extend(clerk_ids(tx, scope, root.table, clerk_id).await?);
    if id.number == clerk_id.number {
        return Ok(findings);
    }
    let without_key = scope.map.references.iter().filter(|reference| {
        reference.foreign_key.is_none()
            && matches!(reference.parent, Parent::UserId | Parent::ClerkId)
    });
    for reference in without_key {
        findings.extend(domain(tx, scope, reference, root.table, [id, clerk_id]).await?);
    }
    Ok(findings)
}

/// Whether the column of Clerk ids holds any.
async fn clerk_ids(
    tx: &mut PgConnection,
    scope: &Scope<'_>,
    root: &Table,
    clerk_id: &Column,
) -> Result<Option<Finding>, sqlx::Error> {
    let user = &scope.map.map.user;
    let sql = format!(
        "select count(*), count(*) filter (where v ~ ($1::text[])[1]) from (select {}::text as v from {} \
         where {0} is not null limit {SAMPLE}) s",
        clerk_id.sql, root.sql
    );
    let place = scope.place(root, clerk_id);
    let counts = match counts::<(i64, i64)>(tx, sql, std::slice::from_ref(&user.ids)).await? {
        Ok(counts) => counts,
        Err(problem) => return Ok(Some(not_looked(place, &problem))),
    };
    let (all, matching) = counts;
    if all == 0 || matching > 0 {
        return Ok(None);
    }
    let what = format!(
        "None of {all} values matches `ids` ({}): these are no Clerk ids.",
        user.ids
    );
    let remedy = "Name the column of Clerk's ids in `clerk_id`, or give `ids` the form of yours.";
    Ok(Some(
        Finding::danger(Code::WrongId, place, what, remedy).at(user.line),
    ))
}

async fn domain(
    tx: &mut PgConnection,
    scope: &Scope<'_>,
    reference: &Reference<'_>,
    root: &Table,
    [id, clerk_id]: [&Column; 2],
) -> Result<Option<Finding>, sqlx::Error> {
    let table = scope.map.tables[reference.child].table;
    let [column] = reference.columns[..] else {
        return Ok(None);
    };
    let is_in = |of_user: &Column| {
        let sides = equal((&format!("u.{}", of_user.sql), of_user), ("s.v", column));
        format!("exists (select from {} u where {sides})", root.sql)
    };
    // Of a polymorphic reference only the rows that the rule is for.
    let discriminator = reference.discriminator.iter().enumerate();
    let conditions: String = discriminator
        .map(|(at, (column, _))| format!(" and {}::text = ($1::text[])[{}]", column.sql, at + 1))
        .collect();
    let values = reference.discriminator.iter();
    let values: Vec<String> = values.map(|(_, value)| value.to_string()).collect();
    let sql = format!(
        "select count(*), count(*) filter (where {}), count(*) filter (where {}) \
         from (select {} as v, $1::text[] from {} where {2} is not null{conditions} limit {SAMPLE}) s",
        is_in(id),
        is_in(clerk_id),
        column.sql,
        table.sql
    );
    let place = scope.place(table, column);
    let (all, ids, clerk_ids) = match counts::<(i64, i64, i64)>(tx, sql, &values).await? {
        Ok(counts) => counts,
        Err(problem) => return Ok(Some(not_looked(place, &problem))),
    };
    let (declared, found, other, better) = match reference.parent {
        Parent::UserId => ("user.id", ids, clerk_ids, "user.clerk_id"),
        _ => ("user.clerk_id", clerk_ids, ids, "user.id"),
    };
    let what = format!("Of {all} values none is a {declared}, and {other} are a {better}.");
    let remedy = format!("Give the rule to = \"{better}\".");
    let finding = Finding::danger(Code::WrongId, place, what, remedy).at(reference.rule.line);
    Ok((found == 0 && other > 0).then_some(finding))
}

fn not_looked(place: String, problem: &str) -> Finding {
    let what = format!("Its values could not be looked up: {problem}.");
    let remedy = "Give the role the right to read the table, or check with --no-values.";
    Finding::note(Code::NotLooked, place, what, remedy)
}

/// Runs a query that is made of names from the catalog. What the database refuses is text; what else fails is an
/// error.
async fn counts<T>(
    tx: &mut PgConnection,
    sql: String,
    parameter: &[String],
) -> Result<Result<T, String>, sqlx::Error>
where
    T: Send + Unpin + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
{
    let mut savepoint = tx.begin().await?;
    let counts = sqlx::query_as::<_, T>(AssertSqlSafe(sql))
        .bind(parameter)
        .fetch_one(&mut *savepoint)
        .await;
    savepoint.rollback().await?;
    match counts {
        Ok(counts) => Ok(Ok(counts)),
        Err(error) if matches!(meaning(&error), Meaning::Forbidden | Meaning::TooSlow) => {
            Ok(Err(chain(&error)))
        }
        Err(error) => Err(error),
    }
}

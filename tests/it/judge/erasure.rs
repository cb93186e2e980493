//! The real thing: the map is applied, the user is erased through `lethe.delete_user`, a worker does the work, and
//! every row, every object and the receipt are compared with the judge.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use lethe::evidence::receipt;
use lethe::map::apply::apply;
use lethe::map::format::ErasureMap;
use lethe::vocabulary::{ErasureStatus, UserId};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::case::{Action, Case, ColumnNo, Kind, Row, Table};
use super::from_environment;
use super::keys::{Named, named, strings};
use super::lane::{Court, Difference};
use super::mutants::Mutant;
use super::sql::{self, table_name};
use super::verdict::{ObjectFate, ObjectId, Verdict, any_value, judge};
use super::waiting::Waiting;
use crate::support::world::{RunningWorker, World};

/// The bucket of the environment.
const MAIN: &str = "lethe";
/// An erasure of a few rows that takes longer does not end, if `JUDGE_LIMIT_MS` says nothing else.
const LIMIT_MS: u64 = 30_000;
/// The same for a map with a rule less, where an erasure that takes long is no mistake of Lethe.
const MUTANT_LIMIT: Duration = Duration::from_secs(4);
const STRAY: &str = "nobody/names-this.png";

/// A database with Lethe and a running worker, in which one case after the other is erased.
pub struct Erasures {
    connection: PgConnection,
    world: World,
    _worker: RunningWorker,
    /// What is taken out of each map.
    mutant: Option<Mutant>,
    limit: Duration,
}

impl Erasures {
    pub async fn open() -> Self {
        let world = World::new().await;
        world.s3.stand_apart("acme-public");
        let mut connection = PgConnection::connect(&world.url).await.unwrap();
        let settings = "set client_min_messages = error; set timezone = 'UTC'";
        sqlx::raw_sql(settings)
            .execute(&mut connection)
            .await
            .unwrap();
        let worker = world.worker().await;
        Self {
            connection,
            world,
            _worker: worker,
            mutant: None,
            limit: Duration::from_millis(from_environment("JUDGE_LIMIT_MS").unwrap_or(LIMIT_MS)),
        }
    }

    /// With a rule less in each map.
    pub fn with(mut self, mutant: Mutant) -> Self {
        self.mutant = Some(mutant);
        self.limit = MUTANT_LIMIT;
        self
    }

    /// Erases the user of a case, and compares what is left.
    async fn erase_and_compare(&mut self, case: &Case) -> Result<Verdict, Difference> {
        let verdict = judge(case);
        let waiting = Waiting::of(case, &verdict);
        self.prepare(case).await?;
        self.erase(case, &waiting).await?;
        let mut details = self.compare(case, &verdict, &waiting).await;
        // A root that waits for its parts is woken after the last of them has ended, on a busy machine much later.
        let began = Instant::now();
        while waiting.must_wait() && !details.is_empty() && began.elapsed() < self.limit {
            tokio::time::sleep(Duration::from_millis(100)).await;
            details = self.compare(case, &verdict, &waiting).await;
        }
        if !details.is_empty() {
            return Err(Difference::new("the erasure differs", details));
        }
        let details = self.compare_receipt(case, &verdict, &waiting).await;
        match details.is_empty() {
            true => Ok(verdict),
            false => Err(Difference::new("the receipt differs", details)),
        }
    }

    /// How rows and objects differ from what the judge says.
    async fn compare(&mut self, case: &Case, verdict: &Verdict, waiting: &Waiting) -> Vec<String> {
        let mut details = self.compare_rows(case, verdict, waiting).await;
        details.extend(self.compare_objects(case, verdict, waiting));
        details
    }

    async fn run(&mut self, script: String) -> Result<(), String> {
        let done = sqlx::raw_sql(AssertSqlSafe(script))
            .execute(&mut self.connection)
            .await;
        done.map(drop).map_err(|error| error.to_string())
    }

    /// Tables, rows, objects and the map; nothing of the case before.
    async fn prepare(&mut self, case: &Case) -> Result<(), Difference> {
        let forget = "set session_replication_role = replica;
                      truncate lethe.cleanup_tasks, lethe.user_tombstones, lethe.receipts, lethe.cleanup_audit, lethe.finished_tasks cascade;
                      set session_replication_role = origin;";
        let script = format!("{forget}\n{}", sql::script(case, &case.rows));
        let failed = |error| Difference::new("the rows cannot be loaded", [error]);
        self.run(script).await.map_err(failed)?;
        let text = super::toml::map(case);
        let map = ErasureMap::parse(&text)
            .map_err(|error| Difference::new("the file is refused", [error.to_string()]))?;
        apply(&mut self.connection, &map, &text, false)
            .await
            .map_err(|error| Difference::new("the map is not applied", [format!("{error:?}")]))?;
        if let Some(mutant) = &self.mutant {
            mutant.install(&mut self.connection).await;
        }
        self.world.s3.empty();
        for (bucket, key) in all_objects(case) {
            self.world.s3.put_in(store_name(&bucket), &key);
        }
        self.world.s3.put(STRAY);
        Ok(())
    }

    async fn erase(&mut self, case: &Case, waiting: &Waiting) -> Result<(), Difference> {
        let asked: Result<i64, _> = sqlx::query_scalar("select lethe.delete_user($1, 'judge')")
            .bind(&case.erased)
            .fetch_one(&mut self.connection)
            .await;
        asked.map_err(|error| Difference::new("delete_user fails", [error.to_string()]))?;
        // A part that names a key outside of its prefix waits for a person, and the root waits for the part.
        let is_over = match waiting.must_wait() {
            false => "not exists (select from lethe.cleanup_tasks)",
            true => {
                "exists (select from lethe.cleanup_tasks where status = 'dead')
                 and not exists (select from lethe.cleanup_tasks t where t.status <> 'dead'
                                 and (t.kind <> 'user-delete' or t.phase <> 'parts' or t.scheduled_at <= now() + interval '1 s'))"
            }
        };
        let began = Instant::now();
        let is_over = format!("select {is_over}");
        loop {
            let is_over: bool = sqlx::query_scalar(AssertSqlSafe(is_over.clone()))
                .fetch_one(&mut self.connection)
                .await
                .unwrap();
            if is_over {
                return Ok(());
            }
            let dead = "select exists (select from lethe.cleanup_tasks where status = 'dead')";
            let is_dead: bool = sqlx::query_scalar(dead)
                .fetch_one(&mut self.connection)
                .await
                .unwrap();
            let is_dead = is_dead && !waiting.must_wait();
            if is_dead || began.elapsed() > self.limit {
                let tasks = "select row(id, kind, row_type, row_ids, status, phase, attempts, error_class, last_error, object_keys)::text
                             from lethe.cleanup_tasks order by id";
                let tasks: Vec<String> = sqlx::query_scalar(tasks)
                    .fetch_all(&mut self.connection)
                    .await
                    .unwrap();
                let what = if is_dead {
                    "a task is dead"
                } else {
                    "the erasure does not end"
                };
                return Err(Difference::new(what, tasks));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn compare_rows(
        &mut self,
        case: &Case,
        verdict: &Verdict,
        waiting: &Waiting,
    ) -> Vec<String> {
        let mut details = Vec::new();
        for (number, table) in case.tables.iter().enumerate() {
            let select = format!("select to_jsonb(t) from {} t", table_name(table));
            let seen: Vec<Value> = sqlx::query_scalar(AssertSqlSafe(select))
                .fetch_all(&mut self.connection)
                .await
                .unwrap();
            let mut seen: Vec<Row> = seen
                .into_iter()
                .map(|row| {
                    let columns = table.columns.iter();
                    columns.map(|column| row[&column.name].clone()).collect()
                })
                .collect();
            for (row_no, expected) in verdict.after[number].iter().enumerate() {
                let before = &case.rows[number][row_no];
                let at = match (expected, waiting.state((number, row_no))) {
                    (expected, Some(_)) => {
                        let after = expected.as_ref().unwrap_or(before);
                        seen.iter().position(|one| {
                            is_between(table, one, before, after, expected.is_none())
                        })
                    }
                    (Some(row), None) => seen.iter().position(|one| fits(one, row)),
                    (None, None) => continue,
                };
                match (at, expected, waiting.state((number, row_no))) {
                    (Some(at), ..) => drop(seen.remove(at)),
                    (None, None, Some(false)) => {}
                    (None, ..) => details.push(format!(
                        "- {}: {expected:?}, before: {before:?}",
                        table.name
                    )),
                }
            }
            details.extend(seen.iter().map(|row| format!("+ {}: {row:?}", table.name)));
        }
        details
    }

    fn compare_objects(&self, case: &Case, verdict: &Verdict, waiting: &Waiting) -> Vec<String> {
        let mut details = Vec::new();
        for object in all_objects(case) {
            let (bucket, key) = &object;
            let is_there = self.world.s3.keys_in(store_name(bucket)).contains(key);
            let must_go = verdict.objects.get(&object) == Some(&ObjectFate::Deleted);
            if is_there == must_go && !waiting.may_keep(&object) {
                let what = if must_go {
                    "was not deleted"
                } else {
                    "was deleted"
                };
                details.push(format!("{bucket}/{key} {what}"));
            }
        }
        if !self.world.s3.contains(STRAY) {
            details.push(format!("{STRAY} was deleted"));
        }
        details
    }

    async fn compare_receipt(
        &mut self,
        case: &Case,
        verdict: &Verdict,
        waiting: &Waiting,
    ) -> Vec<String> {
        let user = UserId::parse(&case.erased).unwrap();
        let Some(receipt) = receipt(&mut self.connection, &user).await.unwrap() else {
            return vec!["there is none".to_owned()];
        };
        let status = match waiting.must_wait() {
            true => ErasureStatus::Incomplete,
            false => ErasureStatus::Complete,
        };
        let mut details = Vec::new();
        if receipt.status != status {
            details.push(format!(
                "status: {:?} in place of {status:?}",
                receipt.status
            ));
        }
        if waiting.must_wait() {
            return details;
        }
        let mut rows: BTreeMap<String, i64> = BTreeMap::new();
        for ((name, action), places) in &verdict.leftovers {
            if *action == Action::Delete {
                *rows.entry(name.clone()).or_default() += i64::try_from(places.len()).unwrap();
            }
        }
        let seen = receipt.rows_deleted.iter().filter(|(_, count)| **count > 0);
        let seen: BTreeMap<String, i64> =
            seen.map(|(name, count)| (name.clone(), *count)).collect();
        if seen != rows {
            details.push(format!("rows: {seen:?} in place of {rows:?}"));
        }
        let count = |fate| verdict.objects.values().filter(|one| **one == fate).count();
        let expected = (count(ObjectFate::Deleted), count(ObjectFate::Shared));
        let seen = (receipt.objects_deleted, receipt.objects_kept);
        if (i64::try_from(expected.0), i64::try_from(expected.1)) != (Ok(seen.0), Ok(seen.1)) {
            details.push(format!(
                "objects deleted and kept: {seen:?} in place of {expected:?}"
            ));
        }
        details
    }
}

/// The name of a bucket in the store.
fn store_name(bucket: &str) -> &str {
    match bucket {
        "" => MAIN,
        name => name,
    }
}

/// Every object that a row names, whoever's it is.
fn all_objects(case: &Case) -> BTreeSet<ObjectId> {
    let mut objects = BTreeSet::new();
    for (table, rows) in case.tables.iter().zip(&case.rows) {
        for (row, object) in rows
            .iter()
            .flat_map(|row| table.objects.iter().map(move |of| (row, of)))
        {
            for text in strings(&row[object.column], object.path) {
                if let Some(Named::Key(key)) = named(&text, &case.buckets[object.bucket]) {
                    objects.insert((case.bucket_name(object.bucket).to_owned(), key));
                }
            }
        }
    }
    objects
}

/// Whether a row is the one that was expected; some of its values may be any.
fn fits(seen: &Row, expected: &Row) -> bool {
    let mut pairs = seen.iter().zip(expected);
    pairs.all(|(seen, expected)| seen == expected || *expected == any_value() && !seen.is_null())
}

/// Whether each value of a row is that of before or that of after, its soft delete aside, and what lets go of other rows:
/// a row that is to go may have let go already.
fn is_between(table: &Table, seen: &Row, before: &Row, after: &Row, is_to_go: bool) -> bool {
    let soft_delete = [table.deleted_at, table.deleted_by, table.flag];
    let rules = table.references.iter().filter_map(|reference| {
        let rule = reference.rule.as_ref()?;
        (rule.action != Action::Delete).then_some((reference, rule))
    });
    let mut let_go: BTreeSet<ColumnNo> = BTreeSet::new();
    for (reference, rule) in rules.filter(|_| is_to_go) {
        let_go.extend(rule.changes.clear.iter().chain(rule.changes.set.keys()));
        if rule.action == Action::Detach {
            let_go.extend(&reference.columns);
        } else {
            let given_up = table.objects.iter().filter(|object| object.erased_of_kept);
            let_go.extend(given_up.map(|object| object.column));
        }
    }
    let mut columns = 0..table.columns.len();
    columns.all(|column| {
        let is_one = seen[column] == before[column] || seen[column] == after[column];
        is_one
            || soft_delete.contains(&Some(column))
            || let_go.contains(&column)
            || matches!(table.columns[column].kind, Kind::Generated(_))
    })
}

impl Court for Erasures {
    async fn open() -> Self {
        Self::open().await
    }

    async fn compare(&mut self, case: &Case) -> Result<Verdict, Difference> {
        self.erase_and_compare(case).await
    }
}

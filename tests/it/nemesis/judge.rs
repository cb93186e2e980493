//! The end: quiet, and whether every promise was kept.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::application::{Fate, is_bystander, name};
use super::{Nemesis, journal};
use crate::support::world::World;

/// After the faults everything is to come to its end within this.
const QUIET: Duration = Duration::from_secs(90);
/// Of the workers' log a failure shows so many lines, and so much of each.
const LINES_SHOWN: usize = 300;
const CHARS_SHOWN: usize = 400;

impl Nemesis {
    /// Everything is well again, and comes to its end.
    /// Returns how long that took.
    pub async fn quieten(&mut self) -> Duration {
        self.world.s3.behave();
        let began = Instant::now();
        loop {
            let retried = self.retry_dead().await;
            let open = self
                .world
                .count("lethe.tasks where status <> 'completed' and status <> 'cancelled'")
                .await;
            // Reconciliation has yet to find these: the application marked them by itself.
            let forgotten = self
                .world
                .count("samples where deleted_at is not null")
                .await;
            if open == 0 && forgotten == 0 && retried == Some(202) {
                return began.elapsed();
            }
            if began.elapsed() > QUIET {
                let tasks: Vec<String> = sqlx::query_scalar(
                    "select row(id, kind, entity_id, status, attempts, lane, error_class, last_error, lease_owner,
                     cardinality(object_keys), updated_at, now())::text from lethe.tasks where finished_at is null order by id limit 20",
                )
                .fetch_all(&self.world.pool)
                .await
                .unwrap();
                let passes: Vec<String> = sqlx::query_scalar(
                    "select row(source, claimed_by, claimed_until, finished_at, found, enqueued, stopped, failed)::text
                     from lethe.cleanup_reconciliations",
                )
                .fetch_all(&self.world.pool)
                .await
                .unwrap();
                let sessions: Vec<String> = sqlx::query_scalar(
                    "select row(application_name, state, wait_event, now() - xact_start, left(query, 200))::text
                     from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()",
                )
                .fetch_all(&self.world.pool)
                .await
                .unwrap();
                println!("sessions: {sessions:#?}");
                let log = self.log.text();
                let lines: Vec<&str> = log.lines().collect();
                for line in &lines[lines.len().saturating_sub(LINES_SHOWN)..] {
                    println!("{}", line.chars().take(CHARS_SHOWN).collect::<String>());
                }
                let samples: Vec<String> = sqlx::query_scalar(
                    "select samples::text from samples where deleted_at is not null limit 5",
                )
                .fetch_all(&self.world.pool)
                .await
                .unwrap();
                panic!(
                    "{open} tasks do not end (last retry: {retried:?}): {tasks:#?}; {forgotten} samples are \
                     forgotten: {samples:#?} {passes:#?}"
                );
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The promises, one by one. Returns how many image rows went.
    pub async fn judge(&self) -> usize {
        let rows: Vec<(Uuid, String, bool)> = sqlx::query_as(
            "select s.id, i.object_key, s.deleted_at is null
             from samples s join sample_images i on i.sample_id = s.id",
        )
        .fetch_all(&self.world.pool)
        .await
        .unwrap();
        let users: HashSet<String> = column(&self.world, "select id from users").await;
        let samples: HashSet<Uuid> = sqlx::query_scalar("select id from samples")
            .fetch_all(&self.world.pool)
            .await
            .unwrap()
            .into_iter()
            .collect();
        let objects: HashSet<String> = self.world.s3.keys().into_iter().collect();
        let named: HashSet<&str> = rows.iter().map(|(_, key, _)| key.as_str()).collect();
        let audited: HashSet<String> = column(
            &self.world,
            "select distinct unnest(object_keys) from lethe.audit",
        )
        .await;

        for (sample, key, live) in &rows {
            assert!(
                live,
                "sample {sample} is soft-deleted, and nobody has it to do"
            );
            assert!(
                objects.contains(key),
                "a live row names {key}, and the object is gone"
            );
        }
        for key in &objects {
            assert!(
                named.contains(key.as_str()) || self.ambiguous.contains(key),
                "{key} is in the store, and no row names it"
            );
        }
        for (user, fate) in self.users.iter().enumerate() {
            match fate {
                Fate::Live => assert!(users.contains(&name(user)), "{user} lived"),
                Fate::Gone => assert!(!users.contains(&name(user)), "{user} was to go"),
                Fate::Unknown => {}
            }
        }
        for sample in &self.samples {
            let id = sample.id;
            let there = samples.contains(&id);
            match (self.users[sample.user], sample.fate) {
                (Fate::Gone, _) | (_, Fate::Gone) => assert!(!there, "sample {id} was to go"),
                (Fate::Live, Fate::Live) => assert!(there, "sample {id} lived"),
                _ => {}
            }
            for key in &sample.keys {
                let gone_and_not_told = !objects.contains(key) && !audited.contains(key);
                assert!(
                    !gone_and_not_told,
                    "{key} is gone, and the audit does not say so"
                );
            }
        }
        let untouchable: HashSet<&String> = (self.samples.iter())
            .filter(|sample| is_bystander(sample.user))
            .flat_map(|sample| &sample.keys)
            .collect();
        for key in self.world.s3.asked().iter().flatten() {
            assert!(
                !untouchable.contains(key),
                "the store was asked to delete {key}, which lives"
            );
        }
        journal::judge_claims(&self.world).await;
        let rows_gone = journal::judge_rows(&self.world, &self.world.s3.gone()).await;
        for (what, sql) in [
            (
                "completed twice",
                "(select task_id from lethe.audit where event = 'task-completed' group by task_id having count(*) > 1) x",
            ),
            (
                "erased twice",
                "(select entity_id from lethe.tasks where kind = 'user-delete' group by entity_id having count(*) > 1) x",
            ),
            (
                "an erasure that the audit does not end",
                "lethe.tasks t where kind = 'user-delete' and not exists (select from lethe.audit a where a.task_id = t.id and a.event = 'user-erased')",
            ),
            (
                "a deletion that nobody asked for",
                "lethe.tasks t where parent_id is null and not exists (select from lethe.audit a where a.task_id = t.id and a.event like '%-requested')",
            ),
        ] {
            assert_eq!(self.world.count(sql).await, 0, "{what}: {sql}");
        }
        for (user, _) in (self.users.iter().enumerate()).filter(|(_, fate)| **fate == Fate::Gone) {
            let path = format!("/admin/users/{}/erasure", name(user));
            let receipt = self.replicas[0].get(&path).await;
            assert_eq!(receipt["status"], "complete", "{receipt}");
        }
        rows_gone
    }

    pub async fn tell(&self, seed: u64, began: Instant, quiet: Duration, rows: usize) {
        let erased = self
            .world
            .count("lethe.audit where event = 'user-erased'")
            .await;
        let samples: i64 = self
            .world
            .one("select coalesce(sum(jsonb_array_length(more_rows -> 'sample')), 0)::bigint from lethe.audit")
            .await;
        let claims = self
            .world
            .count("journal_claims where became = 'running'")
            .await;
        let objects: i64 = self
            .world
            .one("select coalesce(sum(cardinality(object_keys)), 0)::bigint from lethe.audit")
            .await;
        println!(
            "nemesis, seed {seed}: {:.0} s, quiet after {:.1} s; {:?}; {} users and {} samples; \
             {erased} users erased, {samples} samples and {rows} images removed, {objects} objects deleted, \
             {claims} claims",
            began.elapsed().as_secs_f64(),
            quiet.as_secs_f64(),
            self.counts,
            self.users.len(),
            self.samples.len(),
        );
    }
}

async fn column(world: &World, sql: &'static str) -> HashSet<String> {
    let rows: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&world.pool)
        .await
        .unwrap();
    rows.into_iter().collect()
}

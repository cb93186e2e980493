//! What was deleted without a task is found, once, and never too much of it.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use lethe::reconcile::clerk::{self, ClerkPass, ClerkProgress, ClerkReport};
use lethe::reconcile::clerk_api::{ClerkApi, Patience};
use lethe::reconcile::database::{self, DatabasePass, DatabaseReport};
use lethe::reconcile::lease::{LeaseAnswer, PassResult};
use lethe::reconcile::safety_limit::SafetyLimit;
use lethe::reconcile::{LeaderLease, PassContext, ReconcileError};
use lethe::vocabulary::{EntityType, ReconcileSource};
use tokio_util::sync::CancellationToken;

use crate::support::clerk::{Asked, Bend, ClerkDouble, SECRET_KEY};
use crate::support::world::World;

const LIMIT: SafetyLimit = SafetyLimit { max_user_share: 5 };
const PASS: DatabasePass = DatabasePass {
    limit: LIMIT,
    grace_period: Duration::ZERO,
};

impl World {
    /// So many users, `<prefix><n>`, an hour old.
    async fn old_users(&self, prefix: &str, count: u32) {
        self.execute(&format!(
            "insert into users (id, created_at)
             select '{prefix}' || n, now() - interval '1 hour' from generate_series(1, {count}) n"
        ))
        .await;
    }

    /// The application marks by itself.
    async fn mark(&self, table: &str, filter: &str) {
        self.execute(&format!(
            "update {table} set deleted_at = now() - interval '1 minute', deleted_by = 'app' where {filter}"
        ))
        .await;
    }

    async fn reconcile(&self) -> Result<DatabaseReport, ReconcileError> {
        let stop = CancellationToken::new();
        database::run(self.context(&stop), PASS).await
    }

    fn context<'a>(&'a self, stop: &'a CancellationToken) -> PassContext<'a> {
        PassContext {
            pool: &self.pool,
            lease: None,
            stop,
        }
    }

    async fn compare(
        &self,
        clerk: &ClerkDouble,
        apply: bool,
    ) -> Result<ClerkReport, ReconcileError> {
        let patience = Patience {
            connect: Duration::from_secs(1),
            request: Duration::from_secs(1),
            tries: 2,
            pause: Duration::from_millis(10),
            throttles: 3,
            max_throttle: Duration::from_secs(5),
        };
        let stop = CancellationToken::new();
        let api = ClerkApi::new(clerk.backend(), patience, stop.clone())?;
        let pass = ClerkPass {
            limit: LIMIT,
            apply,
        };
        clerk::run(self.context(&stop), &api, pass, |_: ClerkProgress| {}).await
    }

    async fn requested(&self) -> i64 {
        self.count(
            "lethe.audit where event in ('user-deletion-requested', 'sample-deletion-requested')",
        )
        .await
    }
}

/// How many were found, and how many enqueued.
fn counts(report: &DatabaseReport, entity_type: EntityType) -> (u64, u64) {
    (
        report.found.of(entity_type.as_str()),
        report.enqueued.of(entity_type.as_str()),
    )
}

fn users(report: &DatabaseReport) -> (u64, u64) {
    counts(report, EntityType::User)
}

fn samples(report: &DatabaseReport) -> (u64, u64) {
    counts(report, EntityType::Sample)
}

fn images(report: &DatabaseReport) -> (u64, u64) {
    counts(report, EntityType::SampleImage)
}

fn text(output: &std::process::Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_application_marked_by_itself_are_erased_by_the_workers() {
    let world = World::new().await;
    for user in ["user_a", "user_b", "user_c"] {
        world.user(user).await;
    }
    world.sample("user_a", &["a/1"]).await;
    let marked = world.sample("user_b", &["b/1"]).await;
    world.sample("user_b", &["b/2"]).await;
    world.sample("user_c", &["c/1"]).await;
    world.mark("users", "id = 'user_a'").await;
    world.mark("samples", &format!("id = '{marked}'")).await;
    let quick = [("RECONCILE_INTERVAL_MS", "200")];
    let _workers = [
        world.process(&["worker"], &quick),
        world.process(&["worker"], &quick),
    ];
    world
        .until("(select count(*) = 2 from users) and (select count(*) = 2 from samples)")
        .await;
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    assert_eq!(world.s3.keys(), ["b/2", "c/1"]);
    let actors = "lethe.audit where event in ('user-deletion-requested', 'sample-deletion-requested') and actor = 'reconcile'";
    world.expect_rows(actors, 2).await;
    world
        .until("(select enqueued = 0 and failed is null and stopped is null from lethe.cleanup_reconciliations where source = 'database')")
        .await;
    assert_eq!(world.requested().await, 2, "nothing is asked for twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_the_application_marked_alone_are_erased_and_their_sample_stays() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1", "a/2", "shared"]).await;
    let other = world.sample("user_a", &["shared"]).await;
    world
        .mark(
            "sample_images",
            &format!("sample_id = '{sample}' and object_key <> 'a/1'"),
        )
        .await;
    let graced = world.image(other, "graced").await;
    world
        .execute(&format!(
            "select lethe.delete_image('{graced}', 'test', '1 hour')"
        ))
        .await;
    let report = world.reconcile().await.unwrap();
    assert_eq!(images(&report), (2, 2));
    let again = world.reconcile().await.unwrap();
    assert_eq!(images(&again), (0, 0));
    let worker = world.worker().await;
    world
        .until("not exists (select from lethe.tasks where status <> 'completed' and scheduled_at < now())")
        .await;
    assert_eq!(world.s3.keys(), ["a/1", "graced", "shared"]);
    world.expect_rows("samples", 2).await;
    assert_eq!(
        world
            .one::<String>(
                "select string_agg(object_key, ' ' order by object_key) from sample_images"
            )
            .await,
        "a/1 graced shared"
    );
    let kept = "lethe.audit where kind = 'image-delete' and event = 'task-completed'";
    world
        .expect_rows(&format!("{kept} and kept_keys = '{{shared}}'"), 1)
        .await;
    world
        .expect_rows(&format!("{kept} and object_keys = '{{a/2}}'"), 1)
        .await;

    // The erasure of the user does not wait for the image's grace.
    let root = world.delete_user("user_a").await;
    world.until_status(root, "completed").await;
    worker.stop().await;
    assert!(world.s3.keys().is_empty());
    world
        .expect_rows("lethe.tasks where finished_at is null", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_deleted_at_infinity_is_not_deleted_yet_and_one_at_minus_infinity_is() {
    let world = World::new().await;
    for user in ["user_past", "user_future", "user_live"] {
        world.user(user).await;
    }
    let past = world.sample("user_live", &["past/1"]).await;
    let future = world.sample("user_live", &["future/1"]).await;
    let kept = world.sample("user_live", &["kept/1"]).await;
    let past_image = world.image(kept, "past/2").await;
    let future_image = world.image(kept, "future/2").await;
    for (table, id, time) in [
        ("users", "user_past", "-infinity"),
        ("users", "user_future", "infinity"),
        ("samples", &past.to_string(), "-infinity"),
        ("samples", &future.to_string(), "infinity"),
        ("sample_images", &past_image.to_string(), "-infinity"),
        ("sample_images", &future_image.to_string(), "infinity"),
    ] {
        world
            .execute(&format!(
                "update {table} set deleted_at = '{time}', deleted_by = 'app' where id = '{id}'"
            ))
            .await;
    }
    let environment = [
        ("RECONCILE_INTERVAL_MS", "200"),
        ("CLEANUP_GRACE_PERIOD_MS", "3600000"),
    ];
    let mut worker = world.process(&["worker"], &environment);
    world
        .until("(select count(*) = 3 from lethe.tasks where status = 'completed')")
        .await;
    worker.kill().await.unwrap();
    assert_eq!(world.s3.keys(), ["future/1", "future/2", "kept/1"]);
    world.expect_rows("users where id = 'user_past'", 0).await;
    world.expect_rows("lethe.tasks", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_marked_no_more_is_kept() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    world.mark("sample_images", "true").await;
    assert_eq!(images(&world.reconcile().await.unwrap()).1, 1);
    world
        .execute("update sample_images set deleted_at = null, deleted_by = null")
        .await;
    let worker = world.worker().await;
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    worker.stop().await;
    assert_eq!(world.s3.keys(), ["a/1"]);
    world
        .expect_rows(&format!("sample_images where sample_id = '{sample}'"), 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_a_sample_that_is_being_deleted_has_the_samples_task() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let image: uuid::Uuid = world.one("select id from sample_images").await;
    let ask = format!("select lethe.delete_image('{image}', 'test')");
    let own: i64 = world.one(&ask).await;
    assert_eq!(world.one::<i64>(&ask).await, own);
    let of_sample = world.delete_sample(sample).await;
    let late = world.image(sample, "a/2").await;
    let asked = format!("select lethe.delete_image('{late}', 'test')");
    assert_eq!(world.one::<i64>(&asked).await, of_sample);
    let nobody = "select lethe.delete_image('00000000-0000-0000-0000-000000000000', 'test')";
    assert_eq!(world.one::<Option<i64>>(nobody).await, None);
    let worker = world.worker().await;
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    worker.stop().await;
    assert!(world.s3.keys().is_empty());
    world.expect_rows("sample_images", 0).await;
    world.expect_rows("samples", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_came_back_from_a_backup_is_erased_again() {
    let world = World::new().await;
    world.user("user_a").await;
    world.sample("user_a", &["a/1"]).await;
    world.delete_user("user_a").await;
    let worker = world.worker().await;
    world.until("not exists (select from users)").await;
    // A restore of the table alone goes past the trigger; the rows are live.
    world
        .execute("alter table users disable trigger users_not_tombstoned")
        .await;
    world.user("user_a").await;
    world
        .execute("alter table users enable trigger users_not_tombstoned")
        .await;
    world.sample("user_a", &["a/1"]).await;
    let output = world.run(&["reconcile"], &[]).await;
    assert!(
        text(&output).contains("1 users, 0 samples and 0 images"),
        "{}",
        text(&output)
    );
    let output = world.run(&["reconcile", "--apply"], &[]).await;
    assert!(output.status.success(), "{}", text(&output));
    world.until("not exists (select from users)").await;
    world.expect_rows("samples", 0).await;
    assert!(world.s3.keys().is_empty());
    world
        .expect_rows("lethe.audit where event = 'user-erased'", 2)
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_an_open_task_is_left_alone() {
    let world = World::new().await;
    for user in ["user_a", "user_b"] {
        world.user(user).await;
    }
    let dead = world.sample("user_a", &["a/1"]).await;
    let graced = world.sample("user_a", &["a/2"]).await;
    let restored = world.sample("user_a", &["a/3"]).await;
    let planned = world.sample("user_a", &["a/4"]).await;
    world.sample("user_b", &["b/1"]).await;
    let task = world.delete_sample(dead).await;
    world
        .execute(&format!(
            "update lethe.cleanup_tasks set status = 'dead' where id = {task}"
        ))
        .await;
    world
        .execute(&format!(
            "select lethe.delete_sample('{graced}', 'test', '1 hour')"
        ))
        .await;
    let task = world.delete_sample(restored).await;
    world
        .execute(&format!(
            "delete from lethe.cleanup_tasks where id = {task}"
        ))
        .await;
    world
        .execute(&format!(
            "update samples set deleted_at = null, deleted_by = null where id = '{restored}'"
        ))
        .await;
    world
        .execute(&format!(
            "update sample_images set deleted_at = null, deleted_by = null where sample_id = '{restored}'"
        ))
        .await;
    world
        .execute(&format!(
            "update samples set deleted_at = now() + interval '1 day' where id = '{planned}'"
        ))
        .await;
    world.delete_user("user_b").await;
    let before = world.count("lethe.tasks").await;
    assert_eq!(world.reconcile().await.unwrap(), DatabaseReport::default());
    world.expect_rows("lethe.tasks", before).await;
    // A sample that is marked again after it was restored has no open task.
    world.mark("samples", &format!("id = '{restored}'")).await;
    assert_eq!(samples(&world.reconcile().await.unwrap()).1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_behind_very_many_whose_tasks_are_dead_is_found() {
    let world = World::new().await;
    world.old_users("user_", 1).await;
    world
        .execute(
            "with dead as (
                 insert into samples (id, user_id, deleted_at, deleted_by)
                 select gen_random_uuid(), 'user_1', now() - interval '1 day', 'app' from generate_series(1, 105000)
                 returning id
             )
             insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, row_type, row_ids, status, error_class)
             select 'sample-delete', 'sample', id, 'user_1', 'sample', array[id::text], 'dead', 'blocked' from dead",
        )
        .await;
    world.sample("user_1", &["user_1/1"]).await;
    world
        .mark("samples", "deleted_at is null and user_id = 'user_1'")
        .await;
    assert_eq!(samples(&world.reconcile().await.unwrap()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grace_runs_from_the_soft_delete_on() {
    let world = World::new().await;
    world.user("user_a").await;
    world.sample("user_a", &["a/1"]).await;
    world
        .execute("update samples set deleted_at = now() - interval '1 hour'")
        .await;
    let stop = CancellationToken::new();
    let pass = DatabasePass {
        grace_period: Duration::from_secs(3 * 3600),
        ..PASS
    };
    database::run(world.context(&stop), pass).await.unwrap();
    let wait: f64 = world
        .one("select extract(epoch from scheduled_at - now())::float8 from lethe.tasks")
        .await;
    assert!((7100.0..7201.0).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing() {
    let world = World::new().await;
    world.user("user_a").await;
    world.user("user_b").await;
    let sample = world.sample("user_b", &["b/1", "b/2"]).await;
    let lone = world.sample("user_b", &["b/3"]).await;
    world.mark("users", "id = 'user_a'").await;
    world.mark("samples", &format!("id = '{sample}'")).await;
    world
        .mark("sample_images", &format!("sample_id = '{lone}'"))
        .await;
    let all = "select string_agg(row::text, '' order by row::text) from (
        select users::text as row from users union all select samples::text from samples
        union all select sample_images::text from sample_images
        union all select cleanup_reconciliations::text from lethe.cleanup_reconciliations
        union all select tasks::text from lethe.tasks
        union all select audit::text from lethe.audit) t";
    let before: String = world.one(all).await;
    let output = world.run(&["reconcile"], &[]).await;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for part in [
        "1 users, 1 samples and 1 images",
        "user user_a",
        &format!("sample {sample}"),
        "image ",
        "--apply",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let output = world.run(&["reconcile", "--json"], &[]).await;
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["usersFound"], 1, "{json}");
    assert_eq!(json["users"][0], "user_a", "{json}");
    assert_eq!(json["applied"], false, "{json}");
    assert_eq!(world.one::<String>(all).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_users_at_once_stop_it_for_everybody_to_see() {
    let world = World::new().await;
    world.old_users("user_", 300).await;
    world.mark("users", "id like 'user\\_1_'").await;
    world.sample("user_200", &["x/1"]).await;
    world
        .execute("insert into samples (user_id) select id from users where id like 'user\\_2_'")
        .await;
    world.mark("samples", "true").await;
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let address = format!("127.0.0.1:{port}");
    let _worker = world.process(
        &["worker"],
        &[("RECONCILE_INTERVAL_MS", "200"), ("METRICS_ADDR", &address)],
    );
    world
        .until(
            "(select stopped is not null from lethe.cleanup_reconciliations where source = 'database')",
        )
        .await;
    world.expect_rows("lethe.tasks", 0).await;
    world.expect_rows("lethe.user_tombstones", 0).await;
    // Ready, since all other work goes on, and telling it.
    let started = Instant::now();
    loop {
        let ready = reqwest::get(format!("http://{address}/health/ready"))
            .await
            .unwrap();
        let body = ready.text().await.unwrap();
        if body.contains("reconciliation (database) was stopped") {
            assert!(
                body.contains("would delete data of 21 of 300 users"),
                "{body}"
            );
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let metrics = reqwest::get(format!("http://{address}/metrics"))
        .await
        .unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(
        metrics.contains("lethe_reconcile_stopped{source=\"database\"} 1"),
        "{metrics}"
    );
    let check = world.run(&["check"], &[]).await;
    assert!(
        text(&check).contains("reconciliation") && !check.status.success(),
        "{}",
        text(&check)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn small_passes_on_samples_and_images_cannot_do_what_one_large_pass_may_not() {
    let world = World::new().await;
    world.old_users("user_", 400).await;
    world
        .execute(
            "with s as (insert into samples (user_id, name) select id, 's' from users returning id, user_id)
             insert into sample_images (sample_id, object_key) select id, user_id || '/' || n from s, generate_series(1, 2) n",
        )
        .await;
    // A faulty job goes through the users, five at a time, and marks samples of some and images of others.
    let mut stopped = None;
    for round in 0..10 {
        let users = format!(
            "('user_{}', 'user_{}', 'user_{}')",
            5 * round + 1,
            5 * round + 2,
            5 * round + 3
        );
        let owners = format!("('user_{}', 'user_{}')", 5 * round + 4, 5 * round + 5);
        world.mark("samples", &format!("user_id in {users}")).await;
        world
            .mark("sample_images", &format!("object_key like '%/1' and sample_id in (select id from samples where user_id in {owners})"))
            .await;
        let report = world.reconcile().await.unwrap();
        if report.stopped.is_some() {
            stopped = Some((round, report));
            break;
        }
    }
    let (round, report) = stopped.expect("no pass was stopped");
    assert_eq!(round, 4, "5 % of 400 users are 20: {report:?}");
    assert_eq!(report.enqueued.total(), 0, "{report:?}");
    world
        .expect_rows(
            "(select distinct user_id from lethe.cleanup_audit where actor = 'reconcile') taken",
            20,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_loses_one_thing_after_another_counts_once() {
    let world = World::new().await;
    world.old_users("user_", 40).await;
    for round in 0..4 {
        for n in 1..=8 {
            let sample = world.sample(&format!("user_{n}"), &[]).await;
            world.mark("samples", &format!("id = '{sample}'")).await;
        }
        let report = world.reconcile().await.unwrap();
        assert_eq!(report.stopped, None, "round {round}");
        assert_eq!(samples(&report), (8, 8), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_looked_can_raise_the_limit() {
    let world = World::new().await;
    world.old_users("user_", 300).await;
    world.mark("users", "id like 'user\\_1__'").await;
    let output = world.run(&["reconcile", "--apply"], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("STOPPED"), "{}", text(&output));
    world.expect_rows("lethe.tasks", 0).await;
    let raised = ["reconcile", "--apply", "--reconcile-max-user-share", "34"];
    let output = world.run(&raised, &[]).await;
    assert!(output.status.success(), "{}", text(&output));
    assert_eq!(world.requested().await, 100);
    world
        .expect_rows("lethe.cleanup_reconciliations where stopped is not null", 0)
        .await;
    // The workers go on, and their count begins anew.
    world.mark("users", "id = 'user_2'").await;
    assert_eq!(users(&world.reconcile().await.unwrap()).1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn small_databases_work_and_many_small_passes_are_not_more_than_one_large_one() {
    let world = World::new().await;
    world.old_users("user_", 12).await;
    world.mark("users", "length(id) = 6").await;
    assert_eq!(users(&world.reconcile().await.unwrap()).1, 9);
    world.mark("users", "id = 'user_10'").await;
    assert_eq!(users(&world.reconcile().await.unwrap()).1, 1);
    world.mark("users", "id = 'user_11'").await;
    let report = world.reconcile().await.unwrap();
    assert_eq!(users(&report).1, 0);
    assert!(
        report
            .stopped
            .unwrap()
            .contains("after 10 within the last 24 hours")
    );
    assert_eq!(world.requested().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pass_runs_at_a_time_and_a_pass_that_lost_its_lease_stores_nothing() {
    let world = World::new().await;
    let acquire = |worker: &'static str, interval| {
        LeaderLease::acquire(&world.pool, ReconcileSource::Database, worker, interval)
    };
    let (first, second) =
        tokio::join!(acquire("w1", Duration::ZERO), acquire("w2", Duration::ZERO));
    let leases: Vec<LeaderLease> = [first.unwrap(), second.unwrap()]
        .into_iter()
        .filter_map(LeaseAnswer::acquired)
        .collect();
    assert_eq!(leases.len(), 1);
    assert!(
        matches!(acquire("w3", Duration::ZERO).await, Ok(LeaseAnswer::NotDue(left)) if left > Duration::from_secs(20))
    );
    // It did not renew: another process gets the lease, and the result of the first is not stored.
    world
        .execute(
            "update lethe.cleanup_reconciliations set claimed_until = now() where source = 'database'",
        )
        .await;
    // A pass that was given up is due at once, whatever the interval.
    let later = acquire("w4", Duration::from_secs(3600))
        .await
        .unwrap()
        .acquired()
        .unwrap();
    for lease in leases {
        let result = PassResult {
            found: 7,
            ..PassResult::default()
        };
        lease.release(&world.pool, &result).await.unwrap();
    }
    world
        .expect_rows(
            "lethe.cleanup_reconciliations where claimed_by = 'w4' and found = 0",
            1,
        )
        .await;
    later
        .release(&world.pool, &PassResult::default())
        .await
        .unwrap();
    let LeaseAnswer::NotDue(left) = acquire("w5", Duration::from_secs(60)).await.unwrap() else {
        panic!("not due yet");
    };
    let minute = Duration::from_secs(30)..=Duration::from_secs(60);
    assert!(minute.contains(&left), "{left:?}");
    assert!(
        acquire("w5", Duration::ZERO)
            .await
            .unwrap()
            .acquired()
            .is_some()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_waits_for_long_keeps_its_lease_and_ends_when_it_loses_it() {
    let world = World::new().await;
    let lease = LeaderLease::acquire(&world.pool, ReconcileSource::Clerk, "w1", Duration::ZERO)
        .await
        .unwrap()
        .acquired()
        .unwrap();
    let until = "select claimed_until from lethe.cleanup_reconciliations where source = 'clerk'";
    let at_first: DateTime<Utc> = sqlx::query_scalar(until)
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let pass = async {
        world
            .until(&format!("({until}) > '{at_first}'::timestamptz"))
            .await;
        // Another process has it from now on.
        world
            .execute("update lethe.cleanup_reconciliations set claim_token = claim_token + 1 where source = 'clerk'")
            .await;
        std::future::pending::<Result<(), ReconcileError>>().await
    };
    let ended = lease.hold(&world.pool, pass).await;
    assert!(matches!(ended, Err(ReconcileError::LostLease)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_passes_at_once_ask_for_one_erasure_of_each() {
    let world = World::new().await;
    world.old_users("user_", 10).await;
    world
        .execute("insert into samples (user_id) select id from users")
        .await;
    world.mark("users", "length(id) = 6").await;
    world.mark("samples", "true").await;
    let passes = (0..4).map(|_| world.reconcile());
    let reports = futures::future::try_join_all(passes).await.unwrap();
    let asked: u64 = reports.iter().map(|one| one.enqueued.total()).sum();
    assert_eq!(
        asked, 10,
        "nine users with their samples, and the tenth's sample: {reports:?}"
    );
    assert_eq!(world.requested().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_commits_or_is_taken_back_while_we_look_is_seen() {
    let world = World::new().await;
    for user in ["user_a", "user_b", "user_c"] {
        world.user(user).await;
    }
    let restored = world.sample("user_c", &["c/1"]).await;
    world.mark("users", "id in ('user_a', 'user_b')").await;
    world.mark("samples", "true").await;
    let mut other = world.pool.begin().await.unwrap();
    for sql in [
        "select lethe.delete_user('user_a', 'app')".to_owned(),
        "update users set deleted_at = null, deleted_by = null where id = 'user_b'".to_owned(),
        format!("update samples set deleted_at = null, deleted_by = null where id = '{restored}'"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(&mut *other)
            .await
            .unwrap();
    }
    let pass = async { world.reconcile().await.unwrap() };
    let commit = async {
        world
            .until("exists (select from pg_locks where not granted)")
            .await;
        other.commit().await.unwrap();
    };
    let (report, ()) = tokio::join!(pass, commit);
    assert_eq!((users(&report), samples(&report)), ((2, 0), (1, 0)));
    assert_eq!(world.requested().await, 1);
    world.expect_rows("users where deleted_at is null", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_refused_or_slow_does_not_hold_up_the_others() {
    for trouble in ["raise exception 'no'", "perform pg_sleep(60)"] {
        let world = World::new().await;
        world.old_users("user_", 3).await;
        world.mark("users", "true").await;
        world
            .execute(&format!(
                "create function no() returns trigger language plpgsql as $$ begin
                     if new.user_id = 'user_2' then {trouble}; end if; return new; end $$"
            ))
            .await;
        world
            .execute(
                "create trigger no before insert on lethe.user_tombstones for each row execute function no()",
            )
            .await;
        let report = world.reconcile().await.unwrap();
        assert_eq!((users(&report).1, report.refused), (2, 1), "{trouble}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_clerk_no_longer_has_are_reported_and_erased_with_apply_only() {
    let world = World::new().await;
    world.old_users("user_", 120).await;
    world.old_users("employee_", 2).await;
    world.user("user_new").await;
    let known: Vec<String> = (1..=118).map(|n| format!("user_{n}")).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let clerk = ClerkDouble::start(&known).await;
    let environment = [
        ("CLERK_SECRET_KEY", SECRET_KEY),
        ("CLERK_API_URL", &clerk.url),
        ("RUST_LOG", "trace"),
    ];
    let output = world.run(&["reconcile", "clerk"], &environment).await;
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for part in [
        "compared 120 users",
        "1 users are younger",
        "2 users have an id that is none of Clerk's",
        "2 users are no longer in Clerk",
        "user user_119",
        "user user_120",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("hunter2"), "the key is shown");
    world.expect_rows("lethe.user_tombstones", 0).await;
    let output = world
        .run(&["reconcile", "clerk", "--apply"], &environment)
        .await;
    assert!(output.status.success(), "{}", text(&output));
    assert!(!text(&output).contains("hunter2"), "the key is shown");
    let erased = "lethe.user_tombstones where user_id in ('user_119', 'user_120') and deleted_by = 'reconcile:clerk'";
    world.expect_rows(erased, 2).await;
    world.expect_rows("lethe.user_tombstones", 2).await;
    assert!(
        clerk
            .targets()
            .iter()
            .all(|target| !target.contains("employee"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_failure_of_clerk_deletes_anybody() {
    let world = World::new().await;
    world.old_users("user_", 3).await;
    let not_found = r#"{"errors":[{"code":"resource_not_found"}]}"#;
    let bends = [
        (Asked::Oldest, Bend::Answer(500, "{}")),
        (
            Asked::Oldest,
            Bend::Answer(401, r#"{"errors":[{"code":"authentication_invalid"}]}"#),
        ),
        (Asked::Oldest, Bend::Answer(200, "[]")),
        (Asked::List, Bend::Answer(500, "")),
        (Asked::List, Bend::Answer(200, "[]")),
        (Asked::List, Bend::Answer(200, "{}")),
        (Asked::List, Bend::Answer(200, "null")),
        (
            Asked::List,
            Bend::Answer(200, r#"{"data":[],"total_count":0}"#),
        ),
        (
            Asked::List,
            Bend::Answer(200, r#"[{"id":"user_1"},{"object":"user"}]"#),
        ),
        (
            Asked::List,
            Bend::Answer(200, r#"[{"id":"user_1"},{"id":"user_other"}]"#),
        ),
        (Asked::List, Bend::Answer(204, "")),
        (Asked::List, Bend::Answer(302, "")),
        (Asked::List, Bend::Answer(404, not_found)),
        (Asked::List, Bend::CutJson),
        (Asked::List, Bend::CutBody),
        (Asked::List, Bend::Hang),
        (Asked::List, Bend::Throttle(3600)),
        (Asked::Direct, Bend::Answer(404, "<html>not here</html>")),
        (Asked::Direct, Bend::Answer(404, r#"{"errors":[]}"#)),
        (Asked::Direct, Bend::Answer(404, not_found)),
        (Asked::Direct, Bend::Answer(403, not_found)),
        (Asked::Direct, Bend::Answer(200, r#"{"id":"user_2"}"#)),
        (Asked::Direct, Bend::Answer(503, "")),
        (Asked::Direct, Bend::Hang),
        (Asked::Direct, Bend::CutBody),
        (Asked::Direct, Bend::CutJson),
    ];
    for (asked, bend) in bends {
        // Clerk has no longer user_3, who would be found if the answers were sound.
        let clerk = ClerkDouble::start(&["user_1", "user_2"]).await;
        clerk.bend(asked, bend.clone(), usize::MAX);
        let failed = world.compare(&clerk, true).await;
        assert!(
            matches!(failed, Err(ReconcileError::Clerk(_))),
            "{bend:?}: {failed:?}"
        );
        assert_eq!(world.count("lethe.user_tombstones").await, 0, "{bend:?}");
    }
    let clerk = ClerkDouble::start(&["user_1", "user_2"]).await;
    assert_eq!(world.compare(&clerk, true).await.unwrap().users_enqueued, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn clerks_failures_that_pass_are_waited_for() {
    let world = World::new().await;
    world.old_users("user_", 3).await;
    let clerk = ClerkDouble::start(&["user_1", "user_2"]).await;
    clerk.bend(Asked::Oldest, Bend::Throttle(1), 1);
    clerk.bend(Asked::List, Bend::Answer(502, "<html>"), 1);
    clerk.bend(Asked::List, Bend::Throttle(1), 1);
    clerk.bend(Asked::Direct, Bend::CutBody, 1);
    let started = Instant::now();
    let report = world.compare(&clerk, false).await.unwrap();
    assert_eq!(report.missing, ["user_3"]);
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "Retry-After was not waited for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_slips_through_clerks_list_is_kept() {
    let world = World::new().await;
    world.old_users("user_", 3).await;
    let clerk = ClerkDouble::start(&["user_1", "user_2", "user_3"]).await;
    clerk.hide("user_2");
    clerk.hide("user_3");
    let report = world.compare(&clerk, true).await.unwrap();
    assert_eq!((report.not_listed, report.missing.len()), (2, 0));
    world.expect_rows("lethe.user_tombstones", 0).await;
    // The one who vouches for the lists is deleted between them: another takes the place.
    let clerk = ClerkDouble::start(&["user_0", "user_1", "user_2", "user_3"]).await;
    clerk.bend(Asked::List, Bend::Forget("user_0"), 1);
    let report = world.compare(&clerk, true).await.unwrap();
    assert_eq!((report.compared, report.not_listed), (3, 0));
    assert_eq!(clerk.count(Asked::Oldest), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_another_instance_deletes_nobody() {
    let world = World::new().await;
    world.old_users("user_", 100).await;
    let clerk = ClerkDouble::start(&["user_somebody"]).await;
    let report = world.compare(&clerk, true).await.unwrap();
    assert!(
        report
            .stopped
            .unwrap()
            .contains("would delete data of 100 of 100 users")
    );
    assert_eq!(clerk.count(Asked::Direct), 0);
    world.expect_rows("lethe.user_tombstones", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_compares_on_a_timer_and_deletes_only_if_it_is_told_to() {
    let world = World::new().await;
    world.old_users("user_", 3).await;
    let clerk = ClerkDouble::start(&["user_1", "user_2"]).await;
    let mut environment = vec![
        ("RECONCILE_CLERK_INTERVAL_MS", "60000"),
        ("CLERK_SECRET_KEY", SECRET_KEY),
        ("CLERK_API_URL", &clerk.url),
    ];
    let mut worker = world.process(&["worker"], &environment);
    world
        .until("(select finished_at is not null and found = 1 from lethe.cleanup_reconciliations where source = 'clerk')")
        .await;
    world.expect_rows("lethe.user_tombstones", 0).await;
    worker.kill().await.unwrap();
    world
        .execute("update lethe.cleanup_reconciliations set started_at = null")
        .await;
    environment.push(("RECONCILE_CLERK_APPLY", "true"));
    let _worker = world.process(&["worker"], &environment);
    world
        .until("not exists (select from users where id = 'user_3')")
        .await;
    world.expect_rows("users", 2).await;
}

//! Nobody runs wild: pause and resume, the limit of erasures in an hour, the delay, and the cancellation.

use std::time::Duration;

use futures::StreamExt as _;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::support::service::{ADMIN_TOKEN, Service, answer};
use crate::support::world::{Log, PATIENCE, World};

/// A quick worker as a process.
const QUICK: [(&str, &str); 1] = [("RECONCILE_INTERVAL_MS", "0")];

impl World {
    async fn set_limit(&self, limit: u32) {
        self.execute(&format!(
            "select lethe.configure('serve', {limit}, null, 'test')"
        ))
        .await;
    }

    async fn set_delay(&self, delay: &str) {
        self.execute(&format!(
            "select lethe.configure('serve', null, '{delay}', 'test')"
        ))
        .await;
    }

    /// Every row of the application, with all columns.
    async fn application_rows(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select 'user ' || u::text from users u union all select 'collection ' || c::text from collections c
             union all select 'sample ' || s::text from samples s union all select 'image ' || i::text from sample_images i
             order by 1",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    async fn cancel(&self, user: &str) -> String {
        self.one(&format!(
            "select lethe.cancel_erasure('{user}', 'admin:ops', 'a mistake')"
        ))
        .await
    }

    async fn held(&self) -> i64 {
        self.count("lethe.cleanup_tasks where kind = 'user-delete' and held_reason is not null")
            .await
    }
}

impl Service {
    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.request(Method::POST, path, ADMIN_TOKEN).json(&body);
        let (status, body) = answer(request).await;
        (status.as_u16(), body)
    }

    async fn until_ready(&self) {
        let started = std::time::Instant::now();
        loop {
            let url = format!("{}/health/ready", self.url);
            let (status, body) = answer(self.client.get(url)).await;
            if status == 200 {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "not ready: {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn metric(&self, name: &str) -> f64 {
        let text = self
            .client
            .get(format!("{}/metrics", self.url))
            .send()
            .await
            .unwrap()
            .text()
            .await
            .unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("no {name} in:\n{text}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_claiming_is_paused_nothing_is_touched_and_everybody_can_see_why() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let service = Service::start(&world).await;
    service.until_ready().await;
    let log = Log::new();
    let mut worker = world.logged(&["worker"], &QUICK, &log);
    log.until("worker started").await;

    let (status, settings) = service
        .post("/admin/pause", json!({"reason": "look first"}))
        .await;
    assert_eq!(status, 200, "{settings}");
    assert_eq!(settings["paused"], true, "{settings}");
    world.delete_sample(sample).await;
    log.until("claiming is paused; no worker begins a task")
        .await;
    // Longer than several polls: what is due is asked for with each heartbeat.
    world
        .until("(select count(*) > 0 from lethe.cleanup_workers where expires_at > now())")
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world
        .expect_rows(
            "lethe.cleanup_tasks where status = 'pending' and attempts = 0",
            1,
        )
        .await;
    assert!(
        world.s3.contains("a/1"),
        "the object is gone during the pause"
    );

    let settings = service.get("/admin/settings").await;
    assert_eq!(settings["pausedBy"], "admin:ops", "{settings}");
    assert_eq!(settings["pausedReason"], "look first", "{settings}");
    assert!(settings["pausedAt"].is_string(), "{settings}");
    let ready = service.client.get(format!("{}/health/ready", service.url));
    let (status, ready) = answer(ready).await;
    assert_eq!(status, 200, "{ready}");
    assert!(ready["detail"].to_string().contains("paused"), "{ready}");
    assert!(
        !ready.to_string().contains("look first"),
        "the reason is not for anybody: {ready}"
    );
    assert!((service.metric("lethe_paused").await - 1.0).abs() < 0.1);

    let (status, resumed) = service
        .post("/admin/resume", json!({"reason": "all is well"}))
        .await;
    assert_eq!((status, &resumed), (200, &json!({"released": 0})));
    world
        .until("not exists (select from lethe.cleanup_tasks)")
        .await;
    assert!(!world.s3.contains("a/1"), "the object is still there");
    log.until("the pause is over").await;
    world
        .expect_rows(
            "lethe.cleanup_audit where event in ('cleanup-paused', 'cleanup-resumed') and actor = 'admin:ops'
             and detail in ('look first', 'all is well')",
            2,
        )
        .await;
    worker.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_needs_a_reason() {
    let world = World::new().await;
    let service = Service::start(&world).await;
    for path in ["/admin/pause", "/admin/resume"] {
        for body in [json!({}), json!({"reason": " "}), json!({"why": "x"})] {
            let (status, problem) = service.post(path, body.clone()).await;
            assert_eq!(status, 400, "{path} {body}: {problem}");
        }
    }
    world
        .expect_rows("lethe.settings where paused_at is not null", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn above_the_limit_an_erasure_is_accepted_and_held_and_a_repeat_does_not_count() {
    let world = World::new().await;
    world.set_limit(2).await;
    for user in ["user_a", "user_b", "user_c"] {
        world.user(user).await;
        world.samples(user, &format!("{user}/"), 2).await;
    }
    let first = world.delete_user("user_a").await;
    for _ in 0..5 {
        assert_eq!(world.delete_user("user_a").await, first);
    }
    world.delete_user("user_b").await;
    let held = world.delete_user("user_c").await;
    assert_eq!(world.delete_user("user_c").await, held);
    assert_eq!(world.held().await, 1);
    world
        .expect_rows("users where id = 'user_c' and deleted_at is not null", 1)
        .await;
    world
        .expect_rows("samples where user_id = 'user_c' and is_deleted", 2)
        .await;
    world
        .expect_rows("lethe.user_tombstones where user_id = 'user_c'", 1)
        .await;

    let worker = world.worker().await;
    world
        .until("not exists (select from users where id in ('user_a', 'user_b'))")
        .await;
    worker.stop().await;
    assert!(
        world.s3.contains("user_c/1"),
        "an object of a held erasure is gone"
    );
    world
        .expect_rows(
            "lethe.cleanup_tasks where user_id = 'user_c' and attempts > 0",
            0,
        )
        .await;
    let service = Service::start(&world).await;
    let receipt = service.get("/admin/users/user_c/erasure").await;
    assert_eq!(receipt["status"], "held", "{receipt}");
    assert!((service.metric("lethe_erasures_held").await - 1.0).abs() < 0.1);

    let worker = world.worker().await;
    let (status, resumed) = service
        .post("/admin/resume", json!({"reason": "it is meant"}))
        .await;
    assert_eq!((status, &resumed), (200, &json!({"released": 1})));
    world.until("not exists (select from users)").await;
    world
        .expect_rows(
            "lethe.cleanup_audit where event = 'erasure-released' and user_id = 'user_c' and actor = 'admin:ops'",
            1,
        )
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_run_at_once_never_pass_the_limit_and_do_not_wait_for_one_another() {
    let world = World::new().await;
    world.set_limit(5).await;
    // One transaction of the application stays open.
    let mut open = PgConnection::connect(&world.url).await.unwrap();
    let mut open = open.begin().await.unwrap();
    sqlx::query("select lethe.delete_user('user_open', 'job:slow')")
        .execute(&mut *open)
        .await
        .unwrap();
    let others = (0..40).map(|n| {
        let url = world.url.clone();
        tokio::spawn(async move {
            let mut connection = PgConnection::connect(&url).await.unwrap();
            let sql = format!(
                "set lock_timeout = '5s'; select lethe.delete_user('user_{n}', 'job:bulk')"
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut connection)
                .await
                .unwrap();
        })
    });
    for other in futures::future::join_all(others).await {
        other.unwrap();
    }
    assert_eq!(world.held().await, 36);
    // What is rolled back gives its place back.
    open.rollback().await.unwrap();
    world.delete_user("user_late").await;
    assert_eq!(world.held().await, 36);
    world.delete_user("user_later").await;
    assert_eq!(world.held().await, 37);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_an_old_snapshot_is_counted_too() {
    let world = World::new().await;
    world.set_limit(100).await;
    let mut old = PgConnection::connect(&world.url).await.unwrap();
    sqlx::raw_sql("begin isolation level repeatable read; select count(*) from lethe.settings")
        .execute(&mut old)
        .await
        .unwrap();
    for n in 0..50 {
        world.delete_user(&format!("user_{n}")).await;
    }
    sqlx::raw_sql("select lethe.delete_user('user_old', 'job:old'); commit")
        .execute(&mut old)
        .await
        .unwrap();
    assert_eq!(world.held().await, 0);
    world
        .expect_rows("lethe.erasure_slots where used_at > '-infinity'", 51)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_hour_the_limit_allows_as_many_again_and_zero_is_no_limit() {
    let world = World::new().await;
    world.set_limit(1).await;
    world.delete_user("user_a").await;
    world.delete_user("user_b").await;
    assert_eq!(world.held().await, 1);
    world
        .execute("update lethe.erasure_slots set used_at = used_at - interval '61 minutes'")
        .await;
    world.delete_user("user_c").await;
    assert_eq!(world.held().await, 1);
    world.set_limit(0).await;
    for n in 0..5 {
        world.delete_user(&format!("user_free_{n}")).await;
    }
    assert_eq!(world.held().await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_limit_counts_what_was_erased_before_it_and_a_higher_one_makes_room() {
    let world = World::new().await;
    world.set_limit(10).await;
    for n in 0..4 {
        world.delete_user(&format!("user_{n}")).await;
    }
    world.set_limit(3).await;
    world.delete_user("user_held").await;
    assert_eq!(world.held().await, 1);
    world.set_limit(6).await;
    for n in 0..4 {
        world.delete_user(&format!("user_more_{n}")).await;
    }
    assert_eq!(
        world.held().await,
        2,
        "three of the lower limit, and three more"
    );
    world.expect_rows("lethe.erasure_slots", 6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_roles_the_stricter_limit_holds_and_one_that_is_not_set_leaves_it_alone() {
    let world = World::new().await;
    let limit = "select erasure_limit_per_hour from lethe.settings";
    let delay = "select user_erasure_delay::text from lethe.settings";
    assert_eq!(world.one::<i32>(limit).await, 1000);
    world
        .execute("select lethe.configure('serve', 50, '1 minute', 'a')")
        .await;
    world
        .execute("select lethe.configure('worker', null, null, 'b')")
        .await;
    assert_eq!(world.one::<i32>(limit).await, 50);
    world
        .execute("select lethe.configure('worker', 0, '5 seconds', 'b')")
        .await;
    assert_eq!(world.one::<i32>(limit).await, 50, "0 is no limit");
    assert_eq!(world.one::<String>(delay).await, "00:01:00");
    world
        .execute("select lethe.configure('worker', 20, null, 'b')")
        .await;
    assert_eq!(world.one::<i32>(limit).await, 20);
    world
        .execute("select lethe.configure('serve', null, null, 'a')")
        .await;
    world
        .execute("select lethe.configure('worker', null, null, 'b')")
        .await;
    assert_eq!(world.one::<i32>(limit).await, 1000);
    assert_eq!(world.one::<String>(delay).await, "00:00:00");

    let service = Service::start_with(
        &world,
        &[
            ("ERASURE_LIMIT_PER_HOUR", "7"),
            ("USER_ERASURE_DELAY_MS", "1500"),
        ],
    )
    .await;
    service.until_ready().await;
    let settings = service.get("/admin/settings").await;
    assert_eq!(settings["erasureLimitPerHour"], 7, "{settings}");
    assert_eq!(settings["userErasureDelayMs"], 1500, "{settings}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_erasure_brings_back_exactly_what_it_took_and_the_sign_up_too() {
    let world = World::new().await;
    world.set_delay("1 hour").await;
    world.user("user_a").await;
    world.user("user_b").await;
    world.samples("user_a", "a/", 3).await;
    let marked = world.sample("user_a", &["marked/1", "marked/2"]).await;
    let asked = world.sample("user_a", &["asked/1"]).await;
    // What was deleted before stays so: by the application, and with a grace period that goes on.
    world
        .execute(&format!("update samples set deleted_at = now() - interval '1 day', deleted_by = 'app' where id = '{marked}'"))
        .await;
    world
        .execute("update sample_images set deleted_at = now() where object_key = 'a/1'")
        .await;
    world
        .execute(&format!(
            "select lethe.delete_sample('{asked}', 'user:user_a', '10 minutes')"
        ))
        .await;
    let before = world.application_rows().await;
    let own_task = "select row(status, scheduled_at, parent_id, object_keys)::text from lethe.cleanup_tasks where kind = 'sample-delete'";
    let own_before: String = world.one(own_task).await;

    world.delete_user("user_a").await;
    world
        .expect_rows("samples where user_id = 'user_a' and not is_deleted", 0)
        .await;
    let worker = world.worker().await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    worker.stop().await;
    let service = Service::start(&world).await;
    let (status, receipt) = service
        .post(
            "/admin/users/user_a/erasure/cancel",
            json!({"reason": "a mistake"}),
        )
        .await;
    assert_eq!(status, 200, "{receipt}");
    assert_eq!(receipt["status"], "cancelled", "{receipt}");

    assert_eq!(world.application_rows().await, before);
    assert_eq!(world.one::<String>(own_task).await, own_before);
    world.expect_rows("lethe.user_tombstones", 0).await;
    world
        .expect_rows(
            "lethe.tasks where status = 'cancelled' and kind = 'user-delete'",
            1,
        )
        .await;
    world
        .expect_rows("lethe.cleanup_audit where event = 'erasure-cancelled' and actor = 'admin:ops' and detail = 'a mistake'", 1)
        .await;
    let receipt = service.get("/admin/users/user_a/erasure").await;
    assert_eq!(receipt["status"], "cancelled", "{receipt}");
    // Again, and for somebody who was never to be erased.
    for user in ["user_a", "user_b"] {
        let path = format!("/admin/users/{user}/erasure/cancel");
        assert_eq!(service.post(&path, json!({})).await.0, 404, "{user}");
    }
    // The user can be erased later, as any other.
    world.set_delay("0").await;
    let worker = world.worker().await;
    world.delete_user("user_a").await;
    world
        .until("not exists (select from users where id = 'user_a')")
        .await;
    worker.stop().await;
    let path = "/admin/users/user_a/erasure/cancel";
    let (status, problem) = service.post(path, json!({})).await;
    assert_eq!(status, 409, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_erasures_are_listed_among_the_others_page_by_page() {
    let world = World::new().await;
    world.set_delay("1 hour").await;
    world.user("user_1").await;
    for n in 1..=7 {
        world.delete_user(&format!("user_{n}")).await;
    }
    for user in ["user_4", "user_2", "user_6"] {
        assert_eq!(world.cancel(user).await, "cancelled");
    }
    // Each erasure is listed, also those of one user, and those that one transaction asked for at one time.
    world.delete_user("user_2").await;
    assert_eq!(world.cancel("user_2").await, "cancelled");
    world.delete_user("user_2").await;
    let again = "select lethe.delete_user('user_8', 'job:x'); select lethe.cancel_erasure('user_8', 'job:x', null);";
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "begin; {again} {again} select lethe.delete_user('user_8', 'job:x'); commit"
    )))
    .execute(&world.pool)
    .await
    .unwrap();
    let service = Service::start(&world).await;
    let list = async |query: &str, limit: usize| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let path = format!("/admin/erasures?{query}&limit={limit}&cursor={cursor}");
            let page = service.get(&path).await;
            for item in page["items"].as_array().unwrap() {
                let text = |field: &str| item[field].as_str().unwrap().to_owned();
                assert!(item["taskId"].is_string(), "{item}");
                assert_eq!(item.get("completedAt"), None, "{item}");
                seen.push(format!("{} {}", text("userId"), text("status")));
            }
            match page["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return seen,
            }
        }
    };
    let standing = |n: u32| format!("user_{n} in-progress");
    let cancelled = |n: u32| format!("user_{n} cancelled");
    let all = [
        standing(8),
        cancelled(8),
        cancelled(8),
        standing(2),
        cancelled(2),
        standing(7),
        cancelled(6),
        standing(5),
        cancelled(4),
        standing(3),
        cancelled(2),
        standing(1),
    ];
    let of = |status: &'static str| all.iter().filter(move |one| one.ends_with(status)).cloned();
    for limit in [1, 2, 5, 200] {
        assert_eq!(list("", limit).await, all, "{limit}");
        let found = list("status=cancelled", limit).await;
        assert_eq!(found, of("cancelled").collect::<Vec<_>>(), "{limit}");
        let found = list("status=in-progress", limit).await;
        assert_eq!(found, of("in-progress").collect::<Vec<_>>(), "{limit}");
        let found = list("status=cancelled&requestedBy=job:x", limit).await;
        assert_eq!(found, [cancelled(8), cancelled(8)], "{limit}");
    }
    let page = service.get("/admin/erasures?status=cancelled").await;
    let first = page["items"].as_array().unwrap().last().unwrap();
    let at = first["requestedAt"].as_str().unwrap();
    let after = list(&format!("status=cancelled&requestedAfter={at}"), 200).await;
    assert_eq!(after.len(), 6);
    let before = list(&format!("status=cancelled&requestedBefore={at}"), 200).await;
    assert_eq!(before, [""; 0]);
    let receipt = service.get("/admin/users/user_6/erasure").await;
    let listed = &page["items"][3];
    for field in [
        "userId",
        "status",
        "requestedAt",
        "requestedBy",
        "userKnown",
    ] {
        assert_eq!(receipt[field], listed[field], "{field}: {receipt} {listed}");
    }
    assert_eq!(
        receipt["rowsDeleted"],
        json!({"users": 0, "collections": 0, "samples": 0, "sampleImages": 0}),
        "{receipt}"
    );
}

/// The plans are made for each filter, so what is read does not grow with the number of erasures.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_erasures_reads_no_more_of_a_hundred_thousand() {
    const MAX_BUFFERS: i64 = 5_000;
    let world = World::new().await;
    world
        .execute(
            "insert into lethe.user_tombstones (user_id, deleted_at, deleted_by)
             select 'user_' || n, now() - n * interval '1 second', 'test' from generate_series(1, 100000) n",
        )
        .await;
    world
        .execute(
            "insert into lethe.receipts (user_id, task_id, requested_at, requested_by, objects_deleted, objects_kept,
                 rows_deleted)
             select 'user_' || n, n, now(), 'test', 0, 0, '{}' from generate_series(1, 100000) n",
        )
        .await;
    world
        .execute(
            "insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id, requested_at,
                 requested_by)
             select event, 'test', n, 'user-delete', 'user', 'user_' || n, 'user_' || n,
                    case event when 'erasure-cancelled' then now() - n * interval '1 second' end,
                    case event when 'erasure-cancelled' then 'test' end
             from generate_series(100001, 200000) n,
                  unnest(array['user-deletion-requested', 'erasure-cancelled']) event",
        )
        .await;
    for statistics in ["select 1", "analyze"] {
        world.execute(statistics).await;
        for (status, before) in [
            ("null", "null"),
            ("'cancelled'", "null"),
            ("'complete'", "now() - interval '40000 seconds'"),
            ("'cancelled'", "now() - interval '150000 seconds'"),
            ("'in-progress'", "null"),
            ("null", "now() - interval '120000 seconds'"),
        ] {
            let buffers = buffers_of_erasures(&world, status, before).await;
            assert!(
                buffers < MAX_BUFFERS,
                "{statistics}: {status} before {before} reads {buffers} pages"
            );
        }
    }
}

/// How many pages the statement of the list reads.
async fn buffers_of_erasures(world: &World, status: &str, before: &str) -> i64 {
    let sql = include_str!("../../sql/evidence/list_erasures.sql");
    let mut tx = world.pool.begin().await.unwrap();
    let statement = format!(
        "set local plan_cache_mode = force_custom_plan; set local jit = off;
         prepare list (text, timestamptz, timestamptz, text, timestamptz, text, bigint, bigint) as {sql}"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut *tx)
        .await
        .unwrap();
    let explain = format!(
        "explain (analyze, buffers, format json) execute list ({status}, null, null, null, {before}, 'user_x', 51, 1)"
    );
    let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    sqlx::raw_sql("deallocate list")
        .execute(&mut *tx)
        .await
        .unwrap();
    let of = |field: &str| plan[0]["Plan"][field].as_i64().unwrap();
    of("Shared Hit Blocks") + of("Shared Read Blocks")
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_cancellation_a_user_who_never_was_can_sign_up() {
    let world = World::new().await;
    world.set_delay("1 hour").await;
    world.delete_user("user_new").await;
    let refused = sqlx::query("insert into users (id) values ('user_new')")
        .execute(&world.pool)
        .await;
    assert!(refused.is_err());
    assert_eq!(world.cancel("user_new").await, "cancelled");
    world.user("user_new").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_application_marked_in_the_same_transaction_stay_marked() {
    let world = World::new().await;
    world.set_delay("1 hour").await;
    world.user("user_a").await;
    world.sample("user_a", &["a/app"]).await;
    world.sample("user_a", &["a/live"]).await;
    let mut connection = PgConnection::connect(&world.url).await.unwrap();
    sqlx::raw_sql(
        "begin; update sample_images set deleted_at = now() where object_key = 'a/app';
         select lethe.delete_user('user_a', 'job:x'); commit",
    )
    .execute(&mut connection)
    .await
    .unwrap();
    assert_eq!(world.cancel("user_a").await, "cancelled");
    world
        .expect_rows(
            "sample_images where deleted_at is null and object_key = 'a/live'",
            1,
        )
        .await;
    world
        .expect_rows(
            "sample_images where deleted_at is not null and object_key = 'a/app'",
            1,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_cancellation_would_need_again_is_kept() {
    let world = World::new().await;
    world.user("user_a").await;
    world.user("user_b").await;
    world.sample("user_a", &["shared"]).await;
    let other = world.sample("user_b", &["shared", "own"]).await;
    world.set_limit(1).await;
    world.delete_user("user_first").await;
    world.delete_user("user_a").await;
    assert_eq!(world.held().await, 1);
    let worker = world.worker().await;
    let task = world.delete_sample(other).await;
    world.until_status(task, "completed").await;
    assert!(!world.s3.contains("own"));
    assert!(
        world.s3.contains("shared"),
        "the key of a held erasure is gone"
    );
    assert_eq!(world.cancel("user_a").await, "cancelled");
    world
        .expect_rows(
            "sample_images where object_key = 'shared' and deleted_at is null",
            1,
        )
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_an_image_that_is_not_marked_yet_is_kept_for_a_cancellation() {
    let world = World::new().await;
    world.user("user_a").await;
    world.user("user_b").await;
    // The first step marks the sample and not yet all of its images.
    let keys: Vec<String> = (0..1_500).map(|n| format!("a/{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    world.sample("user_a", &keys).await;
    world.set_limit(1).await;
    world.delete_user("user_first").await;
    world.delete_user("user_a").await;
    assert_eq!(world.held().await, 1);
    let unmarked: Vec<String> = sqlx::query_scalar(
        "select object_key from sample_images where deleted_at is null and object_key like 'a/%'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert!(!unmarked.is_empty(), "every image is marked at once");
    let other = world.sample("user_b", &[&unmarked[0], "own"]).await;
    let worker = world.worker().await;
    let task = world.delete_sample(other).await;
    world.until_status(task, "completed").await;
    assert!(!world.s3.contains("own"));
    assert!(
        world.s3.contains(&unmarked[0]),
        "the key of an image of a held erasure is gone"
    );
    assert_eq!(world.cancel("user_a").await, "cancelled");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_and_a_claim_at_once_end_with_one_of_the_two() {
    let world = World::new().await;
    world.set_delay("300 milliseconds").await;
    let users: Vec<String> = (0..30).map(|n| format!("user_{n}")).collect();
    for user in &users {
        world.user(user).await;
        world.samples(user, &format!("{user}/"), 2).await;
        world.delete_user(user).await;
    }
    let worker = world.worker().await;
    let mut cancelled = Vec::new();
    for user in &users {
        match world.cancel(user).await.as_str() {
            "cancelled" => cancelled.push(user.clone()),
            outcome => assert_eq!(outcome, "begun"),
        }
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    world
        .until("not exists (select from lethe.cleanup_tasks)")
        .await;
    worker.stop().await;
    for user in &users {
        let is_cancelled = cancelled.contains(user);
        let live = i64::from(is_cancelled);
        world
            .expect_rows(
                &format!("users where id = '{user}' and deleted_at is null"),
                live,
            )
            .await;
        world
            .expect_rows(&format!("users where id = '{user}'"), live)
            .await;
        world
            .expect_rows(
                &format!("sample_images where object_key like '{user}/%' and deleted_at is null"),
                2 * live,
            )
            .await;
        assert_eq!(
            world.s3.contains(&format!("{user}/1")),
            is_cancelled,
            "{user}"
        );
    }
}

/// A settle locks the task and then the user's row. A cancellation that waited for the task with that row locked would be
/// a deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_waits_for_no_settle_of_an_erasure_that_has_begun() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "user_a/", 2).await;
    let root = world.delete_user("user_a").await;
    world
        .execute(&format!(
            "update lethe.cleanup_tasks set status = 'running', lease_owner = 'w', lease_token = 1 where id = {root}"
        ))
        .await;
    let mut settle = world.pool.begin().await.unwrap();
    sqlx::query("select from lethe.cleanup_tasks where id = $1 for update")
        .bind(root)
        .execute(&mut *settle)
        .await
        .unwrap();
    let outcome = tokio::time::timeout(Duration::from_secs(5), world.cancel("user_a")).await;
    assert_eq!(outcome.expect("it waits for the settle"), "begun");
    settle.rollback().await.unwrap();
}

/// Somebody has the signing secret, and deletes everybody.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_signed_webhooks_erases_no_more_than_the_limit_and_one_command_takes_the_rest_back()
 {
    const USERS: usize = 600;
    const LIMIT: usize = 50;
    let world = World::new().await;
    world
        .execute(&format!(
            "insert into users (id) select 'user_' || n from generate_series(1, {USERS}) n"
        ))
        .await;
    world
        .execute("with s as (insert into samples (user_id, name) select id, 's' from users returning id, user_id)
                  insert into sample_images (sample_id, object_key) select id, user_id || '/1' from s")
        .await;
    for n in 1..=USERS {
        world.s3.put(&format!("user_{n}/1"));
    }
    let limit = LIMIT.to_string();
    let service = Service::start_with(&world, &[("ERASURE_LIMIT_PER_HOUR", &limit)]).await;
    service.until_ready().await;
    let log = Log::new();
    let mut worker = world.logged(&["worker"], &QUICK, &log);
    log.until("worker started").await;

    // A service that says it is busy is asked again, as Svix does.
    let sent = futures::stream::iter(1..=USERS).map(async |n| {
        let mut tries = 0;
        loop {
            let event = service.user_deleted(&format!("msg_{n}"), &format!("user_{n}"));
            let status = event.send().await.unwrap().status().as_u16();
            tries += 1;
            if status != 503 || tries == 20 {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    });
    let statuses: Vec<u16> = sent.buffer_unordered(16).collect().await;
    assert_eq!(statuses, vec![204; USERS]);
    world
        .until(&format!(
            "(select count(*) = {LIMIT} from lethe.audit where event = 'user-erased')"
        ))
        .await;
    assert_eq!(world.held().await as usize, USERS - LIMIT);
    log.until("erasures are held").await;
    world.expect_rows("users", (USERS - LIMIT) as i64).await;

    let cancelled = world
        .run(
            &[
                "erasures",
                "cancel",
                "--held",
                "--reason",
                "the secret was stolen",
            ],
            &[],
        )
        .await;
    let said = String::from_utf8_lossy(&cancelled.stdout).into_owned();
    assert!(cancelled.status.success(), "{cancelled:?}");
    assert!(
        said.contains(&format!("cancelled {} held erasures", USERS - LIMIT)),
        "{said}"
    );
    world
        .expect_rows("users where deleted_at is null", (USERS - LIMIT) as i64)
        .await;
    world
        .expect_rows(
            "sample_images i join samples s on s.id = i.sample_id
                      where i.deleted_at is null and s.deleted_at is null",
            (USERS - LIMIT) as i64,
        )
        .await;
    world
        .expect_rows("lethe.user_tombstones", LIMIT as i64)
        .await;
    let left = (1..=USERS)
        .filter(|n| world.s3.contains(&format!("user_{n}/1")))
        .count();
    assert_eq!(left, USERS - LIMIT);
    world
        .expect_rows(
            "lethe.cleanup_audit where event = 'erasure-cancelled' and actor like 'cli:%'",
            (USERS - LIMIT) as i64,
        )
        .await;
    worker.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_terminal_pauses_resumes_and_cancels() {
    let world = World::new().await;
    world.user("user_a").await;
    let output = world
        .run(&["pause", "--reason", "look first", "--json"], &[])
        .await;
    assert!(output.status.success(), "{output:?}");
    let settings: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(settings["paused"], true, "{settings}");
    world.delete_user("user_a").await;
    let cancel = ["erasures", "cancel", "user_a", "--reason", "a mistake"];
    let output = world.run(&cancel, &[]).await;
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("the user is live again"), "{said}");
    world.expect_rows("users where deleted_at is null", 1).await;
    world.delete_user("user_typo").await;
    let cancel_typo = ["erasures", "cancel", "user_typo", "--reason", "a mistake"];
    let output = world.run(&cancel_typo, &[]).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("nobody knows this user, so no row came back"),
        "{said}"
    );
    let output = world.run(&cancel, &[]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let output = world.run(&["resume", "--reason", "done"], &[]).await;
    assert!(output.status.success(), "{output:?}");
    world
        .expect_rows("lethe.settings where paused_at is not null", 0)
        .await;
    for arguments in [&["pause"][..], &["erasures", "cancel", "--reason", "x"]] {
        let output = world.run(arguments, &[]).await;
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_outside_of_the_prefixes_is_never_asked_for_and_is_named() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world
        .sample(
            "user_a",
            &[
                "samples/1",
                "backups/db.dump",
                "samples/../terraform.tfstate",
            ],
        )
        .await;
    let more = [
        QUICK[0],
        ("S3_KEY_PREFIXES", "samples/, avatars/"),
        ("CLEANUP_MAX_ATTEMPTS", "2"),
    ];
    let mut worker = world.process(&["worker"], &more);
    let task = world.delete_sample(sample).await;
    world.until_status(task, "dead").await;
    let (class, error): (String, String) =
        sqlx::query_as("select error_class, last_error from lethe.cleanup_tasks where id = $1")
            .bind(task)
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(class, "blocked", "{error}");
    assert!(error.contains("S3_KEY_PREFIXES"), "{error}");
    assert!(
        error.contains("backups/db.dump") || error.contains("terraform"),
        "{error}"
    );
    assert_eq!(
        world.s3.keys(),
        ["backups/db.dump", "samples/../terraform.tfstate"]
    );
    world.expect_rows("sample_images", 2).await;
    worker.kill().await.unwrap();
}

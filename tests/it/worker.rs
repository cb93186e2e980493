//! The worker, on a real PostgreSQL and S3 over the wire.

use std::time::Duration;

use crate::support::world::{World, quick};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_sample_loses_its_objects_then_its_rows_and_the_audit_says_so() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1", "a/2"]).await;
    let other = world.sample("user_a", &["a/3"]).await;
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    assert!(!world.s3.contains("a/1") && !world.s3.contains("a/2") && world.s3.contains("a/3"));
    world
        .expect_rows(&format!("samples where id = '{sample}'"), 0)
        .await;
    world
        .expect_rows(
            &format!("samples where id = '{other}' and deleted_at is null"),
            1,
        )
        .await;
    world.expect_rows("sample_images", 1).await;
    world
        .expect_rows("lethe.tasks where object_keys = '{}' and attempts = 1", 1)
        .await;
    world.expect_rows("lethe.audit where event = 'task-completed' and cardinality(object_keys) = 2 and cardinality(row_ids) = 2
         and jsonb_array_length(more_rows -> 'sample') = 1 and kept_keys = '{}'", 1).await;
    worker.stop().await;
    world
        .expect_rows("lethe.cleanup_workers where lost_at is null", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeping_worker_wakes_on_the_notification_long_before_its_poll() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let mut cleanup = quick();
    cleanup.poll_interval = Duration::from_secs(3600);
    let worker = world.worker_with(cleanup).await;
    // It wakes once by itself when it begins to listen, and is woken by nothing else in this hour.
    worker.until_woken_by_notify(1).await;
    world
        .until("exists (select from lethe.cleanup_workers where sleeping)")
        .await;
    let task = world.delete_sample(sample).await;
    world.until_status(task, "completed").await;
    worker.until_woken_by_notify(2).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_falls_behind_the_watermark_is_found_by_a_full_scan() {
    let world = World::new().await;
    world.user("user_a").await;
    let worker = world.worker().await;
    for key in ["a/1", "a/2"] {
        let sample = world.sample("user_a", &[key]).await;
        let task = world.delete_sample(sample).await;
        world.until_status(task, "completed").await;
    }
    // As a transaction leaves it that was open for an hour: due long ago, and visible only now.
    let late = late_task(&world).await;
    world.until_status(late, "completed").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_a_newer_version_is_left_to_it() {
    let world = World::new().await;
    // As a migration of a newer version may do it.
    world
        .execute("alter table lethe.cleanup_tasks drop constraint cleanup_tasks_kind_known")
        .await;
    world
        .execute(
            "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, scheduled_at)
             values ('collection-delete', 'collection', 'c', 'user_a', now() - interval '1 hour')",
        )
        .await;
    let worker = world.worker().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let known = world.delete_sample(sample).await;
    world.until_status(known, "completed").await;
    let late = late_task(&world).await;
    world.until_status(late, "completed").await;
    let untouched =
        "lethe.tasks where kind = 'collection-delete' and status = 'pending' and attempts = 0";
    world.expect_rows(untouched, 1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beside_dead_entries_that_no_vacuum_may_remove_late_tasks_are_found_too() {
    let world = World::new().await;
    let mut holder = world.pool.begin().await.unwrap();
    sqlx::query("set transaction isolation level repeatable read")
        .execute(&mut *holder)
        .await
        .unwrap();
    sqlx::query("select from lethe.cleanup_workers")
        .execute(&mut *holder)
        .await
        .unwrap();
    world
        .execute(
            "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, scheduled_at)
             select 'user-delete-part', 'user', 'user_a', 'user_a', now() - interval '2 hours'
             from generate_series(1, 400000)",
        )
        .await;
    world.execute("delete from lethe.cleanup_tasks").await;
    let worker = world.worker().await;
    let timely = world.delete_user("user_a").await;
    world.until_status(timely, "completed").await;
    let late = late_task(&world).await;
    world.until_status(late, "completed").await;
    worker.stop().await;
    holder.rollback().await.unwrap();
}

async fn late_task(world: &World) -> i64 {
    world
        .one(
            "insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, scheduled_at)
             values ('user-delete-part', 'user', 'user_a', 'user_a', now() - interval '1 hour')
             returning id",
        )
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_erased_whole_and_their_tombstone_keeps_them_away() {
    let world = World::new().await;
    let collection = world.user("user_a").await;
    world.user("user_b").await;
    world.samples("user_a", "a/", 2_345).await;
    world.sample("user_a", &[]).await;
    let guest = world.sample("user_b", &["b/1"]).await;
    world
        .execute(&format!(
            "update samples set collection_id = '{collection}' where id = '{guest}'"
        ))
        .await;
    let task = world.delete_user("user_a").await;
    assert_eq!(world.delete_user("user_a").await, task);
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    assert_eq!(world.s3.keys(), ["b/1"]);
    world.expect_rows("users where id = 'user_a'", 0).await;
    world
        .expect_rows("collections where user_id = 'user_a'", 0)
        .await;
    world
        .expect_rows("samples where user_id = 'user_a'", 0)
        .await;
    world
        .expect_rows(
            &format!(
                "samples where id = '{guest}' and collection_id is null and deleted_at is null"
            ),
            1,
        )
        .await;
    assert_eq!(
        world
            .one::<i64>(
                "select sum(cardinality(object_keys)) from lethe.audit where user_id = 'user_a'"
            )
            .await,
        2_345
    );
    assert_eq!(
        world
            .one::<i64>("select sum(jsonb_array_length(more_rows -> 'sample')) from lethe.audit where user_id = 'user_a'")
            .await,
        2_346
    );
    let again = sqlx::query("insert into users (id) values ('user_a')")
        .execute(&world.pool)
        .await;
    assert!(again.unwrap_err().to_string().contains("was deleted"));
    // Asked again after all of it: the same answer, nothing new.
    assert_eq!(world.delete_user("user_a").await, task);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_nobody_knows_gets_a_tombstone_and_a_finished_erasure() {
    let world = World::new().await;
    let task = world.delete_user("user_ghost").await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    world
        .expect_rows("lethe.user_tombstones where user_id = 'user_ghost'", 1)
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_come_late_are_found_before_the_users_row_goes() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    world.s3.hold();
    let task = world.delete_user("user_a").await;
    let worker = world.worker().await;
    world
        .until("exists (select from lethe.tasks where kind = 'user-delete' and status = 'running')")
        .await;
    world.image(sample, "a/late").await;
    world.sample("user_a", &["a/later"]).await;
    world.s3.release();
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty());
    for table in ["sample_images", "samples", "users"] {
        world.expect_rows(table, 0).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_image_of_a_deleted_sample_goes_with_it() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    world.image(sample, "a/late").await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty());
    world.expect_rows("samples", 0).await;
    world.expect_rows("lethe.tasks where attempts = 1", 1).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_live_image_names_is_kept_and_the_audit_says_so() {
    let world = World::new().await;
    world.user("user_a").await;
    let gone = world.sample("user_a", &["shared", "own"]).await;
    world.sample("user_a", &["shared"]).await;
    let task = world.delete_sample(gone).await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    assert_eq!(world.s3.keys(), ["shared"]);
    world
        .expect_rows(
            "sample_images where object_key = 'shared' and deleted_at is null",
            1,
        )
        .await;
    world
        .expect_rows(
            "lethe.audit where kept_keys = '{shared}' and object_keys = '{own}'",
            1,
        )
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_200_fails_that_key_alone_and_is_tried_again() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1", "a/2"]).await;
    let other = world.sample("user_a", &["b/1"]).await;
    world.s3.fail_key("a/1", "InternalError", Some(2));
    let (task, fine) = (
        world.delete_sample(sample).await,
        world.delete_sample(other).await,
    );
    let worker = world.worker().await;
    world.until_status(fine, "completed").await;
    world.until_status(task, "completed").await;
    world
        .expect_rows(
            &format!("lethe.tasks where id = {task} and attempts = 3"),
            1,
        )
        .await;
    world.expect_rows(&format!("lethe.audit where task_id = {task} and event = 'task-failed' and error_class = 'transient'"), 2).await;
    let asked: Vec<String> = world.s3.asked().concat();
    assert_eq!(asked.iter().filter(|key| *key == "a/1").count(), 3);
    assert_eq!(
        asked.iter().filter(|key| *key == "a/2").count(),
        1,
        "a retry is smaller"
    );
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_locked_until_a_date_is_tried_then_whatever_its_attempts() {
    let world = World::new().await;
    world.s3.keep_versions();
    world.user("user_a").await;
    let sample = world.sample("user_a", &["free", "locked"]).await;
    let until = chrono::Utc::now() + Duration::from_secs(3_600);
    world.s3.lock_until("locked", &until.to_rfc3339());
    let task = world.delete_sample(sample).await;
    world
        .execute(&format!(
            "update lethe.cleanup_tasks set attempts = 7 where id = {task}"
        ))
        .await;
    let worker = world.worker().await;
    world.until_status(task, "failed").await;
    world.expect_rows("lethe.tasks where attempts = 8 and error_class = 'blocked'
                 and object_keys = '{locked}' and last_error like '%locked until %'
                 and scheduled_at between now() + interval '59 minutes' and now() + interval '62 minutes'", 1).await;
    world.expect_rows("sample_images", 1).await;
    assert_eq!(world.s3.keys(), ["locked"]);
    world.s3.unlock("locked");
    world
        .execute(&format!(
            "update lethe.cleanup_tasks set scheduled_at = now() where id = {task}"
        ))
        .await;
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty());
    world.expect_rows("samples", 0).await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_key_ends_dead_after_the_last_attempt_and_its_row_stays() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["locked", "free"]).await;
    world.s3.fail_key("locked", "AccessDenied", None);
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "dead").await;
    world.expect_rows("lethe.tasks where attempts = 3 and error_class = 'blocked' and object_keys = '{locked}' and last_error like '%AccessDenied%'", 1).await;
    world
        .expect_rows("sample_images where object_key = 'locked'", 1)
        .await;
    world
        .expect_rows("sample_images where object_key = 'free'", 0)
        .await;
    assert_eq!(world.s3.keys(), ["locked"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_body_is_no_success() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1", "a/2", "a/3"]).await;
    world.s3.cut_next(1);
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty());
    world.expect_rows("samples", 0).await;
    assert!(world.s3.asked().len() >= 2);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_of_2500_images_is_deleted_in_requests_of_at_most_1000() {
    let world = World::new().await;
    world.user("user_a").await;
    let keys: Vec<String> = (0..2_500).map(|n| format!("many/{n}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let sample = world.sample("user_a", &keys).await;
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty());
    assert!(
        world
            .s3
            .asked()
            .iter()
            .all(|request| request.len() <= 1_000)
    );
    assert_eq!(world.s3.asked().concat().len(), 2_500);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_keys_are_deleted_like_any_other() {
    let world = World::new().await;
    world.user("user_a").await;
    let long = "k".repeat(1_024);
    let odd = [
        "a&<b>\"é",
        " leading",
        "../x",
        &long,
        "control\u{1}",
        "plus+and%20",
        "line\r\n",
    ];
    let sample = world.sample("user_a", &odd).await;
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty(), "{:?}", world.s3.keys());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_no_key_is_dead_at_once() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["ok"]).await;
    world.execute(&format!("insert into sample_images (sample_id, object_key) values ('{sample}', repeat('x', 1025))")).await;
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "dead").await;
    world.expect_rows("lethe.tasks where error_class = 'permanent' and attempts = 1 and cardinality(object_keys) = 1", 1).await;
    assert!(world.s3.keys().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_uses_up_no_attempt_and_ends_by_itself() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    world.s3.fail_requests(404, "NoSuchBucket", 3);
    let task = world.delete_sample(sample).await;
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    world
        .expect_rows(
            &format!("lethe.tasks where id = {task} and attempts = 1"),
            1,
        )
        .await;
    assert!(worker.status.problem().is_none());
    assert!(world.s3.keys().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_workers_ask_for_each_of_10000_keys_once() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "k/", 10_000).await;
    world
        .execute("select count(lethe.delete_sample(id, 'test')) from samples")
        .await;
    let mut cleanup = quick();
    cleanup.claim_batch = 50;
    cleanup.lease = Duration::from_secs(60);
    let mut workers = Vec::new();
    for _ in 0..16 {
        workers.push(world.worker_with(cleanup.clone()).await);
    }
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    let mut asked = world.s3.asked().concat();
    assert_eq!(asked.len(), 10_000);
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 10_000);
    world.expect_rows("samples", 0).await;
    world
        .expect_rows("lethe.tasks where attempts = 1", 10_000)
        .await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_can_change_nothing() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    world.s3.hold();
    let worker = world.worker().await;
    world.until_status(task, "running").await;
    // Another takes the task over: a later token.
    world.execute("insert into lethe.cleanup_workers (id, expires_at) values ('other', now() + interval '1 hour')").await;
    world.execute(&format!("update lethe.cleanup_tasks set lease_owner = 'other', lease_token = lease_token + 1, attempts = attempts + 1 where id = {task}")).await;
    world.s3.release();
    worker.stop().await;
    assert_eq!(world.status(task).await, "running");
    world
        .expect_rows(
            "lethe.tasks where lease_owner = 'other' and object_keys = '{a/1}' and attempts = 2",
            1,
        )
        .await;
    world.expect_rows("sample_images", 1).await;
    world
        .expect_rows("lethe.audit where event <> 'sample-deletion-requested'", 0)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_kills_its_worker_every_time_ends_dead() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    let worker = {
        let mut cleanup = quick();
        // The worker rescues the task and must not claim it before the next victim does, so the time until the
        // next attempt is long: full jitter leaves less than a second of an hour once in 3,600 times.
        cleanup.backoff_base = Duration::from_secs(3600);
        cleanup.backoff_max = Duration::from_secs(3600);
        world
            .execute("update lethe.cleanup_tasks set scheduled_at = now() + interval '1 hour'")
            .await;
        world.worker_with(cleanup).await
    };
    for attempt in 1..=3 {
        let claimed = world.execute(&format!("with w as (insert into lethe.cleanup_workers (id, expires_at) values ('victim-{attempt}', now() - interval '1 second')) update lethe.cleanup_tasks set status = 'running', attempts = attempts + 1, lease_token = lease_token + 1, lease_owner = 'victim-{attempt}' where id = {task} and status in ('pending', 'failed')")).await;
        assert_eq!(claimed, 1);
        world
            .until(&format!(
                "(select status <> 'running' from lethe.tasks where id = {task})"
            ))
            .await;
        world.execute(&format!("update lethe.cleanup_tasks set scheduled_at = now() + interval '1 hour' where id = {task}")).await;
    }
    assert_eq!(world.status(task).await, "dead");
    world
        .expect_rows(
            "lethe.tasks where error_class = 'crash' and attempts = 3 and lane = 2",
            1,
        )
        .await;
    world
        .expect_rows("lethe.audit where error_class = 'crash'", 3)
        .await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_releases_the_tasks_in_flight_and_uses_up_no_attempt() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    world.s3.hold();
    let mut cleanup = quick();
    cleanup.shutdown_timeout = Duration::from_millis(500);
    let worker = world.worker_with(cleanup).await;
    world.until_status(task, "running").await;
    worker.stop().await;
    world.expect_rows(&format!("lethe.tasks where id = {task} and status = 'pending' and attempts = 0 and object_keys = '{{a/1}}'"), 1).await;
    world.s3.release();
    let worker = world.worker().await;
    world.until_status(task, "completed").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tasks_of_one_key_share_one_request() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "k/", 1_000).await;
    world
        .execute("select count(lethe.delete_sample(id, 'test')) from samples")
        .await;
    let worker = world.worker().await;
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    let sizes: Vec<usize> = world.s3.asked().iter().map(Vec::len).collect();
    assert_eq!(sizes, [1_000]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_taken_up_again_and_costs_no_attempt() {
    let world = World::new().await;
    world.user("user_a").await;
    let stray = world.sample("user_a", &["a/1"]).await;
    let next = world.sample("user_a", &["a/2"]).await;
    let worker = world.worker().await;
    world
        .until("exists (select from lethe.cleanup_workers where sleeping)")
        .await;
    let owner: String = world.one("select id from lethe.cleanup_workers").await;
    // Claimed in the worker's name, and the worker never hears of it.
    let task: i64 = world
        .one(&format!(
            "with sample as (update samples set deleted_at = now(), deleted_by = 'test' where id = '{stray}' returning id),
                  task as (insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys,
                      row_type, row_ids, status, attempts, lease_token, lease_owner)
                      select 'sample-delete', 'sample', id, 'user_a', '{{a/1}}', 'sample-image',
                          array(select i.id::text from sample_images i where i.sample_id = sample.id), 'running', 1, 1, '{owner}'
                      from sample returning id)
             select id from task"
        ))
        .await;
    // The next claim fails, as one does whose answer is lost: the worker cannot know what it took.
    world
        .execute(
            "create function refuse() returns trigger language plpgsql as 'begin raise exception ''gone'' using errcode = ''57P01''; end'",
        )
        .await;
    world
        .execute("create trigger refuse before update on lethe.cleanup_tasks for each row when (new.status = 'running') execute function refuse()")
        .await;
    let other = world.delete_sample(next).await;
    world
        .until(&format!(
            "exists (select from lethe.cleanup_workers where id <> '{owner}')"
        ))
        .await;
    world
        .execute("drop trigger refuse on lethe.cleanup_tasks")
        .await;
    world.until_status(other, "completed").await;
    world.until_status(task, "completed").await;
    world
        .expect_rows(
            &format!("lethe.tasks where id = {task} and attempts = 1"),
            1,
        )
        .await;
    world
        .expect_rows(
            &format!("lethe.cleanup_workers where id = '{owner}' and lost_at < expires_at"),
            1,
        )
        .await;
    assert!(world.s3.keys().is_empty());
    worker.stop().await;
}

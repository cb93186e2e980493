//! What a restore brings back, which keys are kept, and that no rows can hide from an erasure.

use std::time::{Duration, Instant};

use lethe::deletion::protection::protected_keys;
use lethe::deletion::requests::{Authority, EntityRef};
use lethe::deletion::restore::{RestoreOutcome, restore_entity};
use reqwest::Method;
use sqlx::Connection as _;
use uuid::Uuid;

use crate::support::service::{Service, answer};
use crate::support::world::World;
use lethe::vocabulary::WorkerProblem;

impl World {
    async fn restore(&self, sample: Uuid) -> RestoreOutcome {
        let id = sample.to_string();
        let entity = EntityRef {
            of_type: "sample",
            id: &id,
        };
        restore_entity(&self.pool, entity, Authority::Admin, "admin:ops")
            .await
            .unwrap()
    }

    async fn assert_restored(&self, sample: Uuid) {
        let outcome = self.restore(sample).await;
        assert!(matches!(outcome, RestoreOutcome::Live(_)), "{outcome:?}");
    }

    /// Deletes a sample that can be restored for ten minutes.
    async fn delete_with_grace(&self, sample: Uuid) -> i64 {
        self.one(&format!(
            "select lethe.delete_sample('{sample}', 'test', '10 minutes')"
        ))
        .await
    }

    async fn live_keys(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select object_key from sample_images where deleted_at is null order by object_key",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    async fn mark_sample(&self, sample: Uuid, age: &str) {
        self.execute(&format!(
            "update samples set deleted_at = now() - interval '{age}' where id = '{sample}'"
        ))
        .await;
    }

    async fn mark_images(&self, keys: &str, age: &str) {
        self.execute(&format!(
            "update sample_images set deleted_at = now() - interval '{age}' where object_key like '{keys}'"
        ))
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_the_application_marked_first_is_restored_with_its_images() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1", "a/2"]).await;
    world.mark_sample(sample, "1 minute").await;
    world.delete_with_grace(sample).await;
    assert!(world.live_keys().await.is_empty());
    world.assert_restored(sample).await;
    assert_eq!(world.live_keys().await, ["a/1", "a/2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_the_application_marked_apart_from_their_sample_are_restored_with_it() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/before", "a/after"]).await;
    world.mark_images("a/before", "3 minutes").await;
    world.mark_sample(sample, "2 minutes").await;
    world.mark_images("a/after", "1 minute").await;
    world.delete_with_grace(sample).await;
    world.assert_restored(sample).await;
    assert_eq!(world.live_keys().await, ["a/after", "a/before"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_was_deleted_before_its_sample_stays_deleted_after_a_restore() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world
        .sample("user_a", &["a/asked", "a/marked", "a/whole"])
        .await;
    world.mark_images("a/marked", "1 minute").await;
    // Both in one statement, so that they bear the same time.
    world
        .execute(&format!(
            "with image as materialized (
                 select lethe.delete_image(id, 'test', '10 minutes') as task from sample_images where object_key = 'a/asked')
             select task, lethe.delete_sample('{sample}', 'test', '10 minutes') from image"
        ))
        .await;
    world.assert_restored(sample).await;
    assert_eq!(world.live_keys().await, ["a/whole"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_a_sample_that_can_be_restored_is_kept_until_that_sample_goes() {
    let world = World::new().await;
    world.user("user_a").await;
    let restorable = world.sample("user_a", &["shared", "own"]).await;
    let copy = world.sample("user_a", &["shared", "copy"]).await;
    let worker = world.worker().await;
    world.delete_with_grace(restorable).await;
    let task = world.delete_sample(copy).await;
    world.until_status(task, "completed").await;
    assert_eq!(world.s3.keys(), ["own", "shared"]);
    world.assert_restored(restorable).await;
    assert_eq!(world.live_keys().await, ["own", "shared"]);
    let task = world.delete_sample(restorable).await;
    world.until_status(task, "completed").await;
    assert!(world.s3.keys().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_an_image_that_can_be_restored_is_kept_until_that_image_goes() {
    let world = World::new().await;
    world.user("user_a").await;
    let stays = world.sample("user_a", &["shared", "own"]).await;
    let copy = world.sample("user_a", &["shared", "copy"]).await;
    let worker = world.worker().await;
    let of_image: i64 = sqlx::query_scalar(
        "select lethe.delete_image(id, 'test', '10 minutes') from sample_images
         where object_key = 'shared' and sample_id = $1",
    )
    .bind(stays)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    let task = world.delete_sample(copy).await;
    world.until_status(task, "completed").await;
    assert_eq!(world.s3.keys(), ["own", "shared"]);
    world
        .execute(&format!(
            "update lethe.cleanup_tasks set scheduled_at = now() where id = {of_image}"
        ))
        .await;
    world.until_status(of_image, "completed").await;
    assert_eq!(world.s3.keys(), ["own"]);
    worker.stop().await;
}

/// The application may have dropped the constraint since `lethe migrate` looked.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_whose_key_is_null_stops_nobody_and_goes() {
    let world = World::new().await;
    world
        .execute("alter table public.sample_images alter column object_key drop not null")
        .await;
    for user in ["user_a", "user_b", "user_c"] {
        world.user(user).await;
    }
    let sample = world.sample("user_a", &["a/1"]).await;
    world.sample("user_b", &["b/1"]).await;
    world.sample("user_c", &["c/1"]).await;
    world
        .execute(
            "insert into public.sample_images (sample_id, object_key)
             select id, null from public.samples where user_id in ('user_a', 'user_b')",
        )
        .await;
    let worker = world.worker().await;
    for task in [
        world.delete_sample(sample).await,
        world.delete_user("user_b").await,
        world.delete_user("user_c").await,
    ] {
        world.until_status(task, "completed").await;
    }
    world.expect_rows("public.sample_images", 0).await;
    assert!(world.s3.keys().is_empty());
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_user_is_one_task_that_names_every_row() {
    let world = World::new().await;
    world.user("user_a").await;
    for n in 0..5 {
        world
            .sample("user_a", &[&format!("a/{n}/1"), &format!("a/{n}/2")])
            .await;
    }
    world.delete_user("user_a").await;
    world
        .expect_rows(
            "lethe.cleanup_tasks where user_id = 'user_a' and phase = 'rows'
                 and cardinality(row_ids) = 10 and cardinality(object_keys) = 10",
            1,
        )
        .await;
    world
        .expect_rows("lethe.cleanup_tasks where user_id = 'user_a'", 1)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_two_samples_goes_with_the_one_that_is_deleted_last() {
    let world = World::new().await;
    world.user("user_a").await;
    let worker = world.worker().await;
    // Due at the same time, and so most likely claimed together; and one after the other.
    for (n, grace) in ["0", "500 milliseconds"].into_iter().enumerate() {
        let key = format!("shared/{n}");
        let (first, second) = (
            world.sample("user_a", &[&key]).await,
            world.sample("user_a", &[&key]).await,
        );
        world
            .execute(&format!(
                "select lethe.delete_sample('{first}', 'test'), lethe.delete_sample('{second}', 'test', '{grace}')"
            ))
            .await;
        world
            .until("not exists (select from lethe.tasks where finished_at is null)")
            .await;
        assert!(world.s3.keys().is_empty(), "{grace}: {:?}", world.s3.keys());
        world.expect_rows("samples", 0).await;
    }
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_with_a_deletion_of_its_own_does_not_keep_its_key_for_its_sample() {
    let world = World::new().await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/asked", "a/whole"]).await;
    let image: i64 = world
        .one(
            "select lethe.delete_image(id, 'test') from sample_images where object_key = 'a/asked'",
        )
        .await;
    world.delete_with_grace(sample).await;
    let worker = world.worker().await;
    world.until_status(image, "completed").await;
    assert_eq!(world.s3.keys(), ["a/whole"]);
    world.assert_restored(sample).await;
    assert_eq!(world.live_keys().await, ["a/whole"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sample_that_an_erasure_took_up_is_not_restored_and_keeps_no_key() {
    let world = World::new().await;
    world.user("user_a").await;
    world.user("user_b").await;
    let sample = world.sample("user_a", &["shared"]).await;
    world.delete_with_grace(sample).await;
    world.delete_user("user_a").await;
    // The application gives it to somebody else.
    world.execute("update samples set user_id = 'user_b'").await;
    assert_eq!(world.restore(sample).await, RestoreOutcome::Begun);
    let keys = ["shared".to_owned()];
    assert!(
        protected_keys(&world.pool, &keys, &vec![String::new(); keys.len()])
            .await
            .unwrap()
            .kept
            .is_empty()
    );
}

/// How long a look at 1,000 keys of deleted samples takes, among as many open tasks as `sql/deletion` may meet,
/// with statistics of a time at which there were none.
#[tokio::test(flavor = "multi_thread")]
async fn keys_are_looked_up_one_by_one_whatever_the_statistics_say() {
    let world = World::new().await;
    world.user("user_a").await;
    world.execute("analyze").await;
    world
        .execute(
            "with s as (
                 insert into samples (user_id, deleted_at) select 'user_a', now() from generate_series(1, 40000)
                 returning id
             ), i as (insert into sample_images (sample_id, object_key) select id, 'a/' || id from s)
             insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id)
             select 'sample-delete', 'sample', id::text, 'user_a' from s",
        )
        .await;
    let keys: Vec<String> =
        sqlx::query_scalar("select object_key from sample_images order by id limit 1000")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    let mut times = Vec::new();
    for _ in 0..5 {
        let begun = Instant::now();
        assert_eq!(
            protected_keys(&world.pool, &keys, &vec![String::new(); keys.len()])
                .await
                .unwrap()
                .kept
                .len(),
            1000
        );
        times.push(begun.elapsed());
    }
    let best = times.iter().min().unwrap();
    println!("1,000 keys among 40,000 open tasks: {best:?}");
    assert!(*best < Duration::from_millis(500), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_row_level_security_hides_stop_the_worker_instead_of_being_forgotten() {
    let mut world = World::new().await;
    world.user("user_a").await;
    world.user("user_b").await;
    let sample = world.sample("user_a", &["shared", "own"]).await;
    world.sample("user_b", &["shared"]).await;
    world.user("user_c").await;
    world.sample("user_c", &[]).await;
    let role = format!("tenant_{}", Uuid::new_v4().simple());
    for sql in [
        format!("create role {role} login password 'tenant'"),
        format!("grant usage on schema lethe, lethe_map to {role}"),
        format!("grant all on all tables in schema public to {role}"),
        format!("grant all on all tables in schema lethe to {role}"),
        format!("grant execute on all functions in schema lethe to {role}"),
        "alter table samples enable row level security".to_owned(),
        "create policy own_rows on samples using (user_id = current_setting('app.user_id', true))"
            .to_owned(),
    ] {
        world.execute(&sql).await;
    }
    let task = world.delete_sample(sample).await;
    let (_, address) = world.url.split_once('@').unwrap();
    world.url = format!("postgres://{role}:tenant@{address}");
    let worker = world.worker().await;
    world
        .until(&format!(
            "exists (select from lethe.tasks where id = {task} and error_class = 'outage' and attempts = 0
                     and last_error like '%row-level security%BYPASSRLS%')"
        ))
        .await;
    assert_eq!(worker.status.problem(), Some(WorkerProblem::HiddenRows));
    // An erasure without objects meets the same when it removes its rows. No task is at fault, so none uses up an attempt.
    let root = world.delete_user("user_c").await;
    world
        .until(&format!(
            "exists (select from lethe.tasks where id = {root} and error_class = 'outage' and attempts = 0
                     and last_error like '%row-level security%BYPASSRLS%')"
        ))
        .await;
    assert_eq!(world.s3.keys(), ["own", "shared"]);
    world.expect_rows("samples", 3).await;
    // The SQL functions run with the rights of the schema's owner, who sees every row.
    let mut tenant = sqlx::PgConnection::connect(&world.url).await.unwrap();
    let same: i64 = sqlx::query_scalar("select lethe.delete_sample($1, 'test')")
        .bind(sample)
        .fetch_one(&mut tenant)
        .await
        .unwrap();
    assert_eq!(same, task);
    tenant.close().await.unwrap();

    // The remedy that the error names.
    world.execute(&format!("alter role {role} bypassrls")).await;
    world.until_status(task, "completed").await;
    world.until_status(root, "completed").await;
    assert_eq!(world.s3.keys(), ["shared"]);
    assert_eq!(world.live_keys().await, ["shared"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_table_takes_the_place_of_the_tombstones() {
    let world = World::new().await;
    world.delete_user("user_gone").await;
    let mut application = sqlx::PgConnection::connect(&world.url).await.unwrap();
    for sql in [
        "create temporary table user_tombstones (user_id text)",
        "create schema other create table user_tombstones (user_id text);
         set search_path = other, public",
    ] {
        sqlx::raw_sql(sql).execute(&mut application).await.unwrap();
        let refused = sqlx::query("insert into public.users (id) values ('user_gone')")
            .execute(&mut application)
            .await
            .unwrap_err();
        let refused = refused.into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some("users_not_tombstoned"), "{sql}");
        sqlx::query("discard temp")
            .execute(&mut application)
            .await
            .unwrap();
    }
    // Each function that names a table has its search path.
    world
        .expect_rows(
            "pg_proc where pronamespace = 'lethe'::regnamespace
                 and not coalesce('search_path=lethe, pg_temp' = any (proconfig), false)",
            0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_restores_what_they_deleted_and_nobody_elses_deletion() {
    let world = World::new().await;
    world.user("user_a").await;
    let service = Service::start_with(&world, &[("CLEANUP_GRACE_PERIOD_MS", "600000")]).await;
    let token = service.session("user_a");
    let sample = world.sample("user_a", &["a/1"]).await;
    let path = format!("/samples/{sample}");
    let restore = format!("/samples/{sample}/restore");

    let (status, _) = service.admin(Method::DELETE, &path).await;
    assert_eq!(status, 202);
    // To ask again changes nothing: the admin's deletion stays theirs.
    let (status, _) = answer(service.request(Method::DELETE, &path, &token)).await;
    assert_eq!(status, 202);
    let (status, problem) = answer(service.request(Method::POST, &restore, &token)).await;
    assert_eq!(status, 409, "{problem}");
    let (status, _) = service.admin(Method::POST, &restore).await;
    assert_eq!(status, 200);

    let (status, _) = answer(service.request(Method::DELETE, &path, &token)).await;
    assert_eq!(status, 202);
    let (status, _) = answer(service.request(Method::POST, &restore, &token)).await;
    assert_eq!(status, 200);

    world.mark_sample(sample, "1 minute").await;
    world.delete_with_grace(sample).await;
    let (status, problem) = answer(service.request(Method::POST, &restore, &token)).await;
    assert_eq!(status, 409, "nobody says that it was the owner: {problem}");
}

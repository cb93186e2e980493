//! What planning and erasing cost depends on the rows of the user alone, whatever the statistics say, however these
//! rows are arranged, and whoever else has rows.

use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::application::{Application, DONE_LIMIT};

/// The webhook's transaction, for a user of any size, on a machine that does other things besides.
const ACCEPT_LIMIT: Duration = Duration::from_millis(1_000);
/// Rows of one table that the accepting transaction may read.
const ACCEPT_READS: i64 = 25_000;

/// So many samples of so many images each, in one statement. Nobody asks for the objects.
async fn many(app: &Application, user: &str, samples: u32, images: u32) {
    app.user(user).await;
    app.execute(&format!(
        "with s as (insert into samples (user_id) select '{user}' from generate_series(1, {samples}) returning id)
         insert into sample_images (sample_id, object_key)
         select id, '{user}/' || id || '/' || n from s, generate_series(1, {images}) n"
    ))
    .await;
}

/// Rows of a table that the sessions of this database have read by index or by scan, those of programs that have ended
/// included.
async fn reads(app: &Application, tables: &str) -> i64 {
    // A session of a program tells what it read when it ends, before it leaves this list.
    app.until("not exists (select from pg_stat_activity where datname = current_database() and application_name = 'lethe')")
        .await;
    // A session is given back to the pool a moment after its last statement. Before that the pool would open another.
    while app.pool.num_idle() < app.pool.size() as usize {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut sessions = Vec::new();
    for _ in 0..app.pool.size() {
        sessions.push(app.pool.acquire().await.unwrap());
    }
    // A session that is idle tells what it read within ten seconds, unless it is asked for it.
    for session in &mut sessions {
        sqlx::query("select pg_stat_force_next_flush()")
            .execute(&mut **session)
            .await
            .unwrap();
    }
    drop(sessions);
    app.one(&format!(
        "select coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::bigint
         from pg_stat_user_tables where schemaname = 'public' and relname in ({tables})"
    ))
    .await
}

/// How many rows of samples and images the transaction reads that accepts an erasure, and how long it takes.
async fn accept(app: &Application, user: &str) -> (i64, Duration) {
    accept_reading(app, user, "public", "'samples', 'sample_images'").await
}

/// The same for other tables.
async fn accept_reading(
    app: &Application,
    user: &str,
    schema: &str,
    tables: &str,
) -> (i64, Duration) {
    let mut tx = app.pool.begin().await.unwrap();
    let began = Instant::now();
    sqlx::query("select lethe.delete_user($1, 'test')")
        .bind(user)
        .execute(&mut *tx)
        .await
        .unwrap();
    let took = began.elapsed();
    let read: i64 = sqlx::query_scalar(AssertSqlSafe(format!(
        "select coalesce(sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)), 0)::bigint
         from pg_stat_xact_user_tables where schemaname = '{schema}' and relname in ({tables})"
    )))
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    (read, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_accepted_at_once_whatever_the_shape_of_the_users_rows() {
    for (samples, images) in [(10, 10_000), (1_000, 100), (100_000, 1), (100_000, 0)] {
        let app = Application::new().await;
        many(&app, "user_giant", samples, images).await;
        let (read, took) = accept(&app, "user_giant").await;
        println!("{samples} samples of {images} images: {read} rows read, {took:?}");
        assert!(
            read <= ACCEPT_READS,
            "{samples} samples of {images} images: {read} rows read"
        );
        assert!(
            took < ACCEPT_LIMIT,
            "{samples} samples of {images} images: {took:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_accepted_at_once_with_statistics_of_a_time_without_open_tasks() {
    let app = Application::new().await;
    app.user("user_old").await;
    app.samples("user_old", "user_old/", 3_000).await;
    app.execute(
        "select count(lethe.delete_sample(id, 'test')) from samples where user_id = 'user_old'",
    )
    .await;
    let worker = app.worker().await;
    app.until("not exists (select from samples where user_id = 'user_old')")
        .await;
    worker.stop().await;
    app.freeze_statistics(true).await;
    // Since then others have deleted samples that can be restored.
    many(&app, "user_others", 30_000, 1).await;
    app.execute(
        "select count(lethe.delete_sample(id, 'test', '1 hour')) from samples where user_id = 'user_others'",
    )
    .await;
    many(&app, "user_a", 4_000, 2).await;
    let (_, took) = accept(&app, "user_a").await;
    assert!(took < ACCEPT_LIMIT, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_done_on_tables_that_were_never_analyzed() {
    let app = Application::new().await;
    app.freeze_statistics(false).await;
    many(&app, "user_others", 20_000, 1).await;
    many(&app, "user_a", 1_000, 10).await;
    app.execute("update samples set collection_id = (select id from collections where user_id = 'user_others') where user_id = 'user_others'")
        .await;
    let (_, took) = accept(&app, "user_a").await;
    assert!(took < ACCEPT_LIMIT, "{took:?}");
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        "not exists (select from users where id = 'user_a')",
    )
    .await;
    app.expect_nothing_left("user_a").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_user_costs_as_much_beside_a_giant_as_alone() {
    let app = Application::new().await;
    many(&app, "user_giant", 60_000, 0).await;
    app.execute("insert into collections (user_id, name) select 'user_giant', 'g' from generate_series(1, 60000)")
        .await;
    app.freeze_statistics(true).await;
    for table in ["samples", "collections"] {
        app.execute(&format!(
            "update {table} set deleted_at = now(), deleted_by = 'app' where user_id = 'user_giant'"
        ))
        .await;
    }
    many(&app, "user_small", 12, 1).await;
    app.execute("insert into collections (user_id, name) select 'user_small', 's' from generate_series(1, 3)")
        .await;
    let before = reads(&app, "'samples', 'collections'").await;
    let root = app.delete_user("user_small").await;
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {root})"),
    )
    .await;
    worker.stop().await;
    let read = reads(&app, "'samples', 'collections'").await - before;
    println!("{read} rows read for a user of 16");
    assert!(read < 2_000, "{read} rows read for a user of 16");
    app.expect_nothing_left("user_small").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_accepted_at_the_same_cost_beside_many_open_ones() {
    let app = Application::new().await;
    app.freeze_statistics(true).await;
    app.execute("insert into users (id) select 'user_' || n from generate_series(1, 3000) n")
        .await;
    app.execute("select count(lethe.delete_user(id, 'test')) from users where id ~ '^user_[0-9]'")
        .await;
    many(&app, "user_a", 5, 2).await;
    let (read, _) = accept_reading(&app, "user_a", "lethe", "'cleanup_tasks'").await;
    assert!(
        read < 50,
        "{read} rows of tasks read beside 3,000 open erasures"
    );
}

/// Rows of samples that are read for each sample of a user of so many.
async fn reads_per_sample(samples: u32, images: u32) -> f64 {
    let app = Application::new().await;
    many(&app, "user_a", samples, images).await;
    app.execute("analyze").await;
    let before = reads(&app, "'samples', 'sample_images'").await;
    let root = app.delete_user("user_a").await;
    let worker = app.worker().await;
    app.until(&format!(
        "(select status = 'completed' from lethe.tasks where id = {root})"
    ))
    .await;
    worker.stop().await;
    let read = reads(&app, "'samples', 'sample_images'").await - before;
    app.expect_nothing_left("user_a").await;
    read as f64 / f64::from(samples)
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_without_images_cost_the_same_each_however_many() {
    let (few, many) = (
        reads_per_sample(6_000, 0).await,
        reads_per_sample(36_000, 0).await,
    );
    println!("rows read for each sample: {few:.1} of 6,000, {many:.1} of 36,000");
    assert!(
        many < few * 1.5 + 1.0,
        "{few:.1} of 6,000, {many:.1} of 36,000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_with_many_images_cost_the_same_each_however_many() {
    let (few, many) = (
        reads_per_sample(60, 100).await,
        reads_per_sample(360, 100).await,
    );
    println!("rows read for each sample: {few:.0} of 60, {many:.0} of 360");
    assert!(many < few * 1.5, "{few:.0} of 60, {many:.0} of 360");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_images_of_one_sample_cost_the_same_each_however_many() {
    let few = reads_per_sample(1, 8_000).await / 8_000.0;
    let many = reads_per_sample(1, 48_000).await / 48_000.0;
    println!("rows read for each image: {few:.1} of 8,000, {many:.1} of 48,000");
    assert!(
        many < few * 1.5 + 1.0,
        "{few:.1} of 8,000, {many:.1} of 48,000"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_30000_collections_is_erased_in_steps() {
    let app = Application::new().await;
    app.user("user_a").await;
    app.execute("insert into collections (user_id, name) select 'user_a', 'c' from generate_series(1, 30000)")
        .await;
    let (_, took) = accept(&app, "user_a").await;
    assert!(took < ACCEPT_LIMIT, "{took:?}");
    let worker = app.worker().await;
    app.within(
        DONE_LIMIT * 2,
        "not exists (select from users where id = 'user_a')",
    )
    .await;
    app.expect_nothing_left("user_a").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nil_and_maximal_ids_are_planned_like_any_other() {
    let app = Application::new().await;
    for (user, id) in [("user_nil", Uuid::nil()), ("user_max", Uuid::max())] {
        app.user(user).await;
        let key = format!("{user}/1");
        app.s3.put(&key);
        app.execute(&format!(
            "with s as (insert into samples (id, user_id) values ('{id}', '{user}') returning id)
             insert into sample_images (id, sample_id, object_key) select '{id}', id, '{key}' from s"
        ))
        .await;
        app.sample(user, &[&format!("{user}/2")]).await;
        app.delete_user(user).await;
    }
    let worker = app.worker().await;
    for user in ["user_nil", "user_max"] {
        app.within(
            DONE_LIMIT,
            &format!("not exists (select from users where id = '{user}')"),
        )
        .await;
        app.expect_nothing_left(user).await;
    }
    assert_eq!(app.s3.keys(), ["keep/1"]);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_waits_calmly_for_a_sample_that_somebody_holds() {
    let app = Application::new().await;
    app.user("user_a").await;
    app.samples("user_a", "user_a/", 30).await;
    let last: Uuid = app
        .one("select id from samples where user_id = 'user_a' order by id desc limit 1")
        .await;
    let held = app
        .hold(&format!(
            "select from samples where id = '{last}' for update"
        ))
        .await;
    app.s3.hold();
    let root = app.delete_user("user_a").await;
    let worker = app.worker().await;
    app.until(&format!("exists (select from lethe.cleanup_tasks where user_id = 'user_a' and status = 'running' or id = {root} and attempts > 0)"))
        .await;
    let claims = "select sum(lease_token)::bigint from lethe.tasks where user_id = 'user_a'";
    let before: i64 = app.one(claims).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let in_four_seconds = app.one::<i64>(claims).await - before;
    assert!(in_four_seconds <= 12, "{in_four_seconds} claims in 4 s");
    let audit = app
        .count("lethe.cleanup_audit where user_id = 'user_a'")
        .await;
    assert!(audit <= 10, "{audit} audit rows");
    app.s3.release();
    held.release().await;
    app.within(
        DONE_LIMIT,
        &format!("(select status = 'completed' from lethe.tasks where id = {root})"),
    )
    .await;
    app.expect_nothing_left("user_a").await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_deleted_in_the_future_lives_until_then_and_keeps_its_key() {
    let app = Application::new().await;
    app.user("user_a").await;
    for (n, time) in ["now() + interval '1 hour'", "'infinity'"]
        .into_iter()
        .enumerate()
    {
        let key = format!("user_a/shared_{n}");
        let stays = app.sample("user_a", &[&key]).await;
        app.execute(&format!(
            "update sample_images set deleted_at = {time} where sample_id = '{stays}'"
        ))
        .await;
        let goes = app.sample("user_a", &[&key]).await;
        let task = app.delete_sample(goes).await;
        let worker = app.worker().await;
        app.until(&format!(
            "(select status = 'completed' from lethe.tasks where id = {task})"
        ))
        .await;
        assert!(
            app.s3.contains(&key),
            "{time}: the object of an image that is not deleted yet"
        );
        worker.stop().await;
    }
}

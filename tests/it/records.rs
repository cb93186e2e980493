//! The records of finished tasks: what it costs to write them, and how long they stay.

use sqlx::Row as _;

use crate::support::world::World;

/// Claims every task in the name of a worker that does not exist, and settles it.
const SETTLE: &str = "with claimed as (
        update lethe.cleanup_tasks
        set status = 'running', lease_owner = 'test', lease_token = lease_token + 1, attempts = attempts + 1
        returning id
    ) select array_agg(id) from claimed";

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_an_erasure_reads_no_tombstone_of_others() {
    let world = World::new().await;
    world
        .execute(
            "insert into lethe.user_tombstones (user_id, deleted_by)
             select 'user_gone_' || n, 'test' from generate_series(1, 20000) n",
        )
        .await;
    world.execute("analyze lethe.user_tombstones").await;
    for user in ["user_x", "user_y", "user_z"] {
        world.user(user).await;
        world.sample(user, &[&format!("{user}/1")]).await;
        world.delete_user(user).await;
    }
    let mut tx = lethe::db::transaction::begin(&world.pool).await.unwrap();
    let tasks: Vec<i64> = sqlx::query_scalar(SETTLE)
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    let settled =
        sqlx::query("select result from lethe_map.settle_tasks('test', $1, null, null, false)")
            .bind(&tasks)
            .fetch_all(&mut *tx)
            .await
            .unwrap();
    let read: i64 = sqlx::query_scalar(
        "select coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_xact_all_tables
         where relid = 'lethe.user_tombstones'::regclass",
    )
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let results: Vec<String> = settled.iter().map(|row| row.get(0)).collect();
    assert_eq!(results, ["completed"; 3]);
    assert!(read <= 12, "{read} tombstones were read for three erasures");
    world.expect_rows("lethe.receipts", 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_with_their_day_but_not_before_their_erasure_ends() {
    let world = World::new().await;
    let record = |id: i64, user: &str, parent: &str, days: i32| {
        format!(
            "insert into lethe.finished_tasks (id, kind, entity_type, entity_id, user_id, parent_id, status, attempts,
                 scheduled_at, created_at, finished_at, object_keys, kept_keys, row_ids)
             values ({id}, 'user-delete-part', 'user', '{user}', '{user}', {parent}, 'completed', 1, now(), now(),
                 now() - interval '{days} days', '{{}}', '{{}}', '{{}}')"
        )
    };
    for days in [40, 41] {
        world
            .execute(&format!(
                "do $$ declare day date := (now() at time zone 'utc')::date - {days}; begin
                     execute format('create table lethe.%I partition of lethe.finished_tasks for values from (%L) to (%L)',
                         'finished_tasks_' || to_char(day, 'YYYYMMDD'), day::timestamp at time zone 'utc',
                         (day + 1)::timestamp at time zone 'utc');
                 end $$"
            ))
            .await;
    }
    let root = world.delete_user("user_open").await;
    world.execute(&record(-1, "user_past", "null", 40)).await;
    world
        .execute(&record(-2, "user_open", &root.to_string(), 41))
        .await;
    // A day without a partition of its own.
    world.execute(&record(-3, "user_past", "null", 60)).await;
    world.execute(&record(-4, "user_past", "null", 0)).await;

    let dropped: i32 = world.one("select lethe.drop_partitions(30)").await;
    assert_eq!(dropped, 1);
    let left = "select array_agg(id order by id) from lethe.finished_tasks";
    assert_eq!(world.one::<Vec<i64>>(left).await, [-4, -2]);

    world.execute("delete from lethe.cleanup_tasks").await;
    let dropped: i32 = world.one("select lethe.drop_partitions(30)").await;
    assert_eq!(dropped, 1);
    assert_eq!(world.one::<Vec<i64>>(left).await, [-4]);
    let made: i32 = world.one("select lethe.make_partitions(9)").await;
    assert_eq!(made, 2, "seven days are there since the migration");
}

//! Many rows that are deleted alone at the same time, each with what goes along with it.

use serde_json::{Value, json};
use sqlx::Connection as _;

use super::database::{Application, MapFile, USER_B};

const SQL: &str = "
    create table users (id text primary key);
    create table folders (id bigint primary key, user_id text not null references users, deleted_at timestamptz);
    create table files (id bigint primary key, folder_id bigint not null references folders, object_key text not null);
    -- Without a key and without an index on what it references.
    create table file_versions (file_id bigint not null references files, note text);
    create index on folders (user_id);
    create index on files (folder_id);
    create index on files (object_key);
    insert into users values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb');
    insert into folders select n, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa' from generate_series(1, 300) n;
    insert into folders values (1000, 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb');
    insert into files select n * 10 + m, n, 'f/' || n || '/' || m from generate_series(1, 300) n, generate_series(1, 2) m;
    insert into file_versions select id, 'v' || n from files, generate_series(1, 2) n;
";

const MAP: &str = "
version = 1
[bucket.main]
[user]
table = \"users\"
[table.folders]
type = \"folder\"
api = true
soft_delete = { at = \"deleted_at\" }
on_erase.user_id = \"delete\"
[table.files]
type = \"file\"
on_erase.folder_id = \"delete\"
objects = [{ column = \"object_key\", bucket = \"main\", within = \"f/\" }]
[table.file_versions]
type = \"version\"
on_erase.file_id = \"delete\"
";

async fn three_hundred_folders() -> (Application, MapFile) {
    let (application, file) = Application::migrated(SQL, MAP).await;
    let world = &application.world;
    for folder in 1..=300 {
        for file in 1..=2 {
            world.s3.put(&format!("f/{folder}/{file}"));
        }
    }
    (application, file)
}

/// Deletes every folder of the first user in one statement.
async fn delete_all(application: &Application) {
    let asked: i64 = application
        .world
        .one("select count(lethe.delete('folder', id::text, 'job:test')) from folders where id <= 300")
        .await;
    assert_eq!(asked, 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_of_them_go_and_each_record_names_its_own_rows() {
    let (application, _file) = three_hundred_folders().await;
    let world = &application.world;
    delete_all(&application).await;
    // A file that came since, one that went to a folder of somebody else, and one that is gone.
    world
        .execute("insert into files values (9001, 1, 'f/late')")
        .await;
    world.s3.put("f/late");
    world
        .execute("update files set folder_id = 1000 where id = 21")
        .await;
    world
        .execute("delete from file_versions where file_id = 31")
        .await;
    world.execute("delete from files where id = 31").await;
    let worker = world.worker().await;
    application.until_settled().await;
    worker.stop().await;

    world.expect_rows("folders", 1).await;
    world.expect_rows("files where id = 21", 1).await;
    world.expect_rows("files", 1).await;
    world.expect_rows("file_versions", 2).await;
    let left = world.s3.keys_in("lethe");
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["f/2/1"]);
    let rows = |id: i32| {
        let sql = format!(
            "select more_rows from lethe.finished_tasks where entity_id = '{id}' and status = 'completed'"
        );
        async move { world.one::<Value>(&sql).await }
    };
    let version = ["-", "-", "-", "-"];
    assert_eq!(
        rows(7).await,
        json!({"folder": ["7"], "file": ["71", "72"], "version": version})
    );
    assert_eq!(
        rows(2).await,
        json!({"folder": ["2"], "file": ["22"], "version": ["-", "-"]})
    );
    assert_eq!(
        rows(3).await,
        json!({"folder": ["3"], "file": ["32"], "version": ["-", "-"]})
    );
    // What an unfinished attempt removed is in the audit trail.
    let removed: i64 = world
        .one(
            "select sum(jsonb_array_length(e.value))::bigint from (
                 select more_rows as rows from lethe.finished_tasks where entity_id = '1'
                 union all select rows_removed from lethe.cleanup_audit where entity_id = '1') r
             cross join lateral jsonb_each(r.rows) e",
        )
        .await;
    assert_eq!(removed, 8, "a folder, three files, four versions");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_held_and_one_that_a_trigger_keeps_stop_no_other() {
    let (application, _file) = three_hundred_folders().await;
    let world = &application.world;
    world
        .execute(
            "create function public.keep() returns trigger language plpgsql as
             'begin return case when old.id = 31 then null else old end; end'",
        )
        .await;
    world
        .execute("create trigger keep before delete on files for each row execute function public.keep()")
        .await;
    delete_all(&application).await;
    let mut holder = application.connection().await;
    let mut held = holder.begin().await.unwrap();
    sqlx::query("select from folders where id = 2 for update")
        .execute(&mut *held)
        .await
        .unwrap();
    let worker = world.worker().await;
    world.until("(select count(*) = 3 from folders)").await;
    world
        .until("exists (select from lethe.cleanup_tasks where entity_id = '3' and attempts > 0 and last_error like '%folder%')")
        .await;
    world
        .expect_rows("lethe.finished_tasks where status = 'completed'", 298)
        .await;
    held.rollback().await.unwrap();
    world.execute("drop function public.keep() cascade").await;
    world
        .execute("update lethe.cleanup_tasks set scheduled_at = now()")
        .await;
    application.until_settled().await;
    worker.stop().await;
    world.expect_rows("folders", 1).await;
    world.expect_rows("files", 0).await;
    assert!(world.s3.keys_in("lethe").is_empty());
    let of_kept: i64 = world
        .one(
            "select sum(jsonb_array_length(e.value))::bigint from (
                 select more_rows as rows from lethe.finished_tasks where entity_id = '3'
                 union all select rows_removed from lethe.cleanup_audit where entity_id = '3') r
             cross join lateral jsonb_each(r.rows) e",
        )
        .await;
    assert_eq!(of_kept, 7, "a folder, two files, four versions, each once");
}

const SAME_IDS: &str = "
    create table users (id text primary key);
    create table folders (id bigint primary key, user_id text not null references users, deleted_at timestamptz);
    create table files (id bigint primary key, user_id text not null references users, object_key text not null, deleted_at timestamptz);
    create index on folders (user_id);
    create index on files (user_id);
    create index on files (object_key);
    insert into users values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb');
    insert into folders values (7, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa');
    insert into files values (7, 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', 'f/7');
";

const MAP_OF_SAME_IDS: &str = "
version = 1
[bucket.main]
[user]
table = \"users\"
[table.folders]
type = \"folder\"
api = true
soft_delete = { at = \"deleted_at\" }
on_erase.user_id = \"delete\"
[table.files]
type = \"file\"
api = true
soft_delete = { at = \"deleted_at\" }
on_erase.user_id = \"delete\"
objects = [{ column = \"object_key\", bucket = \"main\", within = \"f/\" }]
";

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_two_types_with_the_same_id_have_nothing_to_do_with_each_other() {
    let (application, _file) = Application::migrated(SAME_IDS, MAP_OF_SAME_IDS).await;
    let world = &application.world;
    world.s3.put("f/7");
    let folder: i64 = world
        .one("select lethe.delete('folder', '7', 'job:test', '1 hour')")
        .await;
    let file: i64 = world
        .one("select lethe.delete('file', '7', 'job:test', '1 hour')")
        .await;
    assert_ne!(folder, file);
    let listed = world.run(&["deleted", "--json"], &[]).await;
    assert!(listed.status.success(), "{listed:?}");
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    for (of_type, task) in [("folder", folder), ("file", file)] {
        let mut rows = listed["items"].as_array().unwrap().iter();
        let row = rows.find(|row| row["entityType"] == of_type).unwrap();
        assert_eq!(row["taskId"], task.to_string(), "{row}");
    }

    // The erasure of the file's owner takes the file's own task along, and leaves the folder its grace.
    let worker = world.worker().await;
    world.delete_user(USER_B).await;
    world.until("not exists (select from files)").await;
    world
        .until("(select count(*) = 1 from lethe.cleanup_tasks)")
        .await;
    worker.stop().await;
    world
        .expect_rows(
            &format!("lethe.cleanup_tasks where id = {folder} and parent_id is null and scheduled_at > now() + interval '50 minutes'"),
            1,
        )
        .await;
    world.expect_rows("folders", 1).await;
}

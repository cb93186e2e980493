//! An object that two columns name, of which one does not allow it to be deleted.

use super::database::{Application, USER_A};

const SQL: &str = "
    create table users (id text primary key);
    create table files (id bigint primary key, user_id text not null references users, original text, thumbnail text);
    create index on files (user_id);
    create index on files (original);
    create index on files (thumbnail);
    insert into users values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa');
    -- The thumbnail of the first one is the original itself, that of the second is nobody's to delete.
    insert into files values (1, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 'o/1', 'o/1'),
                             (2, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', null, 'shared/2');
";

const MAP: &str = "
version = 1
[bucket.main]
[user]
table = \"users\"
[table.files]
on_erase.user_id = \"delete\"
objects = [
  { column = \"original\", bucket = \"main\", within = \"o/\" },
  { column = \"thumbnail\", bucket = \"main\", within = \"t/\" },
]
";

#[tokio::test(flavor = "multi_thread")]
async fn an_object_goes_if_one_column_allows_it_also_after_a_retry() {
    let (application, _file) = Application::migrated(SQL, MAP).await;
    let world = &application.world;
    for key in ["o/1", "shared/2"] {
        world.s3.put(key);
    }
    world.delete_user(USER_A).await;
    let part = "lethe.cleanup_tasks where kind = 'user-delete-part' and object_keys = '{o/1}'";
    world.expect_rows(part, 1).await;
    world
        .execute(
            "update lethe.cleanup_tasks set status = 'dead', attempts = 3, error_class = 'blocked', last_error = 'AccessDenied'
             where object_keys = '{o/1}'",
        )
        .await;
    let retried = world
        .run(&["tasks", "retry", "--all-dead", "--reason", "mended"], &[])
        .await;
    assert!(retried.status.success(), "{retried:?}");
    world.expect_rows(part, 1).await;
    let worker = world.worker().await;
    application.until_settled().await;
    worker.stop().await;
    world.expect_rows("files", 1).await;
    assert!(!world.s3.contains("o/1"));
    assert!(world.s3.contains("shared/2"));
}

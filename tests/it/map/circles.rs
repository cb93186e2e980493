//! Rows that hang on each other: long chains and rings, with their objects.

use lethe::evidence::receipt;
use lethe::vocabulary::UserId;

use super::database::{Application, USER_A, USER_B};

const SQL: &str = "
    create table users (id text primary key);
    create table messages (
        id bigint primary key, user_id text references users, reply_to bigint references messages, object_key text not null,
        deleted_at timestamptz);
    create index on messages (user_id);
    create index on messages (reply_to);
    create index on messages (object_key);
    insert into users values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa'), ('user_2bbbbbbbbbbbbbbbbbbbbbbbbbb');
    -- A chain of answers by others below one message.
    insert into messages
    select n, case when n = 1 then 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa' end, nullif(n - 1, 0), 'm/' || n from generate_series(1, 1500) n;
    -- Two that answer each other, and one that answers itself.
    insert into messages values (2001, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', null, 'm/2001'), (2002, null, 2001, 'm/2001');
    update messages set reply_to = 2002 where id = 2001;
    insert into messages values (2003, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa', 2003, 'm/2003');
    -- Those of somebody else.
    insert into messages values (3001, 'user_2bbbbbbbbbbbbbbbbbbbbbbbbbb', null, 'm/3001'), (3002, null, 3001, 'm/3002');
    analyze;
";

const MAP: &str = "
version = 1
[bucket.main]
[user]
table = \"users\"
[table.messages]
soft_delete = { at = \"deleted_at\" }
on_erase = { user_id = \"delete\", reply_to = { do = \"delete\", others = \"too\" } }
objects = [{ column = \"object_key\", bucket = \"main\", within = \"m/\" }]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_long_chain_and_a_ring_go_with_their_objects() {
    let (application, _file) = Application::migrated(SQL, MAP).await;
    let world = &application.world;
    for key in (1..=1500).chain([2001, 2003, 3001, 3002]) {
        world.s3.put(&format!("m/{key}"));
    }
    let worker = world.worker().await;
    world.delete_user(USER_A).await;
    application.until_settled().await;
    worker.stop().await;
    world.expect_rows("messages", 2).await;
    world
        .expect_rows(&format!("users where id = '{USER_B}'"), 1)
        .await;
    let left = world.s3.keys_in("lethe");
    assert_eq!(left.into_iter().collect::<Vec<_>>(), ["m/3001", "m/3002"]);
    let mut connection = application.connection().await;
    let receipt = receipt(&mut connection, &UserId::parse(USER_A).unwrap())
        .await
        .unwrap()
        .unwrap();
    // Two messages name the same object.
    assert_eq!(receipt.objects_deleted, 1502);
    assert_eq!(receipt.rows_deleted.values().sum::<i64>(), 1504);
}

//! What `lethe check` says of the erasure map and of its buckets.

use super::database::{Application, MapFile};
use super::story::acme;
use crate::check::{check, row};
use crate::support::world::World;

const BUCKETS: &str = "version = 1\n[bucket.one]\nname = \"first\"\n[bucket.main]\n[user]\ntable = \"users\"\n\
    [table.a]\non_erase.user_id = \"delete\"\n\
    objects = [{ column = \"key\", bucket = \"one\", within = \"any\" }, { column = \"other\", bucket = \"main\", within = \"any\" }]\n";

async fn application(map: &str) -> (Application, MapFile) {
    let application = Application::new(
        "create table users (id text primary key);
         create table a (id int primary key, user_id text references users, key text, other text);",
    )
    .await;
    let file = MapFile::new(map);
    let given = [("ERASURE_MAP", file.path())];
    let migrated = application.world.run(&["migrate"], &given).await;
    assert!(migrated.status.success(), "{migrated:?}");
    (application, file)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_map_than_the_applied_one_is_wrong() {
    let (application, file) = acme().await;
    let world = &application.world;
    let (is_fine, text) = check(world, &[("ERASURE_MAP", file.path())]).await;
    assert!(is_fine, "{text}");
    let map = row(&text, "erasure map");
    assert!(
        map[0] == "ok" && map[2].contains("the map of ERASURE_MAP is applied"),
        "{text}"
    );
    // A process without a file takes the one that the database has.
    let (is_fine, text) = check(world, &[]).await;
    assert!(is_fine, "{text}");
    assert_eq!(row(&text, "erasure map")[0], "ok", "{text}");

    let other = MapFile::new(&format!(
        "{}\n# another\n",
        std::fs::read_to_string(file.path()).unwrap()
    ));
    let (is_fine, text) = check(world, &[("ERASURE_MAP", other.path())]).await;
    assert!(!is_fine, "{text}");
    let map = row(&text, "erasure map");
    assert!(
        map[0] == "WRONG" && map[3].contains("lethe map apply"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_a_map_is_told_to_migrate() {
    let (is_fine, text) = check(&World::unmigrated().await, &[]).await;
    assert!(!is_fine, "{text}");
    let map = row(&text, "erasure map");
    assert!(
        map[0] == "WRONG" && map[3].contains("lethe migrate"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_gate_finds_is_counted() {
    let (application, _file) = acme().await;
    let world = &application.world;
    application
        .run("create table \"Note\" (id int primary key, \"authorId\" text references \"User\");")
        .await;
    let (is_fine, text) = check(world, &[]).await;
    let map = row(&text, "erasure map");
    // Work goes on, and receipts say `incomplete`.
    assert!(
        is_fine && map[0] == "-" && map[2].contains("finds 1 incomplete"),
        "{text}"
    );
    assert!(map[3].contains("lethe map check"), "{text}");
    application
        .run("alter table \"Asset\" drop column keys")
        .await;
    let (is_fine, text) = check(world, &[]).await;
    let map = row(&text, "erasure map");
    assert!(
        !is_fine && map[0] == "WRONG" && map[2].contains("1 dangerous"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bucket_of_the_map_is_tried() {
    let (application, _file) = application(BUCKETS).await;
    let world = &application.world;
    let (is_fine, text) = check(world, &[]).await;
    assert!(is_fine, "{text}");
    for name in [
        "bucket (first)",
        "delete permission (first)",
        "versioning (first)",
        "open uploads (first)",
    ] {
        assert_eq!(row(&text, name)[0], "ok", "{text}");
    }
    world.s3.only_bucket("lethe");
    let (is_fine, text) = check(world, &[]).await;
    assert!(!is_fine, "{text}");
    assert_eq!(row(&text, "bucket")[0], "ok", "{text}");
    let bucket = row(&text, "bucket (first)");
    assert!(
        bucket[0] == "WRONG" && bucket[3].contains("[bucket.one]"),
        "{text}"
    );
    assert!(!bucket[3].contains("S3_BUCKET"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bucket_under_two_names_is_wrong() {
    let (application, _file) = application(&BUCKETS.replace("\"first\"", "\"lethe\"")).await;
    let (is_fine, text) = check(&application.world, &[]).await;
    let names = row(&text, "bucket names");
    assert!(
        !is_fine && names[0] == "WRONG" && names[2].contains("[bucket.one]"),
        "{text}"
    );
    // A map whose only alias has the name of S3_BUCKET means one object by one name.
    let alone = BUCKETS
        .replace("\"first\"", "\"lethe\"")
        .replace("[bucket.main]\n", "")
        .replace("\"main\"", "\"one\"");
    let (application, _file) = self::application(&alone).await;
    let (is_fine, text) = check(&application.world, &[]).await;
    assert!(is_fine && !text.contains("bucket names"), "{text}");
}

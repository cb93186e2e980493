//! `lethe map`: its exit codes and what it prints.

use serde_json::Value;

use super::database::{Application, MapFile, USER_A};

const SQL: &str = "create table users (id text primary key); create table a (id int primary key, user_id text references users);";
const COMPLETE: &str =
    "version = 1\n[user]\ntable = \"users\"\n[table.a]\non_erase.user_id = \"delete\"\n";
const INCOMPLETE: &str = "version = 1\n[user]\ntable = \"users\"\n";

async fn run(application: &Application, arguments: &[&str], file: &str) -> (i32, String, String) {
    let file = MapFile::new(file);
    let arguments = [&["map"], arguments, &["--map", file.path()]].concat();
    let output = application.world.run(&arguments, &[]).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_by_its_exit_code_what_it_found() {
    let application = Application::new(SQL).await;
    let (code, text, errors) = run(&application, &["check"], COMPLETE).await;
    assert_eq!(code, 0, "{text}{errors}");
    assert!(text.contains("Nothing was found."), "{text}");

    let (code, text, _) = run(&application, &["check"], INCOMPLETE).await;
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("incomplete  no-rule  a.user_id"), "{text}");
    assert!(
        text.contains("-> Give the rule on_erase.user_id to [table.a]"),
        "{text}"
    );
    assert!(text.trim_end().ends_with("1 incomplete"), "{text}");

    for sql in [
        "insert into users values ('user_1')",
        "insert into a select n, 'user_1' from generate_series(1, 10001) n",
        "analyze a",
    ] {
        application.world.execute(sql).await;
    }
    let (_, text, _) = run(&application, &["check"], INCOMPLETE).await;
    assert!(
        text.contains("reads all of its about 10001 rows for each row that is erased: create index concurrently on public.a (user_id);"),
        "{text}"
    );

    let (code, _, errors) = run(&application, &["check"], "version = 2\n").await;
    assert_eq!(code, 2, "{errors}");
    assert!(
        errors.contains("line 1, version: ") && errors.contains("line 1, user: is missing."),
        "{errors}"
    );

    let away = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    let output = application.world.run(&["map", "check"], &away).await;
    assert_eq!(output.status.code(), Some(1));
    let output = application
        .world
        .run(&["map", "check", "--map", "/nowhere.toml"], &[])
        .await;
    assert_eq!(output.status.code(), Some(2));
    let from_environment = [("ERASURE_MAP", "/nowhere.toml")];
    let output = application
        .world
        .run(&["map", "check"], &from_environment)
        .await;
    assert_eq!(output.status.code(), Some(2));
    // Each fault is a sentence that ends once.
    let file = MapFile::new("version = 1\n[user]\ntable = \"users\"\nnothing = 1\n");
    let given = [("ERASURE_MAP", file.path())];
    let output = application.world.run(&["migrate"], &given).await;
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("user.nothing") && !errors.contains(".."),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_is_not_the_applied_one_is_told_last() {
    let application = Application::new(&format!(
        "{SQL} create schema lethe; create table lethe.maps (id int primary key, digest text); insert into lethe.maps values (1, 'other');"
    )).await;
    let (code, text, _) = run(&application, &["check"], COMPLETE).await;
    assert_eq!(code, 4, "{text}");
    assert!(
        text.contains("The map that is applied is another (other)."),
        "{text}"
    );
    assert_eq!(run(&application, &["check"], INCOMPLETE).await.0, 3);
    let digest = lethe::map::format::ErasureMap::parse(COMPLETE)
        .unwrap()
        .digest;
    application
        .run(&format!("insert into lethe.maps values (2, '{digest}')"))
        .await;
    assert_eq!(run(&application, &["check"], COMPLETE).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_count_where_they_are_asked_for() {
    let application = Application::new(&format!(
        "{SQL} create materialized view v as select id from a;"
    ))
    .await;
    let (code, text, _) = run(&application, &["check"], COMPLETE).await;
    assert_eq!((code, text.contains("1 note")), (0, true), "{text}");
    assert_eq!(
        run(&application, &["check", "--strict"], COMPLETE).await.0,
        3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_come_as_json_and_as_annotations() {
    let application = Application::new(SQL).await;
    let stale = format!("{COMPLETE}[ignore]\n\"gone\" = \"x\"\n");
    let (code, text, _) = run(&application, &["check", "--format", "json"], &stale).await;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &document["exitCode"]), (3, &Value::from(3)));
    let finding = &document["findings"][0];
    assert_eq!(
        (finding["code"].as_str(), finding["line"].as_u64()),
        (Some("stale-ignore"), Some(7))
    );
    let (code, text, _) = run(&application, &["check", "--format", "github"], &stale).await;
    assert_eq!(code, 3);
    assert!(
        text.starts_with("::error file=") && text.contains(",line=7,title=stale-ignore::gone: "),
        "{text}"
    );
    let (code, text, _) = run(
        &application,
        &["check", "--format", "github"],
        "version = 1\n",
    )
    .await;
    assert_eq!(code, 2);
    assert!(
        text.contains(",line=1,title=invalid::user: is missing."),
        "{text}"
    );
    let (_, text, _) = run(
        &application,
        &["check", "--format", "json"],
        "version = 1\n",
    )
    .await;
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["faults"][0]["key"], "user");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_the_digest_of_the_applied_map_whether_or_not_it_is_this_one() {
    let application = Application::new(SQL).await;
    let digest = |map: &str| lethe::map::format::ErasureMap::parse(map).unwrap().digest;
    let document = async |map: &str| {
        let (_, text, _) = run(&application, &["check", "--format", "json"], map).await;
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let before = document(COMPLETE).await;
    assert_eq!(
        (&before["appliedDigest"], &before["differs"]),
        (&Value::Null, &Value::from(false))
    );
    let file = MapFile::new(COMPLETE);
    let given = [("ERASURE_MAP", file.path())];
    assert!(
        application
            .world
            .run(&["migrate"], &given)
            .await
            .status
            .success()
    );
    let same = document(COMPLETE).await;
    assert_eq!(same["appliedDigest"], digest(COMPLETE), "{same}");
    assert_eq!(
        (&same["differs"], &same["exitCode"]),
        (&Value::from(false), &Value::from(0))
    );
    let other = document(&format!("{COMPLETE}\n# another\n")).await;
    assert_eq!(other["appliedDigest"], digest(COMPLETE), "{other}");
    assert_eq!(
        (&other["differs"], &other["exitCode"]),
        (&Value::from(true), &Value::from(4))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_counts_small_tables() {
    let world = crate::support::world::World::unmigrated().await;
    let application = Application { world };
    // Nobody has analyzed these tables.
    application
        .run(&format!(
            "{SQL} create table b (id int primary key, user_id text references users);
             create table c (id int primary key, user_id text references users);
             insert into b values (1, null);
             insert into c select n, null from generate_series(1, 10001) n;"
        ))
        .await;
    let (_, text, _) = run(&application, &["init"], COMPLETE).await;
    for size in [", 0 rows;", ", 1 row;"] {
        assert!(text.contains(size), "{size}: {text}");
    }
    assert!(
        text.contains("about ") || text.contains("more than 10000 rows"),
        "{text}"
    );
    // A role that may not read them is told nothing.
    let role = crate::check::role_without_rights(&application.world).await;
    let as_role = [("DATABASE_URL", role.url.as_str())];
    let output = application.world.run(&["map", "init"], &as_role).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("ON DELETE NO ACTION; delete"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn statistics_are_asked_for_only_where_there_are_rows_without_any() {
    const NAMED: &str = "create table users (id text primary key, name text);
         create table a (id int primary key, user_id text references users, note text);";
    let world = crate::support::world::World::unmigrated().await;
    let application = Application { world };
    application.run(NAMED).await;
    let (code, text, _) = run(&application, &["check", "--strict"], COMPLETE).await;
    assert_eq!(code, 0, "an empty database: {text}");
    application
        .run(&format!("insert into users values ('{USER_A}', 'A')"))
        .await;
    let (code, text, _) = run(&application, &["check", "--strict"], COMPLETE).await;
    assert!(code == 3 && text.contains("Run `analyze;`"), "{text}");
    assert_eq!(run(&application, &["check"], COMPLETE).await.0, 0);
    application.run("analyze").await;
    let (code, text, _) = run(&application, &["check", "--strict"], COMPLETE).await;
    assert_eq!(code, 0, "{text}");
    // Where the map speaks of every column there is no value to look at.
    let (code, text, _) = run(&application, &["check", "--strict"], COMPLETE).await;
    assert_eq!(code, 0, "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_the_schemas_of_lethe_are_found() {
    let application = Application::new(SQL).await;
    let file = MapFile::new(COMPLETE);
    let given = [("ERASURE_MAP", file.path())];
    assert!(
        application
            .world
            .run(&["migrate"], &given)
            .await
            .status
            .success()
    );
    assert_eq!(run(&application, &["check"], COMPLETE).await.0, 0);
    application
        .run(
            "create table lethe.\"Todo\" (id int primary key, user_id text references public.users);
             create table lethe_map.notes (id int primary key)",
        )
        .await;
    let (code, text, _) = run(&application, &["check"], COMPLETE).await;
    assert_eq!(code, 3, "{text}");
    assert!(
        text.contains("incomplete  stray-table  lethe.Todo"),
        "{text}"
    );
    assert!(
        text.contains("alter table lethe.\"Todo\" set schema public;"),
        "{text}"
    );
    assert!(
        text.contains("incomplete  stray-table  lethe_map.notes"),
        "{text}"
    );
    let (code, _, errors) = run(
        &application,
        &["apply"],
        &format!("{COMPLETE}\n# another\n"),
    )
    .await;
    assert!(code == 3 && errors.contains("lethe.Todo"), "{errors}");
    // The remedy helps: now the gate sees what the table is.
    application
        .run("alter table lethe.\"Todo\" set schema public; drop table lethe_map.notes")
        .await;
    let (code, text, _) = run(&application, &["check"], COMPLETE).await;
    assert!(
        code == 3 && text.contains("no-rule  Todo.user_id"),
        "{text}"
    );
    // What a later version of Lethe made is not taken for the application's.
    application
        .run(
            "drop table \"Todo\"; create table lethe.of_later (id int);
             insert into lethe._sqlx_migrations (version, description, success, checksum, execution_time)
             values (9999, 'later', true, '', 0)",
        )
        .await;
    assert_eq!(run(&application, &["check"], COMPLETE).await.0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_commands_print_and_change_nothing() {
    let application = Application::new(&format!(
        "{SQL} insert into users values ('{USER_A}'); insert into a values (1, '{USER_A}');"
    ))
    .await;
    let (code, text, errors) = run(&application, &["plan", USER_A], COMPLETE).await;
    let plan: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &plan["rows"][0]["rows"]),
        (0, &Value::from(1)),
        "{text}{errors}"
    );
    let (code, text, _) = run(&application, &["sql"], COMPLETE).await;
    assert!(
        code == 0 && text.starts_with("create schema if not exists lethe_map;"),
        "{text}"
    );
    let again = run(&application, &["sql"], COMPLETE).await.1;
    assert_eq!(text, again, "the order is stable");
    let (code, text, _) = run(&application, &["init"], COMPLETE).await;
    assert!(
        code == 0 && text.contains("on_erase.user_id = \"TODO\""),
        "{text}"
    );
    application
        .world
        .expect_rows("pg_namespace where nspname = 'lethe_map'", 0)
        .await;
    application.world.expect_rows("a", 1).await;
    let missing = "version = 1\n[user]\ntable = \"nobody\"\n";
    for command in [&["plan", USER_A][..], &["sql"], &["grants"]] {
        let (code, _, errors) = run(&application, command, missing).await;
        assert_eq!(code, 3, "{errors}");
        assert!(errors.contains("`lethe map check` lists them"), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_suffice_for_what_the_map_does_and_for_no_more() {
    let application = Application::new(
        "create table users (id text primary key, deleted_at timestamptz, email text);
         create table a (id int primary key, user_id text references users, note text, other text);
         create table b (id int primary key, a_id int references a);",
    )
    .await;
    let toml = "version = 1\n[user]\ntable = \"users\"\nsoft_delete = { at = \"deleted_at\" }\n\
                [table.a]\non_erase.user_id = { do = \"keep\", why = \"x\", clear = [\"user_id\", \"note\"], leave = [\"other\"] }\n";
    let role = format!("worker'\"{}", uuid::Uuid::new_v4().simple());
    let (code, text, errors) = run(
        &application,
        &["grants", "--worker", &role, "--serve", &role],
        toml,
    )
    .await;
    assert_eq!(code, 0, "{errors}");
    let quoted = format!("\"{}\"", role.replace('"', "\"\""));
    application.run(&format!("create role {quoted}")).await;
    let of_application: Vec<&str> = text
        .lines()
        .filter(|line| !line.contains("lethe.") && !line.contains("schema lethe"))
        .collect();
    application.run(&of_application.join("\n")).await;
    let granted = |sql: &str| {
        let sql = sql.replace("ROLE", &format!("'{}'", role.replace('\'', "''")));
        let application = &application;
        async move {
            application
                .world
                .one::<bool>(&format!("select {sql}"))
                .await
        }
    };
    assert!(
        granted("has_column_privilege(ROLE, 'a', 'note', 'update')").await,
        "{text}"
    );
    assert!(
        !granted("has_column_privilege(ROLE, 'a', 'other', 'update')").await,
        "{text}"
    );
    assert!(
        !granted("has_table_privilege(ROLE, 'a', 'delete')").await,
        "{text}"
    );
    assert!(
        granted("has_table_privilege(ROLE, 'users', 'delete')").await,
        "{text}"
    );
    assert!(
        granted("has_column_privilege(ROLE, 'users', 'deleted_at', 'update')").await,
        "{text}"
    );
    assert!(
        !granted("has_table_privilege(ROLE, 'b', 'select')").await,
        "{text}"
    );
}

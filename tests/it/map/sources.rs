//! Which map a command of `lethe map` works on, and what it says before `lethe migrate` and of tables that do not fit.

use super::database::{Application, MapFile, USER_A};
use crate::support::world::World;

const SQL: &str = "create table users (id text primary key, deleted_at timestamptz);
    create table a (id int primary key, user_id text references users);
    create index on a (user_id);
    insert into users values ('user_2aaaaaaaaaaaaaaaaaaaaaaaaaa');
    insert into a values (1, 'user_2aaaaaaaaaaaaaaaaaaaaaaaaaa');";
const MAP: &str =
    "version = 1\n[user]\ntable = \"users\"\n[table.a]\non_erase.user_id = \"delete\"\n";
const INCOMPLETE: &str = "version = 1\n[user]\ntable = \"users\"\n";

struct Said {
    code: i32,
    text: String,
    errors: String,
}

async fn run(world: &World, arguments: &[&str], more: &[(&str, &str)]) -> Said {
    let output = world.run(&[&["map"], arguments].concat(), more).await;
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        code: output.status.code().unwrap(),
        text: text(output.stdout),
        errors: text(output.stderr),
    }
}

/// The tables of the built-in map, which nobody asked for.
async fn expect_no_built_in_tables(world: &World) {
    let names = "'collections', 'samples', 'sample_images'";
    world
        .expect_rows(
            &format!("pg_class where relname in ({names}) and relkind = 'r'"),
            0,
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_a_file_take_the_map_that_the_database_has() {
    let application = Application::new(SQL).await;
    let world = &application.world;
    let file = MapFile::new(MAP);
    let migrated = world
        .run(&["migrate"], &[("ERASURE_MAP", file.path())])
        .await;
    assert!(migrated.status.success(), "{migrated:?}");
    for (arguments, expected) in [
        (&["apply"][..], "applied already"),
        (&["check"], "Nothing was found."),
        (&["prove", USER_A], "Nothing was left."),
        (&["sql"], "public.a"),
        (&["plan", USER_A], "\"type\": \"a\""),
        (&["grants"], "on public.a to \"lethe_worker\""),
    ] {
        let said = run(world, arguments, &[]).await;
        let Said { code, text, errors } = &said;
        assert_eq!(*code, 0, "{arguments:?}: {text}{errors}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
        let note = "so this takes the map that the database has (";
        assert!(
            errors.starts_with("note: ") && errors.contains(note),
            "{arguments:?}: {errors}"
        );
    }
    expect_no_built_in_tables(world).await;
    // A file that is given needs no such line, and neither does a draft.
    let given = run(world, &["check"], &[("ERASURE_MAP", file.path())]).await;
    assert_eq!((given.code, given.errors.as_str()), (0, ""));
    let draft = run(world, &["init"], &[]).await;
    assert_eq!((draft.code, draft.errors.as_str()), (0, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_read_the_map_is_told_to_name_a_file() {
    let world = World::new().await;
    let role = crate::check::role_without_rights(&world).await;
    let as_role = [("DATABASE_URL", role.url.as_str())];
    let said = run(&world, &["check"], &as_role).await;
    assert_eq!(said.code, 1, "{}", said.text);
    assert!(said.errors.contains("lethe.maps"), "{}", said.errors);
    assert!(said.errors.contains("--map"), "{}", said.errors);
    // With a file it needs no right of Lethe's.
    let file = MapFile::new(MAP);
    let arguments = ["check", "--no-values", "--map", file.path()];
    let said = run(&world, &arguments, &as_role).await;
    assert_eq!(said.code, 3, "{}", said.errors);
    assert!(said.text.contains("missing-table  a"), "{}", said.text);
    // `lethe check` names the right without which nothing can be asked.
    let (is_fine, text) = crate::check::check(&world, &as_role).await;
    let rights = crate::check::row(&text, "rights")[2].clone();
    assert!(
        !is_fine && rights.contains("usage on schema lethe"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_that_was_applied_incomplete_is_applied_and_proved_again_without_a_flag() {
    let application = Application::new(SQL).await;
    let world = &application.world;
    let file = MapFile::new(INCOMPLETE);
    let migrated = world
        .run(
            &["migrate", "--allow-incomplete"],
            &[("ERASURE_MAP", file.path())],
        )
        .await;
    assert!(migrated.status.success(), "{migrated:?}");
    let applied = run(world, &["apply"], &[]).await;
    assert_eq!(applied.code, 0, "{}", applied.errors);
    assert!(applied.text.contains("applied already"), "{}", applied.text);
    let refused = run(world, &["apply", "--map", file.path()], &[]).await;
    assert_eq!(refused.code, 3, "{}", refused.errors);
    // The proof fails, because the row of the table without a rule holds the user's.
    let proved = run(world, &["prove", USER_A], &[]).await;
    assert_eq!(proved.code, 3, "{}", proved.errors);
    assert!(
        proved.text.contains("The map is not proved."),
        "{}{}",
        proved.text,
        proved.errors
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_of_a_newcomer_is_told_to_migrate() {
    let world = World::unmigrated().await;
    let expect = async |arguments: &[&str], code: i32, words: &[&str]| {
        let said = run(&world, arguments, &[]).await;
        let text = said.text + &said.errors;
        assert_eq!(said.code, code, "{arguments:?}: {text}");
        for word in words {
            assert!(text.contains(word), "{arguments:?}: {word}: {text}");
        }
        assert!(!text.contains("relation \""), "{arguments:?}: {text}");
    };
    for arguments in [&["apply"][..], &["prove"]] {
        expect(
            arguments,
            1,
            &[
                "`lethe migrate`",
                "the built-in map, because the database has none",
            ],
        )
        .await;
    }
    for arguments in [&["plan", "user_a"][..], &["sql"], &["grants"], &["check"]] {
        expect(arguments, 3, &["`lethe migrate`", "`lethe map init`"]).await;
    }
    expect_no_built_in_tables(&world).await;
    // A map of one's own needs no migration to be checked, planned and printed.
    let application = Application::new(SQL).await;
    let file = MapFile::new(MAP);
    for arguments in [&["check"][..], &["plan", USER_A], &["sql"], &["grants"]] {
        let said = run(
            &application.world,
            &[arguments, &["--map", file.path()]].concat(),
            &[],
        )
        .await;
        assert_eq!((said.code, said.errors.as_str()), (0, ""), "{arguments:?}");
    }
    for arguments in [&["apply"][..], &["prove"]] {
        let said = run(
            &application.world,
            &[arguments, &["--map", file.path()]].concat(),
            &[],
        )
        .await;
        assert_eq!(said.code, 1, "{arguments:?}");
        assert!(said.errors.contains("`lethe migrate`"), "{}", said.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_do_not_fit_the_built_in_map_are_told_in_words() {
    let application = Application::new("create table users (id text primary key);").await;
    let world = &application.world;
    for arguments in [
        &["apply"][..],
        &["prove"],
        &["plan", "user_a"],
        &["sql"],
        &["grants"],
    ] {
        let said = run(world, arguments, &[]).await;
        let errors = &said.errors;
        assert_eq!(said.code, 3, "{arguments:?}: {errors}");
        for word in [
            "column deleted_at of public.users is missing",
            "table public.samples is missing",
            "`lethe map init`",
        ] {
            assert!(errors.contains(word), "{arguments:?}: {word}: {errors}");
        }
    }
    expect_no_built_in_tables(world).await;
    // The same after the tables were changed under an applied map.
    let migrated = World::new().await;
    migrated
        .execute("alter table users rename column deleted_by to who")
        .await;
    for arguments in [&["map", "apply"][..], &["map", "prove"], &["migrate"]] {
        let output = migrated.run(arguments, &[]).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            said.contains("column deleted_by of public.users is missing"),
            "{arguments:?}: {said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_flags_of_the_built_in_tables_may_be_missing() {
    let world = World::new().await;
    world
        .execute("alter table samples drop column is_deleted")
        .await;
    for arguments in [
        &["check", "--no-values"][..],
        &["plan", "user_a"],
        &["sql"],
        &["grants"],
        &["apply"],
    ] {
        let said = run(&world, arguments, &[]).await;
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.text, said.errors);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_already_is_no_news() {
    let world = World::unmigrated().await;
    for arguments in [
        &["migrate"][..],
        &["migrate"],
        &["map", "apply"],
        &["map", "prove", "user_a"],
    ] {
        let output = world.run(arguments, &[("RUST_LOG", "info")]).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!said.contains("skipping"), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_is_never_erased_has_no_plan() {
    let application = Application::new(SQL).await;
    let never = format!("[user]\nnever = [\"{USER_A}\"]\n");
    let file = MapFile::new(&MAP.replacen("[user]\n", &never, 1));
    for (id, why) in [
        ("bad", "does not match the map's `ids` (^user_)"),
        ("", "it is empty"),
        (USER_A, "the map names it in `never`"),
    ] {
        let said = run(&application.world, &["plan", id, "--map", file.path()], &[]).await;
        assert_eq!(
            (said.code, said.text.as_str()),
            (2, ""),
            "{id}: {}",
            said.errors
        );
        assert!(said.errors.contains(why), "{id}: {}", said.errors);
    }
    // Nobody knows this one yet, and it could be erased.
    let said = run(
        &application.world,
        &["plan", "user_new", "--map", file.path()],
        &[],
    )
    .await;
    assert_eq!(said.code, 0, "{}", said.errors);
    // The built-in map takes any id.
    let said = run(&World::new().await, &["plan", "any"], &[]).await;
    assert_eq!(said.code, 0, "{}", said.errors);
}

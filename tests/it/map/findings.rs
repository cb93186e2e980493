//! Each finding of the gate, on the smallest database that has it.

use std::collections::BTreeSet;

use lethe::map::gate::{Code, GateOptions, GateResult};

use sqlx::{Connection as _, PgConnection};

use super::database::{Application, USER_A, USER_B, code, parse};

const USERS: &str = "create table users (id text primary key, email text);";

fn map(lines: &str) -> String {
    format!("version = 1\n[bucket.main]\n[user]\ntable = \"users\"\n{lines}")
}

async fn with(sql: &str) -> Application {
    Application::new(&format!("{USERS}\n{sql}")).await
}

macro_rules! finds {
    ($($name:ident: $sql:expr, $map:expr => $($finding:literal),*;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let application = with($sql).await;
            let expected: &[&str] = &[$($finding),*];
            assert_eq!(application.findings(&map($map)).await, expected);
        }
    )*};
}

const A: &str = "create table a (id uuid primary key, user_id text references users on delete cascade, object_key text);";
const A_RULE: &str = "[table.a]\non_erase.user_id = \"delete\"\n";
const A_WITH_OBJECTS: &str =
    "[table.a]\nobjects = [{ column = \"object_key\", bucket = \"main\", within = \"any\" }]\n";
const B: &str = "create table a (id uuid primary key, user_id text references users);\
                 create table b (id uuid primary key, a_id uuid references a, user_id text references users, note text);";

finds! {
    a_foreign_key_without_a_rule: A, "" => "incomplete no-rule a.user_id";
    a_map_without_gaps: A, A_RULE => ;
    a_cascade_into_objects_without_a_rule: A, A_WITH_OBJECTS => "danger cascade a.user_id";
    a_column_named_like_a_user: "create table a (id int primary key, owner_id text, created_by int, sort_by text, is_owner bool);", ""
        => "incomplete suspect-name a.created_by", "incomplete suspect-name a.owner_id";
    a_column_named_after_an_erased_row: "create table assets (id bigint primary key, user_id text references users); create table a (id int primary key, asset_id bigint, asset_uuid uuid);",
        "[table.assets]\non_erase.user_id = \"delete\"\n" => "incomplete suspect-name a.asset_id";
    an_id_beside_a_type: "create table a (id int primary key, entity_type text, entity_id bigint);", "" => "incomplete suspect-name a.entity_id";
    rows_of_others_without_consent: B, "[table.a]\non_erase.user_id = \"delete\"\n[table.b]\non_erase = { a_id = \"delete\", user_id = \"delete\" }\n"
        => "danger others b.a_id";
    rows_of_others_that_are_detached: B, "[table.a]\non_erase.user_id = \"delete\"\n[table.b]\non_erase = { a_id = \"detach\", user_id = \"delete\" }\n" => ;
    rows_of_two_people: "create table m (id int primary key, sender_id text references users, recipient_id text references users);",
        "[table.m]\non_erase = { sender_id = \"delete\", recipient_id = \"delete\" }\n"
        => "danger others m.recipient_id", "danger others m.sender_id";
    other_users_without_consent: "alter table users add referred_by text references users;", "[table.users]\non_erase.referred_by = \"delete\"\n"
        => "danger others users.referred_by";
    other_users_with_consent: "alter table users add referred_by text references users;",
        "[table.users]\non_erase.referred_by = { do = \"delete\", others = \"too\" }\n" => ;
    a_ban_belongs_to_one: "create table m (id int primary key, user_id text references users, banned_by_id text references users);",
        "[table.m]\non_erase = { user_id = \"delete\", banned_by_id = \"detach\" }\n" => ;
    a_trigger_that_could_keep_the_row: &format!("{A} create function f() returns trigger language plpgsql as 'begin return null; end'; create trigger t before delete on a for each row execute function f();"), A_RULE
        => "danger trigger a";
    a_trigger_that_is_accepted: &format!("{A} create function f() returns trigger language plpgsql as 'begin return old; end'; create trigger t before delete on a for each row execute function f();"),
        &format!("{A_RULE}[accept]\n\"a: trigger t\" = \"it lets the row go\"\n") => ;
    a_trigger_that_is_off: &format!("{A} create function f() returns trigger language plpgsql as 'begin return null; end'; create trigger t before delete on a for each row execute function f(); alter table a disable trigger t;"), A_RULE => ;
    a_rule_on_delete: &format!("{A} create rule r as on delete to a do instead nothing;"), A_RULE => "danger trigger a";
    a_reference_that_cannot_be_null: "create table a (id int primary key, user_id text not null references users);",
        "[table.a]\non_erase.user_id = \"detach\"\n" => "danger not-null a.user_id";
    a_composite_reference_that_can_be_null_in_part: "alter table users add tenant int not null default 1, add unique (tenant, id); create table a (id int primary key, tenant int not null, user_id text, foreign key (tenant, user_id) references users (tenant, id));",
        "[table.a]\non_erase.\"tenant,user_id\" = \"detach\"\n" => ;
    what_is_cleared_must_take_null: "create table a (id int primary key, user_id text references users, name text not null);",
        "[table.a]\non_erase.user_id = { do = \"keep\", why = \"x\", clear = [\"user_id\", \"name\"] }\n" => "danger not-null a.name";
    what_is_set_must_stay_unique: "create table a (id int primary key, user_id text references users, name text unique);",
        "[table.a]\non_erase.user_id = { do = \"keep\", why = \"x\", clear = [\"user_id\"], set = { name = \"erased\" } }\n" => "danger unique a.name";
    what_varies_stays_unique: "create table a (id int primary key, user_id text references users, name text unique);",
        "[table.a]\non_erase.user_id = { do = \"keep\", why = \"x\", clear = [\"user_id\"], set = { name = \"erased+{pk}\" } }\n" => ;
    what_is_generated_cannot_be_set: "create table a (id int primary key, user_id text references users, n int generated always as (id * 2) stored);",
        "[table.a]\non_erase.user_id = { do = \"keep\", why = \"x\", clear = [\"user_id\"], set = { n = 0 } }\n" => "danger generated a.n";
    a_kept_row_must_let_go: "create table a (id int primary key, user_id text references users);",
        "[table.a]\non_erase.user_id = { do = \"keep\", why = \"x\" }\n" => "danger reference-stays a.user_id";
    a_kept_row_of_a_kept_user_need_not: "create table a (id int primary key, user_id text references users);",
        "on_erase = { do = \"keep\", why = \"x\", clear = [\"email\"] }\n[table.a]\non_erase.user_id = { do = \"keep\", why = \"x\" }\n" => ;
    no_column_of_a_kept_row_is_forgotten: "create table a (id int primary key, user_id text references users, note text, tags text[], data jsonb, ip inet, n int, at timestamptz);",
        "[table.a]\non_erase.user_id = { do = \"keep\", why = \"x\", clear = [\"user_id\", \"note\"] }\n"
        => "incomplete kept-column a.data", "incomplete kept-column a.ip", "incomplete kept-column a.tags";
    no_column_of_a_kept_user_is_forgotten: "alter table users add name text;",
        "on_erase = { do = \"keep\", why = \"x\", clear = [\"email\"] }\n" => "incomplete kept-column users.name";
    objects_need_a_key: "create table a (user_id text references users, object_key text);",
        "[table.a]\non_erase.user_id = \"delete\"\nobjects = [{ column = \"object_key\", bucket = \"main\", within = \"any\" }]\n" => "danger no-key a";
    objects_need_a_key_of_a_stable_text: "create table a (at timestamptz primary key, user_id text references users, object_key text);",
        "[table.a]\non_erase.user_id = \"delete\"\nobjects = [{ column = \"object_key\", bucket = \"main\", within = \"any\" }]\n" => "danger key-type a";
    rows_without_objects_need_no_key: "create table a (at timestamptz, user_id text references users);", A_RULE => ;
    object_columns_hold_text: "create table a (id int primary key, user_id text references users, object_key int, data jsonb);",
        "[table.a]\non_erase.user_id = \"delete\"\nobjects = [{ column = \"object_key\", bucket = \"main\", within = \"any\" }, { column = \"data\", bucket = \"main\", within = \"any\" }]\n"
        => "danger column-type a.data", "danger column-type a.object_key";
    a_soft_delete_is_a_time: "create table a (id int primary key, user_id text references users, gone bool);",
        "[table.a]\nsoft_delete = { at = \"gone\" }\non_erase.user_id = \"delete\"\n" => "danger column-type a.gone";
    a_table_that_others_inherit_from: &format!("{A} create table c () inherits (a);"), A_RULE => "danger table-kind a", "incomplete suspect-name c.user_id";
    a_table_that_is_not_there: "", "[table.Nobody]\n" => "danger missing-table Nobody";
    a_column_that_is_not_there: A, "soft_delete = { at = \"gone\" }\n[table.a]\non_erase = { user_id = \"delete\", nobody = \"delete\" }\n"
        => "danger missing-column a.nobody", "danger missing-column users.gone";
    a_rule_without_a_target: "create table a (id int primary key, ref text);", "[table.a]\non_erase.ref = \"delete\"\n" => "incomplete stale-rule a.ref";
    entries_that_match_nothing: A, &format!("{A_RULE}[ignore]\n\"gone\" = \"x\"\n\"a.gone\" = \"x\"\n[accept]\n\"a: trigger gone\" = \"x\"\n")
        => "incomplete stale-ignore a.gone", "incomplete stale-ignore gone", "incomplete stale-accept a: trigger gone";
    a_pattern_that_is_none: "", "ids = \"(\"\n" => "danger invalid-ids user.ids";
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_table_without_a_key_of_one_column_needs_an_id() {
    let sql = "create table people (tenant int, id text, primary key (tenant, id));";
    let application = Application::new(sql).await;
    let toml = "version = 1\n[user]\ntable = \"people\"\n";
    assert_eq!(
        application.findings(toml).await,
        ["danger no-user-id people"]
    );
    assert!(
        application
            .findings(&format!("{toml}id = \"id\"\n"))
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_is_asked_for_where_the_map_asks_for_every_table() {
    let application = with("create table a (id int); create schema x; create table x.b (id int); create table _prisma_migrations (id text); create table p (id int) partition by range (id); create table p1 partition of p default;").await;
    let toml = format!(
        "gate = \"every-table\"\n{}",
        map("[ignore]\n\"x.b\" = \"nothing of users\"\n")
    );
    assert_eq!(
        application.findings(&toml).await,
        ["incomplete unmapped-table a", "incomplete unmapped-table p"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_looked_at_and_never_shown() {
    let application = with(&format!(
        "create table a (id int primary key, x text, y text[], z jsonb, mail text, path varchar(200));
         insert into a select n, '{USER_A}', array['{USER_B}'], '[{{\"k\": \"files/{USER_A}.png\"}}]', 'secret@example.com', 'docs/secret.pdf' from generate_series(1, 20) n;"
    )).await;
    let found = application.findings(&map("")).await;
    assert_eq!(
        found,
        [
            "incomplete suspect-value a.mail",
            "incomplete suspect-value a.path",
            "incomplete suspect-value a.x",
            "incomplete suspect-value a.y",
            "incomplete suspect-value a.z",
        ]
    );
    let report = application
        .inspect(&parse(&map("")), GateOptions::default())
        .await;
    let shown = format!("{:?}", report.findings);
    assert!(
        !shown.contains("secret") && !shown.contains(USER_A),
        "{shown}"
    );
    let blind = GateOptions {
        no_values: true,
        strict: true,
    };
    assert_eq!(
        application.inspect(&parse(&map("")), blind).await.result,
        GateResult::Complete
    );
    let references = format!("gate = \"references\"\n{}", map(""));
    assert!(application.findings(&references).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_names_the_wrong_id_is_found() {
    let application = Application::new(&format!(
        "create table users (id text primary key, clerk_id text unique); create table a (id int primary key, owner text);
         insert into users values ('c1', '{USER_A}'), ('c2', '{USER_B}'); insert into a values (1, '{USER_A}'), (2, '{USER_B}');"
    )).await;
    let toml = |to: &str| {
        format!(
            "version = 1\n[user]\ntable = \"users\"\nclerk_id = \"clerk_id\"\n[table.a]\non_erase.owner = {{ do = \"delete\", to = \"{to}\" }}\n"
        )
    };
    assert_eq!(
        application.findings(&toml("user.id")).await,
        ["danger wrong-id a.owner"]
    );
    assert!(
        application
            .findings(&toml("user.clerk_id"))
            .await
            .is_empty()
    );
    let without = toml("user.id").replace("clerk_id = \"clerk_id\"\n", "");
    let found = application.findings(&without).await;
    assert!(
        found.contains(&"danger wrong-id users.id".to_owned()),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polymorphic_rule_is_judged_by_its_own_rows() {
    let application = Application::new(&format!(
        "create table users (id uuid primary key, clerk_id text unique);
         create table a (id int primary key, record_id text, record_type text);
         insert into users values ('00000000-0000-0000-0000-00000000000a', '{USER_A}');
         insert into a values (1, '00000000-0000-0000-0000-00000000000a', 'user');"
    ))
    .await;
    let map = "version = 1\n[user]\ntable = \"users\"\nclerk_id = \"clerk_id\"\n[table.a]\non_erase.record_id = [\n\
               { do = \"delete\", to = \"user.id\", where = { record_type = \"user\" }, others = \"too\" },\n\
               { do = \"delete\", to = \"user.clerk_id\", where = { record_type = \"clerk\" }, others = \"too\" },\n]\n";
    assert!(application.findings(map).await.is_empty());
    application.run("update a set record_type = 'clerk'").await;
    assert_eq!(
        application.findings(map).await,
        ["danger wrong-id a.record_id"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_index_matters_on_a_large_table_and_is_printed() {
    let application = with(
        "create table \"Comment\" (id int primary key, \"userId\" text references users, other text);
         insert into \"Comment\" (id) select generate_series(1, 20000);",
    ).await;
    let toml = map("[table.Comment]\non_erase.userId = \"delete\"\n");
    let report = application
        .inspect(&parse(&toml), GateOptions::default())
        .await;
    let index = report
        .findings
        .iter()
        .find(|finding| finding.code == code("index"))
        .unwrap();
    assert_eq!(index.place, "Comment.userId");
    assert_eq!(
        index.remedy,
        "create index concurrently on public.\"Comment\" (\"userId\");"
    );
    let accepted = format!("{toml}[accept]\n\"Comment.userId: index\" = \"a night job\"\n");
    assert!(application.findings(&accepted).await.is_empty());
    application.run(&index.remedy).await;
    assert!(application.findings(&toml).await.is_empty());
    let found = application.findings(&accepted).await;
    assert_eq!(found, ["incomplete stale-accept Comment.userId: index"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_is_a_danger_for_the_role_that_it_binds() {
    let application = with("create table a (id int primary key, user_id text references users); alter table a enable row level security;").await;
    let toml = map("[table.a]\non_erase.user_id = \"delete\"\n");
    assert_eq!(application.notes(&toml).await, ["row-security a"]);
    let role = format!("role_{}", uuid::Uuid::new_v4().simple());
    application.run(&format!("create role {role} login password 'x'; grant select on all tables in schema public to {role};")).await;
    let (_, place) = application.world.url.split_once('@').unwrap();
    let mut connection = PgConnection::connect(&format!("postgres://{role}:x@{place}"))
        .await
        .unwrap();
    let report = lethe::map::gate::inspect(&mut connection, &parse(&toml), GateOptions::default())
        .await
        .unwrap();
    assert_eq!(report.findings[0].code.as_str(), "row-security");
    assert_eq!(report.result, GateResult::Found, "{:?}", report.findings);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_without_rights_is_told_so() {
    let application = with(&format!("{A} insert into users values ('{USER_A}', 'x');")).await;
    let role = format!("role_{}", uuid::Uuid::new_v4().simple());
    application
        .run(&format!(
            "create role {role} login password 'x'; revoke select on pg_stats from public;"
        ))
        .await;
    let (_, place) = application.world.url.split_once('@').unwrap();
    let mut connection = PgConnection::connect(&format!("postgres://{role}:x@{place}"))
        .await
        .unwrap();
    let report = lethe::map::gate::inspect(
        &mut connection,
        &parse(&map(A_RULE)),
        GateOptions::default(),
    )
    .await
    .unwrap();
    let places: Vec<&str> = report
        .findings
        .iter()
        .map(|finding| finding.place.as_str())
        .collect();
    assert_eq!(places, ["pg_stats", "users.id"], "{:?}", report.findings);
    assert_eq!(report.result, GateResult::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_materialised_view_is_noted() {
    let application = with(&format!(
        "{A} create materialized view board as select user_id from a;"
    ))
    .await;
    assert_eq!(application.notes(&map(A_RULE)).await, ["copy a"]);
}

#[test]
fn every_code_has_a_row_in_the_manual_and_a_word_of_its_own() {
    let manual = include_str!("../../../docs/erasure-map.md");
    let mut words = BTreeSet::new();
    for code in Code::ALL {
        assert!(words.insert(code.as_str()), "{}", code.as_str());
        assert!(
            manual.contains(&format!("| `{}` |", code.as_str())),
            "{}",
            code.as_str()
        );
        assert!(code.reason().ends_with('.'), "{}", code.reason());
    }
}

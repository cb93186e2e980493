//! Every command of README.md, docs/operations.md, docs/integrate.md, docs/gdpr.md, docs/receipts.md and
//! docs/erasure-map.md is run, and every snippet stands in a file that is run.

use std::fs::{create_dir, read_to_string, remove_dir_all};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use lethe::receipts::seal::seal_all;

use crate::map::database::Application;
use crate::support::clerk::{ClerkDouble, SECRET_KEY};
use crate::support::service::{ADMIN_TOKEN, ISSUER, Service, WEBHOOK_SECRET, signer};
use crate::support::world::{PATIENCE, World};

#[path = "../../examples/integrate/sqlx.rs"]
mod application;

/// Longer than S3 allows, so a task with this key ends dead.
const IMPOSSIBLE_KEY: usize = 1_100;
/// The files that hold the snippets of docs/integrate.md.
const SNIPPETS: [&str; 5] = [
    "node/drizzle.ts",
    "node/prisma.ts",
    "python/app.py",
    "rights.sql",
    "sqlx.rs",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The code blocks of a document, each with its language.
fn blocks(path: &str) -> Vec<(String, String)> {
    let text = read_to_string(root().join(path)).unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    let mut is_inside = false;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                found.push((language.into_string(), String::new()));
                is_inside = true;
            }
            Event::End(TagEnd::CodeBlock) => is_inside = false,
            Event::Text(text) if is_inside => found.last_mut().unwrap().1.push_str(&text),
            _ => {}
        }
    }
    found
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("lethe-docs-{}", Uuid::new_v4().simple()));
        create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = remove_dir_all(&self.0);
    }
}

/// A reader of the documents: a shell with `lethe`, an API, and something to work on.
struct Reader {
    world: World,
    service: Service,
    folder: Folder,
    clerk: ClerkDouble,
    dead_task: i64,
    restored_url: String,
}

impl Reader {
    async fn new() -> Self {
        let world = World::new().await;
        let service = Service::start(&world).await;
        let mut dead = Vec::new();
        for user in ["user_dead_1", "user_dead_2"] {
            world.user(user).await;
            let key = format!("{user}/{}", "x".repeat(IMPOSSIBLE_KEY));
            let sample = world.sample(user, &[&key]).await;
            dead.push(world.delete_sample(sample).await);
        }
        world.user("user_gone").await;
        let gone = world.delete_user("user_gone").await;
        let worker = world.worker().await;
        for task in &dead {
            world.until_status(*task, "dead").await;
        }
        world.until_status(gone, "completed").await;
        // Nobody works from here on, so that what is asked for stays as it is.
        worker.stop().await;
        world.user("user_2abc").await;
        world.user("user_after_the_backup").await;
        // There is a receipt to export.
        assert_eq!(seal_all(&world.pool, None).await.unwrap(), 1);
        Self {
            restored_url: empty_database(&world).await,
            clerk: ClerkDouble::start(&["user_2abc", "user_dead_1", "user_dead_2", "user_seed_1"])
                .await,
            dead_task: dead[0],
            world,
            service,
            folder: Folder::new(),
        }
    }

    /// Runs a block as the reader would, who stops at the first fault.
    async fn run(&self, commands: &str) {
        // In case it was cancelled by a block before.
        self.world.delete_user("user_2abc").await;
        let (task, key) = (self.dead_task.to_string(), signer().public_key().to_owned());
        let tokens = format!("ops:{ADMIN_TOKEN}");
        let environment = [
            ("DATABASE_URL", self.world.url.as_str()),
            ("RESTORED_URL", &self.restored_url),
            ("LETHE", &self.service.url),
            ("TOKEN", ADMIN_TOKEN),
            ("USER_ID", "user_2abc"),
            ("TASK", &task),
            ("AWS_ENDPOINT_URL_S3", &self.world.s3.url()),
            ("CLERK_WEBHOOK_SIGNING_SECRET", WEBHOOK_SECRET),
            ("CLERK_JWT_KEY", &key),
            ("CLERK_ISSUER", ISSUER),
            ("CLERK_SECRET_KEY", SECRET_KEY),
            ("CLERK_API_URL", &self.clerk.url),
            ("ADMIN_API_TOKENS", &tokens),
        ];
        shell(&self.folder, &environment, commands).await;
    }

    /// How many rows there are in the restored database.
    async fn restored(&self, from: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.restored_url).await.unwrap();
        let sql = format!("select count(*) from {from}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        count.fetch_one(&mut connection).await.unwrap()
    }
}

/// Runs commands as a reader would, who has `lethe` and stops at the first fault.
async fn shell(folder: &Folder, environment: &[(&str, &str)], commands: &str) {
    let lethe = Path::new(env!("CARGO_BIN_EXE_lethe")).parent().unwrap();
    let path = format!("{}:{}", lethe.display(), std::env::var("PATH").unwrap());
    let mut command = tokio::process::Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", commands])
        .current_dir(&folder.0)
        .env_clear()
        .env("PATH", path)
        .env("S3_BUCKET", "lethe")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test-secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output
        .unwrap_or_else(|_| panic!("no end of:\n{commands}"))
        .unwrap();
    assert!(
        output.status.success(),
        "{} of:\n{commands}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The shell commands of a document.
fn commands_of(document: &str) -> Vec<String> {
    blocks(document)
        .into_iter()
        .filter_map(|(language, text)| (language == "sh").then_some(text))
        .collect()
}

async fn empty_database(world: &World) -> String {
    let name = format!("restored_{}", Uuid::new_v4().simple());
    let create = format!("create database {name} template template0");
    world.execute(&create).await;
    let (server, _) = world.url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documents_works_and_a_restored_backup_erases_again() {
    let reader = Reader::new().await;
    let mut ran = 0;
    for document in [
        "docs/operations.md",
        "docs/integrate.md",
        "docs/gdpr.md",
        "docs/receipts.md",
    ] {
        for commands in &commands_of(document) {
            reader.run(commands).await;
            ran += 1;
            if commands.contains("pg_dump") {
                // Erased after the backup, and before the next export.
                reader.world.delete_user("user_after_the_backup").await;
                let export = commands.lines().find(|line| line.contains("\\copy"));
                reader.run(export.unwrap()).await;
            }
            if commands.contains("pg_restore") {
                let of = "user_id = 'user_after_the_backup'";
                let tombstones =
                    format!("lethe.user_tombstones where {of} and deleted_by = 'restore'");
                assert_eq!(reader.restored(&tombstones).await, 1, "{tombstones}");
                let marked =
                    "public.users where id = 'user_after_the_backup' and deleted_at is not null";
                assert_eq!(reader.restored(marked).await, 1, "{marked}");
            }
        }
    }
    assert!(ran > 15, "only {ran} blocks were found");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_readme_works() {
    let reader = Reader::new().await;
    let (set_up, others): (Vec<_>, Vec<_>) = commands_of("README.md")
        .into_iter()
        .partition(|commands| commands.contains("scripts/"));
    // The gate runs these two on a machine of their own.
    assert_eq!(set_up.len(), 1, "{set_up:?}");
    assert!(others.len() >= 3, "{others:?}");
    // Clerk lists new users late, so a young one is not missing.
    let age = "update users set created_at = now() - interval '1 day'";
    reader.world.execute(age).await;
    for commands in others {
        let here = commands.replace("http://127.0.0.1:8080", &reader.service.url);
        reader.run(&here.replace("curl ", "curl -fsS ")).await;
    }
    let erased = "lethe.tasks where user_id = 'user_seed_1' and kind = 'user-delete'";
    reader.world.expect_rows(erased, 1).await;
    // Clerk does not have this user, so `lethe reconcile clerk --apply` erased them.
    let missing = "lethe.tasks where user_id = 'user_after_the_backup' and kind = 'user-delete'";
    reader.world.expect_rows(missing, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fifteen_minutes_of_the_manual_lead_from_a_database_to_a_map_that_is_applied() {
    let application = Application::new(
        "create table users (id text primary key, email text);
         create table posts (id uuid primary key, author_id text not null references users, picture_key text);
         insert into users select 'user_2abc' || case n when 0 then '' else n::text end from generate_series(0, 20) n;
         insert into posts select gen_random_uuid(), u.id, 'posts/' || u.id || '/' || n || '.jpg'
         from users u, generate_series(1, 5) n;",
    )
    .await;
    let world = &application.world;
    let suffix = Uuid::new_v4().simple().to_string();
    let roles = ["lethe_worker", "lethe_serve", "acme"];
    for role in roles {
        world.execute(&format!("create role {role}_{suffix}")).await;
    }
    let (folder, url, s3) = (Folder::new(), world.url.clone(), world.s3.url());
    let (key, tokens) = (
        signer().public_key().to_owned(),
        format!("ops:{ADMIN_TOKEN}"),
    );
    let environment = [
        ("DATABASE_URL", url.as_str()),
        ("AWS_ENDPOINT_URL_S3", &s3),
        ("CLERK_WEBHOOK_SIGNING_SECRET", WEBHOOK_SECRET),
        ("CLERK_JWT_KEY", &key),
        ("ADMIN_API_TOKENS", &tokens),
    ];
    let map = folder.0.join("lethe.toml");
    for commands in commands_of("docs/erasure-map.md") {
        let mut here = commands.replace("postgres://…", &world.url);
        for role in roles {
            here = here.replace(&format!(" {role}"), &format!(" {role}_{suffix}"));
        }
        shell(&folder, &environment, &here).await;
        if commands.contains("map init") {
            let draft = read_to_string(&map).unwrap();
            assert!(draft.contains("author_id = \"TODO\""), "{draft}");
            let decided = draft
                .replace("within = \"TODO\"", "within = \"any\"")
                .replace("\"TODO\"", "\"delete\"");
            std::fs::write(&map, decided).unwrap();
        }
    }
    world
        .expect_rows("lethe.maps where map like '%author_id%'", 1)
        .await;
}

#[test]
fn every_snippet_of_the_guide_stands_in_a_file_that_is_run() {
    let files = SNIPPETS.map(|name| {
        let path = root().join("examples/integrate").join(name);
        read_to_string(path).unwrap()
    });
    let mut found = 0;
    for (language, snippet) in blocks("docs/integrate.md") {
        if language == "sh" {
            continue;
        }
        found += 1;
        assert!(
            files.iter().any(|file| file.contains(&snippet)),
            "this stands in no file of examples/integrate ({language}):\n{snippet}"
        );
    }
    assert!(found >= 5, "only {found} snippets were found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_sqlx_commits_both_or_neither() {
    let world = World::new().await;
    world
        .execute("create table public.closed_accounts (user_id text primary key)")
        .await;
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let tombstones = "lethe.user_tombstones where user_id = 'user_a'";

    let task = application::delete_sample(&world.pool, sample, "user_a").await;
    assert!(task.unwrap().is_some());
    let task = application::delete_sample(&world.pool, Uuid::new_v4(), "user_a").await;
    assert_eq!(task.unwrap(), None);

    world
        .execute("insert into public.closed_accounts values ('user_a')")
        .await;
    application::close_account(&world.pool, "user_a")
        .await
        .unwrap_err();
    world.expect_rows(tombstones, 0).await;
    world.execute("delete from public.closed_accounts").await;
    application::close_account(&world.pool, "user_a")
        .await
        .unwrap();
    world.expect_rows(tombstones, 1).await;
}

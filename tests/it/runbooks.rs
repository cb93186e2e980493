//! Every command of docs/operations.md, docs/integrate.md, docs/gdpr.md and docs/receipts.md is run, and every snippet
//! stands in a file that is run.

use std::fs::{create_dir, read_to_string, remove_dir_all};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use lethe::receipts::seal::seal_all;

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
        let lethe = Path::new(env!("CARGO_BIN_EXE_lethe")).parent().unwrap();
        let path = format!("{}:{}", lethe.display(), std::env::var("PATH").unwrap());
        let signer = signer();
        let mut command = tokio::process::Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(&self.folder.0)
            .env_clear()
            .env("PATH", path)
            .env("DATABASE_URL", &self.world.url)
            .env("RESTORED_URL", &self.restored_url)
            .env("LETHE", &self.service.url)
            .env("TOKEN", ADMIN_TOKEN)
            .env("USER_ID", "user_2abc")
            .env("TASK", self.dead_task.to_string())
            .env("S3_BUCKET", "lethe")
            .env("AWS_ENDPOINT_URL_S3", self.world.s3.url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test-secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("CLERK_WEBHOOK_SIGNING_SECRET", WEBHOOK_SECRET)
            .env("CLERK_JWT_KEY", signer.public_key())
            .env("CLERK_ISSUER", ISSUER)
            .env("ADMIN_API_TOKENS", format!("ops:{ADMIN_TOKEN}"))
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

    /// How many rows there are in the restored database.
    async fn restored(&self, from: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.restored_url).await.unwrap();
        let sql = format!("select count(*) from {from}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        count.fetch_one(&mut connection).await.unwrap()
    }
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
        for (_, commands) in blocks(document)
            .iter()
            .filter(|(language, _)| language == "sh")
        {
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

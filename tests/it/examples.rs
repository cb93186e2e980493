//! The applications of `examples/`: their maps pass the gate, a draft of a map names everything that theirs do, and an
//! erasure by Clerk's webhook leaves of each table and of each object what stands beside this test.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use lethe::map::draft::draft;
use lethe::map::format::{ErasureMap, MappedTable};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::check::service_is_ready;
use crate::map::{GrantedRoles, free_address, until_ready};
use crate::support::service::{Service, answer};
use crate::support::world::{Log, World};

/// Most lines of a README beside an example.
const MAX_README_LINES: usize = 60;

/// The one who leaves.
const ALICE: &str = "user_alice";

/// An example: its folder, and the scripts that make its tables.
struct Example {
    name: &'static str,
    migrations: &'static [&'static str],
}

const PRISMA: Example = Example {
    name: "prisma",
    migrations: &["prisma/migrations/20261130090200_init/migration.sql"],
};
const DRIZZLE: Example = Example {
    name: "drizzle",
    migrations: &["migrations/0000_init.sql"],
};
const NO_USERS_TABLE: Example = Example {
    name: "no-users-table",
    migrations: &["schema.sql"],
};
const ALL: [Example; 3] = [PRISMA, DRIZZLE, NO_USERS_TABLE];

impl Example {
    fn path(&self, file: &str) -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        root.join(self.name).join(file)
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.path(file)).unwrap()
    }

    fn map_path(&self) -> String {
        self.path("lethe.toml").to_str().unwrap().to_owned()
    }

    /// The application's tables in a database of their own, without a row.
    async fn tables(&self) -> World {
        let world = World::unmigrated().await;
        for script in self.migrations {
            run(&world, self.read(script)).await;
        }
        world
    }

    async fn passes_the_gate(&self) {
        let world = self.tables().await;
        self.check(&world, &["--no-values"]).await;
        run(&world, self.read("seed.sql")).await;
        run(&world, "analyze".to_owned()).await;
        self.check(&world, &[]).await;
    }

    async fn check(&self, world: &World, more: &[&str]) {
        let map = self.map_path();
        let arguments = [&["map", "check", "--map", &map], more].concat();
        let output = world.run(&arguments, &[]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {text}", self.name);
    }

    /// Where a person changes nothing but each `"TODO"`, the draft becomes a map that passes the gate, and it has
    /// each reference and each object column of the map that was written with care.
    async fn is_drafted(&self) {
        let world = self.tables().await;
        let mut connection = PgConnection::connect(&world.url).await.unwrap();
        let text = draft(&mut connection).await.unwrap();
        assert!(ErasureMap::parse(&text).is_err(), "{text}");
        let decided = crate::map::decide(&text);
        let decided = crate::map::parse(&decided);
        let careful = crate::map::parse(&self.read("lethe.toml"));
        assert_eq!(places(&decided), places(&careful), "{text}");
        let options = lethe::map::gate::GateOptions::default();
        let report = lethe::map::gate::inspect(&mut connection, &decided, options).await;
        let report = report.unwrap();
        let result = lethe::map::gate::GateResult::Complete;
        assert_eq!(report.result, result, "{text}\n{:#?}", report.findings);
    }
}

/// The rows of each table and the keys of each bucket, as lines.
type Contents = BTreeMap<String, Vec<String>>;

impl Example {
    /// The objects of `objects.txt`: bucket and key.
    fn objects(&self) -> Vec<(String, String)> {
        let text = self.read("objects.txt");
        let pair = |line: &str| {
            let (bucket, key) = line.split_once(' ').unwrap();
            (bucket.to_owned(), key.to_owned())
        };
        text.lines().map(pair).collect()
    }

    /// The application with its rows, its objects, its map, and the roles of `lethe map grants`; the real processes erase
    /// Alice. What was before and what is after is compared with a file. Reconciliation would remove what the application had
    /// soft-deleted itself, sooner or later than the erasure, so it is off.
    async fn erases_alice(&self) {
        let world = self.tables().await;
        run(&world, self.read("seed.sql")).await;
        let objects = self.objects();
        for (bucket, key) in &objects {
            world.s3.stand_apart(bucket);
            world.s3.put_in(bucket, key);
        }
        let map = self.map_path();
        let given = [("ERASURE_MAP", map.as_str())];
        let migrated = world.run(&["migrate"], &given).await;
        assert!(migrated.status.success(), "{}: {migrated:?}", self.name);
        let roles = GrantedRoles::new(&world).await;
        let before = contents(&world, &objects).await;

        let as_serve = [&given[..], &[("DATABASE_URL", roles.serve.url.as_str())]];
        let service = Service::start_with(&world, &as_serve.concat()).await;
        service_is_ready(&service).await;
        let (address, log) = (free_address(), Log::new());
        let as_worker = [
            &given[..],
            &[
                ("DATABASE_URL", roles.worker.url.as_str()),
                ("METRICS_ADDR", &address),
                ("RECONCILE_INTERVAL_MS", "0"),
            ],
        ];
        let mut worker = world.logged(&["worker"], &as_worker.concat(), &log);
        until_ready(&address).await;
        let (status, body) = answer(service.user_deleted("m1", ALICE)).await;
        assert_eq!(status, 204, "{}: {body}", self.name);
        world
            .until("exists (select from lethe.receipts) and not exists (select from lethe.cleanup_tasks)")
            .await;
        let receipt = service.get(&format!("/admin/users/{ALICE}/erasure")).await;
        assert_eq!(receipt["status"], "complete", "{}: {receipt}", self.name);
        roles.expect_fine(&world, &given).await;
        worker.kill().await.unwrap();
        let said = log.text();
        assert!(!said.contains("permission denied"), "{}: {said}", self.name);

        let after = contents(&world, &objects).await;
        let mut text = compared(&before, &after);
        for name in ["rowsDeleted", "kept", "objectsDeleted", "objectsKept"] {
            let _ = writeln!(text, "receipt {name}: {}", receipt[name]);
        }
        self.expect_golden(&text);
    }

    fn expect_golden(&self, text: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fixtures/examples");
        let path = folder.join(format!("{}.txt", self.name));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(&path, text).unwrap();
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            text == expected,
            "{}: UPDATE_GOLDEN=1 writes the file anew\n{text}",
            path.display()
        );
    }
}

async fn contents(world: &World, objects: &[(String, String)]) -> Contents {
    let mut contents = Contents::new();
    let tables: Vec<String> = sqlx::query_scalar(
        "select quote_ident(relname) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    for table in tables {
        let sql = format!("select to_jsonb(t)::text from public.{table} t");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_all(&world.pool)
            .await
            .unwrap();
        contents.insert(format!("table {table}"), rows);
    }
    for (bucket, _) in objects {
        contents.insert(format!("bucket {bucket}"), world.s3.keys_in(bucket));
    }
    for lines in contents.values_mut() {
        lines.sort();
    }
    contents
}

/// Each line of before and after: `-` is gone, `+` came.
fn compared(before: &Contents, after: &Contents) -> String {
    let mut text = String::new();
    for (place, lines) in before {
        let _ = writeln!(text, "{place}");
        let left = &after[place];
        for line in lines {
            let mark = if left.contains(line) { ' ' } else { '-' };
            let _ = writeln!(text, "  {mark} {line}");
        }
        for line in left.iter().filter(|line| !lines.contains(line)) {
            let _ = writeln!(text, "  + {}", without_the_time(line));
        }
    }
    text
}

/// A row that was changed by the erasure may say when.
fn without_the_time(line: &str) -> String {
    let Ok(serde_json::Value::Object(mut row)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    for name in ["deletedAt", "deleted_at"] {
        if let Some(at) = row.get_mut(name).filter(|at| at.is_string()) {
            *at = "the time of the erasure".into();
        }
    }
    serde_json::Value::Object(row).to_string()
}

async fn run(world: &World, sql: String) {
    let result = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(&world.pool)
        .await;
    result.unwrap_or_else(|error| panic!("{error}:\n{sql}"));
}

/// The references and object columns that a map speaks of.
fn places(map: &ErasureMap) -> BTreeSet<String> {
    let of_table = |table: &MappedTable| {
        let name = table.name.name.clone();
        let rules = table
            .rules
            .iter()
            .map(|rule| format!("{name}: on_erase.{}", rule.columns));
        let objects = table.objects.iter();
        let objects = objects.map(|object| format!("{name}: object {}", object.column));
        Vec::from_iter(rules.chain(objects))
    };
    map.all_tables().flat_map(of_table).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_of_each_example_passes_the_gate() {
    for example in ALL {
        example.passes_the_gate().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_of_each_example_needs_nothing_but_decisions() {
    for example in ALL {
        example.is_drafted().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_leaves_of_the_prisma_application_what_its_map_says() {
    PRISMA.erases_alice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_leaves_of_the_drizzle_application_what_its_map_says() {
    DRIZZLE.erases_alice().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_leaves_of_an_application_without_users_what_its_map_says() {
    NO_USERS_TABLE.erases_alice().await;
}

#[test]
fn the_readme_of_each_example_is_short() {
    for example in ALL {
        let lines = example.read("README.md").lines().count();
        let name = example.name;
        assert!(lines <= MAX_README_LINES, "{name}: {lines} lines");
    }
}

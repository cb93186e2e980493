//! The applications of `examples/`: their maps pass the gate, a draft of a map names everything that theirs do, and an
//! erasure by Clerk's webhook leaves of each table and of each object what stands beside this test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use lethe::map::draft::draft;
use lethe::map::format::{ErasureMap, MappedTable};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::support::world::World;

/// Most lines of a README beside an example.
const MAX_README_LINES: usize = 60;

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

#[test]
fn the_readme_of_each_example_is_short() {
    for example in ALL {
        let lines = example.read("README.md").lines().count();
        let name = example.name;
        assert!(lines <= MAX_README_LINES, "{name}: {lines} lines");
    }
}

//! A database with an application's tables, and a map's file beside it.

use std::path::PathBuf;
use std::time::Duration;

use lethe::map::format::ErasureMap;
use lethe::map::gate::{self, Code, GateOptions, GateResult, Report};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};

use crate::support::world::World;

/// The users of every fixture.
pub const USER_A: &str = "user_2aaaaaaaaaaaaaaaaaaaaaaaaaa";
pub const USER_B: &str = "user_2bbbbbbbbbbbbbbbbbbbbbbbbbb";

pub const PLAN_LIMIT: Duration = Duration::from_secs(30);

/// The application's database.
pub struct Application {
    pub world: World,
}

impl Application {
    /// A database of its own with these tables and rows, and with statistics of them.
    pub async fn new(sql: &str) -> Self {
        let world = World::unmigrated().await;
        run_script(&world, sql).await;
        world.execute("analyze").await;
        Self { world }
    }

    /// The same, with this map applied by `lethe migrate`.
    pub async fn migrated(sql: &str, map: &str) -> (Self, MapFile) {
        let (application, file) = (Self::new(sql).await, MapFile::new(map));
        let given = [("ERASURE_MAP", file.path())];
        let migrated = application.world.run(&["migrate"], &given).await;
        let said = [migrated.stdout, migrated.stderr].concat();
        assert!(
            migrated.status.success(),
            "{}",
            String::from_utf8_lossy(&said)
        );
        (application, file)
    }

    pub async fn run(&self, sql: &str) {
        run_script(&self.world, sql).await;
    }

    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.world.url).await.unwrap()
    }

    /// What the gate says of a map.
    pub async fn inspect(&self, map: &ErasureMap, options: GateOptions) -> Report {
        let mut connection = self.connection().await;
        gate::inspect(&mut connection, map, options).await.unwrap()
    }

    /// What the gate says of a map's text, each finding as `severity code place`, without notes.
    pub async fn findings(&self, toml: &str) -> Vec<String> {
        let report = self.inspect(&parse(toml), GateOptions::default()).await;
        let findings = report.findings.iter();
        let bad = findings.filter(|finding| finding.severity > gate::Severity::Note);
        bad.map(|finding| {
            format!(
                "{} {} {}",
                finding.severity,
                finding.code.as_str(),
                finding.place
            )
        })
        .collect()
    }

    /// The same for notes.
    pub async fn notes(&self, toml: &str) -> Vec<String> {
        let report = self.inspect(&parse(toml), GateOptions::default()).await;
        let findings = report.findings.iter();
        let notes = findings.filter(|finding| finding.severity == gate::Severity::Note);
        notes
            .map(|finding| format!("{} {}", finding.code.as_str(), finding.place))
            .collect()
    }

    pub async fn expect_complete(&self, map: &ErasureMap, what: &str) {
        let report = self.inspect(map, GateOptions::default()).await;
        assert_eq!(
            report.result,
            GateResult::Complete,
            "{what}: {:#?}",
            report.findings
        );
    }

    /// Installs what is generated for a map.
    pub async fn install(&self, map: &ErasureMap) -> String {
        let mut connection = self.connection().await;
        lethe::schema::MIGRATOR.run(&mut connection).await.unwrap();
        let script = lethe::map::plan::script(&mut connection, map)
            .await
            .unwrap();
        self.run(&script).await;
        script
    }

    /// What the installed function says of a user, after it was found to be what `lethe map plan` says.
    pub async fn plan(&self, map: &ErasureMap, user: &str) -> Value {
        let mut connection = self.connection().await;
        let printed = lethe::map::plan::plan(&mut connection, map, user, PLAN_LIMIT)
            .await
            .unwrap();
        let installed: String = sqlx::query_scalar("select lethe_map.plan($1)::text")
            .bind(user)
            .fetch_one(&self.world.pool)
            .await
            .unwrap();
        let installed: Value = serde_json::from_str(&installed).unwrap();
        assert_eq!(installed, serde_json::to_value(&printed).unwrap());
        installed
    }

    /// What is left of a user, each as `type action rows`.
    pub async fn leftovers(&self, user: &str, key: Option<&str>) -> Vec<String> {
        let sql = "select type || ' ' || action || ' ' || rows from lethe_map.leftovers($1, $2)";
        let rows = sqlx::query_scalar(sql).bind(user).bind(key);
        rows.fetch_all(&self.world.pool).await.unwrap()
    }
}

async fn run_script(world: &World, sql: &str) {
    let script = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned()));
    let result = script.execute(&world.pool).await;
    result.unwrap_or_else(|error| panic!("{error}:\n{sql}"));
}

pub fn parse(toml: &str) -> ErasureMap {
    ErasureMap::parse(toml).unwrap_or_else(|error| panic!("{error}\n{toml}"))
}

/// The rows of a plan, each as `type action rows keys`.
pub fn rows(plan: &Value) -> Vec<String> {
    let rows = plan["rows"].as_array().unwrap().iter();
    rows.map(|row| {
        let (kind, action) = (
            row["type"].as_str().unwrap(),
            row["action"].as_str().unwrap(),
        );
        format!("{kind} {action} {} {}", row["rows"], row["keys"])
    })
    .collect()
}

/// A map's file that goes with the test.
pub struct MapFile(pub PathBuf);

impl MapFile {
    pub fn new(text: &str) -> Self {
        let name = format!("lethe-map-{}.toml", uuid::Uuid::new_v4().simple());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for MapFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Every code, so that tests can say which of them they saw.
pub fn code(word: &str) -> Code {
    let code = Code::ALL.iter().find(|code| code.as_str() == word);
    *code.unwrap_or_else(|| panic!("no code {word}"))
}

//! Fourteen shapes of real applications. Each is found complete with its map, is noticed to be incomplete without
//! any one of its rules, can be drafted, and gives the plan that stands beside it.

use std::path::{Path, PathBuf};

use lethe::map::draft::draft;
use lethe::map::format::{ErasureMap, MappedTable};
use lethe::map::gate::{GateOptions, GateResult};

use super::database::{Application, USER_A, parse};

const FOLDER: &str = "tests/it/map/shapes";

macro_rules! shapes {
    ($($name:ident)*) => {
        pub const SHAPES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                judge(stringify!($name)).await;
            }
        )*
    };
}

shapes! {
    agents chats contents documents helpdesk listings notes payroll reels shop venues videos wardrobe workflows
}

fn path(name: &str, ending: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(FOLDER).join(format!("{name}.{ending}"))
}

pub fn read(name: &str, ending: &str) -> String {
    std::fs::read_to_string(path(name, ending)).unwrap()
}

/// Compares with a file of the repository, or writes it if `UPDATE_GOLDEN` is set.
fn expect_golden(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, text).unwrap();
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        golden == text,
        "{} is not what was generated; set UPDATE_GOLDEN=1 and read the difference",
        path.display()
    );
}

async fn judge(name: &str) {
    let application = Application::new(&read(name, "sql")).await;
    let map = parse(&read(name, "toml"));
    application.expect_complete(&map, name).await;
    application.install(&map).await;
    let plan = application.plan(&map, USER_A).await;
    expect_golden(&path(name, "plan.json"), &format!("{plan:#}\n"));
    let nobody = application.plan(&map, "user_2nobody").await;
    assert_eq!(nobody["rows"].as_array().unwrap().len(), 0, "{nobody:#}");
    every_rule_is_missed(&application, &map).await;
    let text = draft(&mut application.connection().await).await.unwrap();
    assert!(
        ErasureMap::parse(&text).is_err(),
        "an open draft is no map:\n{text}"
    );
    let decided = decide(&text);
    let decided = ErasureMap::parse(&decided).unwrap_or_else(|error| panic!("{error}\n{decided}"));
    application.expect_complete(&decided, &text).await;
}

/// Takes one rule away after the other. A rule that points at rows that are never erased is not needed.
async fn every_rule_is_missed(application: &Application, map: &ErasureMap) {
    let sections = std::iter::once(None).chain((0..map.tables.len()).map(Some));
    for section in sections {
        let rules = of(&mut map.clone(), section).map_or(0, |table| table.rules.len());
        for rule in 0..rules {
            let mut without = map.clone();
            let table = of(&mut without, section).unwrap();
            let taken = table.rules.remove(rule);
            let place = format!("{}.{}", table.section, taken.columns);
            let still_there = table
                .rules
                .iter()
                .any(|other| other.columns == taken.columns);
            let report = application.inspect(&without, GateOptions::default()).await;
            let all = application.inspect(map, GateOptions::default()).await;
            let unused = all
                .findings
                .iter()
                .any(|finding| finding.code.as_str() == "stale-rule" && finding.place == place);
            assert!(
                report.result == GateResult::Found || still_there || unused,
                "nothing was found without {place}"
            );
        }
    }
}

fn of(map: &mut ErasureMap, section: Option<usize>) -> Option<&mut MappedTable> {
    match section {
        None => map.user.table.as_mut(),
        Some(section) => map.tables.get_mut(section),
    }
}

/// Replaces each `"TODO"` of a draft, and nothing else.
pub fn decide(draft: &str) -> String {
    draft
        .replace("do = \"TODO\"", "do = \"delete\"")
        .replace("others = \"TODO\"", "others = \"too\"")
        .replace("within = \"TODO\"", "within = \"any\"")
        .replace("json = \"TODO\"", "json = \"lax $[*]\"")
        .replace("to = \"TODO\"", "to = \"user.id\"")
        .replace("urls = [\"TODO\"]", "urls = [\"https://objects.invalid/\"]")
        .replace("\"TODO\"", "\"delete\"")
}

#[test]
fn every_shape_has_a_test() {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER)).unwrap();
    let mut names: Vec<String> = files
        .filter_map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".sql")?.to_owned())
        })
        .collect();
    names.sort();
    assert_eq!(names, SHAPES);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_of_the_built_in_map_are_those_of_the_golden_file() {
    let world = crate::support::world::World::new().await;
    let application = Application { world };
    let map = ErasureMap::built_in().unwrap();
    application.expect_complete(&map, "built in").await;
    let script = application.install(&map).await;
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/map/built_in.sql");
    expect_golden(&golden, &script);
}

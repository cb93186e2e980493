//! Who may import whom: the arrows of ARCHITECTURE.md, read from the sources.

use std::collections::BTreeMap;
use std::path::Path;

/// Each room and the rooms that it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("queue", &["failpoint"]),
    ("storage", &[]),
    ("config", &[]),
    ("telemetry", &["config"]),
    ("deletion", &["queue"]),
    ("reconcile", &["queue", "telemetry", "config"]),
    (
        "worker",
        &[
            "queue",
            "storage",
            "deletion",
            "telemetry",
            "config",
            "failpoint",
        ],
    ),
    ("http", &["deletion", "queue", "telemetry"]),
    ("embedded", &[]),
    ("bench", &["queue", "deletion", "embedded", "schema"]),
];

/// Rooms that everybody may use, and that use none but each other.
const LEAVES: &[&str] = &["vocabulary", "db", "cause", "pauses", "cursor", "tasks"];

#[test]
fn rooms_import_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let mut checked = 0;
    for (room, may_use) in &allowed {
        for file in sources(&root.join(room)) {
            checked += 1;
            let text = std::fs::read_to_string(&file).unwrap();
            for used in text.split("crate::").skip(1) {
                let used: String = used
                    .chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect();
                assert!(
                    used.is_empty()
                        || used == *room
                        || used == "problems"
                        || LEAVES.contains(&used.as_str())
                        || may_use.contains(&used.as_str()),
                    "{} uses {used}, which {room} may not",
                    file.display()
                );
            }
        }
    }
    assert!(checked > 20, "only {checked} files were found");
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

//! What the documents claim about the code, compared with the sources.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All files below a folder, by their path in the repository.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

/// The types that derive `thiserror::Error` in this text.
fn error_types(text: &str) -> Vec<String> {
    let mut types = Vec::new();
    let mut is_error = false;
    // Types inside of test modules are not the crate's.
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[derive(") && line.contains("thiserror::Error") {
            is_error = true;
        }
        let words: Vec<&str> = line.split([' ', '(', ')', '{', '<', ';']).collect();
        let kind = words
            .iter()
            .position(|word| ["enum", "struct"].contains(word));
        if let (true, Some(kind)) = (is_error, kind) {
            types.push(words[kind + 1].to_owned());
            is_error = false;
        }
    }
    types
}

#[test]
fn the_page_of_errors_lists_every_error_type_with_its_file() {
    let mut expected = BTreeSet::new();
    for file in files("src") {
        for name in error_types(&read(&file)) {
            expected.insert(format!("| `{name}` | `{}` |", file.display()));
        }
    }
    let page = read("docs/errors.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<String> = rows
        .map(|row| row.splitn(4, '|').take(3).collect::<Vec<_>>().join("|") + "|")
        .collect();
    assert!(expected.len() > 10, "{expected:?}");
    assert_eq!(listed, expected, "docs/errors.md (left) and src (right)");
}

#[test]
fn anyhow_is_used_at_the_ends_of_the_program_only() {
    let ends = [
        "src/main.rs",
        "src/commands.rs",
        "src/commands/dev.rs",
        "src/app/",
        "src/bench/",
    ];
    for file in files("src") {
        let is_end = ends
            .iter()
            .any(|end| file.to_string_lossy().starts_with(end));
        assert!(
            is_end || !read(&file).contains("anyhow"),
            "{} uses anyhow",
            file.display()
        );
    }
}

#[test]
fn sqlstates_stand_in_one_file() {
    let codes = ["42P01", "40001", "40P01", "55P03", "57014", "42501"];
    for file in files("src") {
        let text = read(&file);
        let code = codes
            .iter()
            .find(|code| text.contains(&format!("\"{code}\"")));
        assert!(
            code.is_none() || file == Path::new("src/db/sqlstate.rs"),
            "{} knows {code:?}",
            file.display()
        );
    }
}

#[test]
fn the_page_about_kinds_names_every_file_that_names_the_kind_it_follows() {
    let page = read("docs/adding-a-kind.md");
    let mut found = 0;
    for file in ["src", "sql", "migrations"].into_iter().flat_map(files) {
        let text = read(&file);
        if text.contains("image-delete") || text.contains("ImageDelete") {
            found += 1;
            let name = format!("`{}`", file.display());
            assert!(
                page.contains(&name),
                "docs/adding-a-kind.md does not name {name}"
            );
        }
    }
    assert!(found > 5, "only {found} files name the kind");
}

/// The actions of S3 that a text names.
fn s3_actions(text: &str) -> BTreeSet<String> {
    text.split(|char: char| !char.is_ascii_alphanumeric() && char != ':')
        .filter(|word| {
            word.strip_prefix("s3:")
                .is_some_and(|name| !name.is_empty())
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_policy_of_the_worker_has_the_rights_that_the_readme_names() {
    let policy = read("deploy/iam/worker.json");
    let parsed: serde_json::Value = serde_json::from_str(&policy).unwrap();
    assert_eq!(
        parsed["Statement"].as_array().map(Vec::len),
        Some(2),
        "{parsed:#}"
    );
    assert_eq!(s3_actions(&policy), s3_actions(&read("README.md")));
}

/// The file of a test that is named `room/file::test`.
fn file_of_test(module: &str) -> Option<PathBuf> {
    ["tests/it", "src"]
        .into_iter()
        .flat_map(|folder| {
            [
                format!("{folder}/{module}.rs"),
                format!("{folder}/{module}/mod.rs"),
            ]
        })
        .map(|path| root().join(path))
        .find(|path| path.exists())
}

#[test]
fn the_page_on_security_names_tests_that_are_there() {
    let page = read("docs/security.md");
    let is_name = |text: &&str| {
        text.contains("::")
            && text
                .chars()
                .all(|char| char.is_alphanumeric() || "_/:".contains(char))
    };
    let mut checked = 0;
    for name in page.split('`').filter(is_name) {
        let (module, test) = name.split_once("::").unwrap();
        let file = file_of_test(module).unwrap_or_else(|| panic!("{name}: there is no such file"));
        let text = read(&file);
        let function = format!("fn {test}(");
        let before = text.split(&function).next().unwrap();
        assert_ne!(
            before,
            text,
            "{name}: {} has no such function",
            file.display()
        );
        let attributes = before.rsplit("\n\n").next().unwrap();
        assert!(attributes.contains("test"), "{name} is no test");
        checked += 1;
    }
    assert!(checked > 50, "only {checked} tests are named");
}

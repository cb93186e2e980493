//! The rooms of ARCHITECTURE.md: who may use whom, no circle of files within a room, and no file too long to be
//! read in one go. All of it is read from the sources.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::UseTree;

/// Rooms that every room may use. They use no room but each other.
const LEAVES: &[&str] = &[
    "cause",
    "cursor",
    "pauses",
    "recent",
    "secret",
    "vocabulary",
];

/// Every other room (a folder or a file directly below `src`) and the rooms that it may use beside the leaves.
/// From the bottom to the top. `src/lib.rs` only lists the rooms.
#[rustfmt::skip]
const ROOMS: &[(&str, &[&str])] = &[
    ("failpoint", &[]),
    ("db", &[]),
    ("schema", &["db"]),
    ("storage", &[]),
    ("queue", &["db", "failpoint"]),
    ("deletion", &["db", "telemetry"]),
    ("map", &["db"]),
    ("tasks", &["db"]),
    ("receipts", &["db", "deletion"]),
    ("safety", &["db", "tasks"]),
    ("evidence", &["safety", "tasks"]),
    ("telemetry", &["db", "safety", "tasks"]),
    ("reconcile", &["db", "telemetry"]),
    ("notices", &["db", "telemetry"]),
    ("worker", &["db", "deletion", "failpoint", "map", "queue", "storage", "telemetry"]),
    ("http", &["db", "deletion", "evidence", "map", "receipts", "safety", "tasks", "telemetry"]),
    // It parses into the types of the rooms, so these do not know it.
    ("config", &["db", "http", "map", "notices", "receipts", "reconcile", "safety", "storage", "telemetry", "worker"]),
    ("embedded", &[]),
    ("bench", &["db", "deletion", "embedded", "map", "queue", "schema"]),
    ("cli", &["bench", "config", "db", "deletion", "evidence", "http", "map", "notices", "receipts", "reconcile", "safety", "schema", "storage", "tasks", "worker"]),
    ("app", &["config", "db", "embedded", "http", "map", "notices", "receipts", "reconcile", "safety", "schema", "storage", "telemetry", "worker"]),
    ("commands", &["app", "bench", "cli", "config", "embedded", "http", "reconcile", "storage", "telemetry"]),
    ("main", &["cli", "commands", "config"]),
];

/// The files of the binary, to which the other rooms are the crate `lethe`.
const BINARY: &[&str] = &["commands", "main"];

const MAX_LINES_OF_A_FILE: usize = 450;

/// The path of a module below the crate, such as `["worker", "run"]`.
type ModulePath = Vec<String>;

/// A source file and the module that it is.
struct File {
    path: PathBuf,
    text: String,
}

struct Sources {
    files: BTreeMap<ModulePath, File>,
    /// What each file brings into scope by `use`: (module, name) and the path that the name stands for.
    names: BTreeMap<(ModulePath, String), ModulePath>,
    /// The paths that each file mentions, made absolute, with their re-exports not yet followed.
    mentions: BTreeMap<ModulePath, BTreeSet<ModulePath>>,
}

fn rows() -> BTreeMap<&'static str, Vec<&'static str>> {
    let leaves = LEAVES.iter().map(|leaf| (*leaf, Vec::new()));
    let others = ROOMS
        .iter()
        .map(|(room, may_use)| (*room, [LEAVES, *may_use].concat()));
    leaves.chain(others).collect()
}

#[test]
fn a_room_uses_only_the_rooms_that_its_row_allows() {
    let sources = Sources::read();
    let rows = rows();
    let mut faults = String::new();
    for room in sources.rooms() {
        if !rows.contains_key(room.as_str()) {
            writeln!(faults, "{room}: has no row in ROOMS").unwrap();
        }
    }
    for room in rows.keys() {
        if !sources.rooms().contains(*room) {
            writeln!(
                faults,
                "{room}: has a row in ROOMS, and src has no such room"
            )
            .unwrap();
        }
    }
    for (module, mentioned) in &sources.mentions {
        let Some((room, may_use)) = module
            .first()
            .and_then(|room| rows.get_key_value(room.as_str()))
        else {
            continue;
        };
        for target in mentioned {
            // What is no room is a macro that `#[macro_export]` lifted out of one.
            let used = match target.first() {
                Some(first) if rows.contains_key(first.as_str()) => first.clone(),
                _ => sources
                    .resolve(target)
                    .into_iter()
                    .next()
                    .unwrap_or_default(),
            };
            if used != *room && !used.is_empty() && !may_use.contains(&used.as_str()) {
                writeln!(
                    faults,
                    "{}: uses crate::{}, and {room} may not use {used}",
                    sources.files[module].path.display(),
                    target.join("::"),
                )
                .unwrap();
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn the_arrows_between_rooms_lead_one_way() {
    let edges = rows()
        .into_iter()
        .map(|(room, may_use)| {
            let room_itself = vec![room.to_owned()];
            let may_use = may_use.iter().map(|used| vec![(*used).to_owned()]);
            (room_itself, may_use.collect())
        })
        .collect();
    let circles = circles(&edges);
    assert!(
        circles.is_empty(),
        "circles of rooms in ROOMS:\n{}",
        circles.join("\n")
    );
}

#[test]
fn no_room_has_a_circle_of_files() {
    let sources = Sources::read();
    let mut edges: BTreeMap<ModulePath, BTreeSet<ModulePath>> = BTreeMap::new();
    for module in sources.files.keys() {
        // A module owns the files of its folder: who uses it, uses them.
        if let Some((_, parent)) = module.split_last()
            && !parent.is_empty()
        {
            edges
                .entry(parent.to_vec())
                .or_default()
                .insert(module.clone());
        }
    }
    for (module, mentioned) in &sources.mentions {
        for target in mentioned {
            let used = sources.resolve(target);
            // What a module defines for the files of its own folder makes no circle.
            if used.first() == module.first() && !module.starts_with(&used) {
                edges.entry(module.clone()).or_default().insert(used);
            }
        }
    }
    let circles = circles(&edges);
    assert!(
        circles.is_empty(),
        "{} circles of files:\n{}",
        circles.len(),
        circles.join("\n")
    );
}

#[test]
fn no_file_is_longer_than_one_reading() {
    let sources = Sources::read();
    let long: Vec<String> = sources
        .files
        .values()
        .map(|file| (file.text.lines().count(), &file.path))
        .filter(|(lines, _)| *lines > MAX_LINES_OF_A_FILE)
        .map(|(lines, path)| format!("{}: {lines} lines", path.display()))
        .collect();
    assert!(
        long.is_empty(),
        "more than {MAX_LINES_OF_A_FILE} lines:\n{}",
        long.join("\n")
    );
}

#[test]
fn every_form_of_a_path_is_seen() {
    let text = "
        use crate::{http::server, queue::{self, claim::*}, storage as store};
        pub use super::run::Options;
        use self::inner::Thing;
        fn f() -> impl Sized + use<> { crate::db::begin(); println!(\"{}\", crate::cause::chain(&e)) }
        mod tests { use super::super::run; use super::Thing; }
        macro_rules! m { () => { $crate::pauses::Pauses::new() } }
    ";
    let mut mentions = BTreeSet::new();
    let mut names = BTreeMap::new();
    let module = vec!["worker".to_owned(), "shared".to_owned()];
    let mut reader = Reader {
        mentions: &mut mentions,
        names: &mut names,
        root: "crate",
    };
    reader.read(&module, text.parse().unwrap());
    let seen: Vec<String> = mentions.iter().map(|path| path.join("::")).collect();
    assert_eq!(
        seen,
        [
            "cause::chain",
            "db::begin",
            "http::server",
            "pauses::Pauses::new",
            "queue",
            "queue::claim",
            "storage",
            "worker::run",
            "worker::run::Options",
            "worker::shared::Thing",
            "worker::shared::inner::Thing",
        ]
    );
}

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut sources = Self {
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            mentions: BTreeMap::new(),
        };
        sources.add_folder(&root, &root);
        assert!(
            sources.files.len() > 100,
            "only {} files",
            sources.files.len()
        );
        for (module, file) in &sources.files {
            let tokens = file
                .text
                .parse()
                .unwrap_or_else(|error| panic!("{}: {error}", file.path.display()));
            let mut reader = Reader {
                mentions: sources.mentions.entry(module.clone()).or_default(),
                names: &mut sources.names,
                root: if BINARY.iter().any(|file| module == &[*file]) {
                    "lethe"
                } else {
                    "crate"
                },
            };
            reader.read(module, tokens);
        }
        sources
    }

    fn add_folder(&mut self, root: &Path, folder: &Path) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.add_folder(root, &path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(root).unwrap();
                let mut module: ModulePath = below
                    .with_extension("")
                    .iter()
                    .map(|part| part.to_str().unwrap().to_owned())
                    .collect();
                if module
                    .last()
                    .is_some_and(|last| last == "mod" || last == "lib")
                {
                    module.pop();
                }
                let file = File {
                    path: Path::new("src").join(below),
                    text: std::fs::read_to_string(&path).unwrap(),
                };
                self.files.insert(module, file);
            }
        }
    }

    fn rooms(&self) -> BTreeSet<String> {
        self.files
            .keys()
            .filter_map(|module| module.first().cloned())
            .collect()
    }

    /// The file in which the thing that a path names is written: modules first, then re-exports.
    fn resolve(&self, path: &[String]) -> ModulePath {
        let mut path = path.to_vec();
        // Each round follows one re-export; more than a few would be a circle of them.
        for _ in 0..8 {
            let depth = (0..=path.len())
                .rev()
                .find(|depth| self.files.contains_key(&path[..*depth]))
                .unwrap_or(0);
            let file = path[..depth].to_vec();
            let Some(next) = path.get(depth) else {
                return file;
            };
            match self.names.get(&(file.clone(), next.clone())) {
                // `use serde;` brings the name of another crate, which stands for itself.
                Some(stands_for) if !stands_for.starts_with(&path[..=depth]) => {
                    path = [stands_for, &path[depth + 1..]].concat();
                }
                _ => return file,
            }
        }
        panic!("{}: re-exports in a circle", path.join("::"));
    }
}

/// Collects the paths that a file mentions.
struct Reader<'a> {
    mentions: &'a mut BTreeSet<ModulePath>,
    names: &'a mut BTreeMap<(ModulePath, String), ModulePath>,
    /// The first word of an absolute path.
    root: &'static str,
}

impl Reader<'_> {
    fn read(&mut self, module: &[String], tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at] {
                TokenTree::Group(group) => {
                    let inside = inline_module(&tokens[..at], group.delimiter());
                    let module: ModulePath = module.iter().cloned().chain(inside).collect();
                    self.read(&module, group.stream());
                }
                TokenTree::Ident(word) if word == "use" && !is_punct(tokens.get(at + 1), '<') => {
                    let end = tokens[at..]
                        .iter()
                        .position(|token| is_punct(Some(token), ';'));
                    let end = at + end.expect("a `use` without its semicolon");
                    let item: TokenStream = tokens[at..=end].iter().cloned().collect();
                    // In the pattern of a macro it may be no item.
                    if let Ok(item) = syn::parse2::<syn::ItemUse>(item) {
                        self.read_use(module, &[], &item.tree);
                    }
                    at = end;
                }
                TokenTree::Ident(word) if word == "macro_rules" => {
                    // `#[macro_export]` puts it below the crate, wherever it is written.
                    if let Some(TokenTree::Ident(name)) = tokens.get(at + 2) {
                        let key = (ModulePath::new(), name.to_string());
                        let mut path = module.to_vec();
                        path.push(name.to_string());
                        self.names.entry(key).or_insert(path);
                    }
                }
                TokenTree::Ident(word) => {
                    let mut path = vec![word.to_string()];
                    while is_punct(tokens.get(at + 1), ':')
                        && is_punct(tokens.get(at + 2), ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(at + 3)
                    {
                        path.push(next.to_string());
                        at += 3;
                    }
                    if path.len() > 1 {
                        self.mention(module, &path);
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn read_use(&mut self, module: &[String], before: &[String], tree: &UseTree) {
        let with = |word: &syn::Ident| {
            let mut path = before.to_vec();
            if word != "self" || path.is_empty() {
                path.push(word.to_string());
            }
            path
        };
        match tree {
            UseTree::Path(path) => self.read_use(module, &with(&path.ident), &path.tree),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.read_use(module, before, tree);
                }
            }
            UseTree::Glob(_) => {
                self.mention(module, before);
            }
            UseTree::Name(name) => self.bring(module, &with(&name.ident), None),
            UseTree::Rename(rename) => {
                self.bring(
                    module,
                    &with(&rename.ident),
                    Some(rename.rename.to_string()),
                );
            }
        }
    }

    /// `use path` or `use path as name`.
    fn bring(&mut self, module: &[String], path: &[String], name: Option<String>) {
        if let Some(absolute) = self.mention(module, path)
            && let Some(name) = name.or_else(|| path.last().cloned())
        {
            self.names.insert((module.to_vec(), name), absolute);
        }
    }

    /// Notes a path, made absolute. Paths into other crates are left out.
    fn mention(&mut self, module: &[String], path: &[String]) -> Option<ModulePath> {
        let mut absolute = module.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            first if first == self.root => {
                absolute.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    absolute.pop();
                    rest = &rest[1..];
                }
            }
            // A module of this file, or another crate.
            _ => {}
        }
        absolute.extend_from_slice(rest);
        self.mentions.insert(absolute.clone());
        Some(absolute)
    }
}

/// The name in `mod name { … }`, of which `before` is what stands before the braces.
fn inline_module(before: &[TokenTree], delimiter: Delimiter) -> Option<String> {
    match before {
        [.., TokenTree::Ident(word), TokenTree::Ident(name)]
            if delimiter == Delimiter::Brace && word == "mod" =>
        {
            Some(name.to_string())
        }
        _ => None,
    }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

/// The shortest circle through each module that is in one, as lines to print.
fn circles(edges: &BTreeMap<ModulePath, BTreeSet<ModulePath>>) -> Vec<String> {
    let mut found = BTreeMap::new();
    for start in edges.keys() {
        if let Some(circle) = shortest_circle(edges, start) {
            let members: BTreeSet<&ModulePath> = circle.iter().copied().collect();
            found.entry(members).or_insert_with(|| {
                let names: Vec<String> = circle.iter().map(|module| module.join("::")).collect();
                names.join(" -> ")
            });
        }
    }
    found.into_values().collect()
}

fn shortest_circle<'a>(
    edges: &'a BTreeMap<ModulePath, BTreeSet<ModulePath>>,
    start: &'a ModulePath,
) -> Option<Vec<&'a ModulePath>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in edges.get(*way.last()?).into_iter().flatten() {
            let mut longer = way.clone();
            longer.push(next);
            if next == start {
                return Some(longer);
            }
            if seen.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

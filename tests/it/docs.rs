//! What the documents name in this repository is there: the targets of links, their anchors, and the paths that
//! stand in code spans.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// Folders in which no document of the repository lies.
const OTHERS: &[&str] = &["target", "node_modules", ".git", ".lethe"];

/// A path in a code span is checked if it begins so.
const OUR_FOLDERS: &[&str] = &[
    ".ci/",
    "deploy/",
    "docs/",
    "examples/",
    "migrations/",
    "openapi/",
    "panel/",
    "scripts/",
    "sql/",
    "src/",
    "tests/",
];

/// What a document says of itself and of others.
#[derive(Default)]
struct Document {
    anchors: BTreeSet<String>,
    links: Vec<String>,
    paths: Vec<String>,
}

#[test]
fn every_file_and_anchor_that_a_document_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut documents = BTreeMap::new();
    read_folder(root, &mut documents);
    let mut faults = Vec::new();
    let mut checked = 0;
    for (path, document) in &documents {
        let name = path.strip_prefix(root).unwrap().display();
        for link in document.links.iter().filter(|link| is_relative(link)) {
            checked += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file {
                "" => path.clone(),
                file => match path.parent().unwrap().join(file).canonicalize() {
                    Ok(target) => target,
                    Err(_) => {
                        faults.push(format!("{name}: {link}: there is no such file"));
                        continue;
                    }
                },
            };
            if !anchor.is_empty()
                && !documents
                    .get(&target)
                    .is_some_and(|document| document.anchors.contains(anchor))
            {
                faults.push(format!("{name}: {link}: there is no such heading"));
            }
        }
        for named in &document.paths {
            checked += 1;
            if !root.join(named).exists() {
                faults.push(format!("{name}: `{named}`: there is no such file"));
            }
        }
    }
    assert!(checked > 30, "only {checked} links and paths were found");
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn links_anchors_and_paths_are_found() {
    let document = Document::of(
        "# What is it? `lethe dev`, and more\n\
         ## Twice\n## Twice\n\
         [a](docs/a.md#twice-1) ![b](b.svg) <https://example.com> [c][d]\n\n\
         `scripts/dev --seed 100`, `sql/<room>/<verb>.sql`, `src/app`, `cargo test`\n\n\
         ```\n[not](a-link)\n```\n\n[d]: d.md\n",
    );
    assert_eq!(
        Vec::from_iter(&document.anchors),
        ["twice", "twice-1", "what-is-it-lethe-dev-and-more"]
    );
    assert_eq!(
        document.links,
        ["docs/a.md#twice-1", "b.svg", "https://example.com", "d.md"]
    );
    assert_eq!(document.paths, ["scripts/dev", "src/app"]);
}

fn read_folder(folder: &Path, documents: &mut BTreeMap<PathBuf, Document>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !OTHERS.iter().any(|other| path.ends_with(other)) {
                read_folder(&path, documents);
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&path).unwrap();
            documents.insert(path.canonicalize().unwrap(), Document::of(&text));
        }
    }
}

fn is_relative(link: &str) -> bool {
    !link.contains("://") && !link.starts_with("mailto:")
}

impl Document {
    fn of(text: &str) -> Self {
        let mut document = Self::default();
        let mut heading: Option<String> = None;
        for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    document.add_anchor(&heading.take().unwrap_or_default());
                }
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    document.links.push(dest_url.into_string());
                }
                Event::Text(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                }
                Event::Code(code) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&code);
                    }
                    let path = code.split_whitespace().next().unwrap_or_default();
                    if OUR_FOLDERS.iter().any(|folder| path.starts_with(folder))
                        && !path.contains(['<', '*', '…'])
                    {
                        document.paths.push(path.to_owned());
                    }
                }
                _ => {}
            }
        }
        document
    }

    /// The anchor that forges give to a heading: lower case, hyphens for spaces, no punctuation, and a number for
    /// each further heading of the same words.
    fn add_anchor(&mut self, heading: &str) {
        let anchor: String = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let numbered = (1..).map(|n| format!("{anchor}-{n}"));
        let free = std::iter::once(anchor.clone())
            .chain(numbered)
            .find(|anchor| !self.anchors.contains(anchor));
        self.anchors.extend(free);
    }
}

//! One layer of values: what it says about each variable, with secrets read from their files.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::fault::Fault;
use super::variables::{self, Variable};

/// Largest file that `NAME_FILE` may name: no key or URL comes near it, and a path that points at a
/// log or a device by mistake must not fill the memory.
const MAX_SECRET_FILE_BYTES: u64 = 64 * 1024;

/// Where a value was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A flag on the command line.
    Flag,
    /// The process environment.
    Environment,
    /// The file `.env` of the working directory.
    EnvFile,
    /// `lethe dev`, for what nobody else has set.
    Dev,
}

impl Origin {
    /// Says where a value came from, in the words of a person who looks for it; the environment
    /// goes without saying.
    pub(super) fn suffix(self, variable: &Variable) -> String {
        match self {
            Self::Environment => String::new(),
            Self::Flag => format!(" (by --{})", variable.flag()),
            Self::EnvFile => " (in .env)".to_owned(),
            Self::Dev => " (by lethe dev)".to_owned(),
        }
    }
}

/// A value, or why there is none although the variable was set.
pub(super) type Entry = Result<String, Fault>;

pub(super) struct Layer {
    pub(super) origin: Origin,
    pub(super) entries: BTreeMap<&'static str, Entry>,
}

impl Layer {
    /// Takes what is Lethe's from `pairs`; the first of a repeated name counts, as dotenv files
    /// have it. An empty value counts as unset.
    pub(super) fn new(
        origin: Origin,
        pairs: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let mut given = HashMap::new();
        for (name, value) in pairs {
            if let Some(name) = name.to_str() {
                given.entry(name.to_owned()).or_insert(value);
            }
        }
        given.retain(|_, value| !is_blank(value));
        let entry =
            |variable: &&'static Variable| Some((variable.name, entry(variable, origin, &given)?));
        let entries = variables::ALL.iter().filter_map(entry).collect();
        Self { origin, entries }
    }
}

fn is_blank(value: &OsString) -> bool {
    value.to_str().is_some_and(|text| text.trim().is_empty())
}

fn entry(variable: &Variable, origin: Origin, given: &HashMap<String, OsString>) -> Option<Entry> {
    let fault = |problem: &str, remedy: &str| Fault::new(variable.name, problem, remedy);
    let file_name = variable.file_name().unwrap_or_default();
    match (given.get(variable.name), given.get(&file_name)) {
        (None, None) => None,
        (Some(value), None) => Some(match value.to_str() {
            Some(text) => Ok(text.trim().to_owned()),
            None => Err(fault("is not valid UTF-8.", "Give it as UTF-8 text.")),
        }),
        (None, Some(path)) => Some(read_secret_file(Path::new(path)).map_err(|problem| {
            // The path is not shown: it may be the secret itself, set under the wrong name.
            fault(
                &format!("is to be read from the file in {file_name}, {problem}."),
                &format!("Let {file_name} name a readable text file that holds the value alone."),
            )
        })),
        (Some(_), Some(_)) => {
            let suffix = origin.suffix(variable);
            Some(Err(fault(
                &format!("and {file_name} are both set{suffix}."),
                "Keep one of the two.",
            )))
        }
    }
}

/// The content of a secret's file without the newline that editors and `echo` put at its end.
fn read_secret_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("which cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_SECRET_FILE_BYTES {
        return Err(format!(
            "which is larger than {MAX_SECRET_FILE_BYTES} bytes"
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| "which is not UTF-8 text".to_owned())?;
    match text.trim() {
        "" => Err("which is empty".to_owned()),
        value => Ok(value.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, pairs: &[(&str, &str)]) -> Option<Entry> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        Layer::new(Origin::Flag, pairs).entries.remove(name)
    }

    fn secret_file(name: &str, content: &[u8]) -> String {
        let path = std::env::temp_dir().join(format!("lethe-{}-{name}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_secret_is_read_from_a_file_without_its_trailing_newline() {
        let path = secret_file("newline", b"postgres://db/app\r\n");
        assert_eq!(
            entry("DATABASE_URL", &[("DATABASE_URL_FILE", &path)]),
            Some(Ok("postgres://db/app".to_owned()))
        );
    }

    #[test]
    fn only_secrets_are_read_from_files() {
        let path = secret_file("plain", b"[::1]:1");
        assert_eq!(entry("BIND_ADDR", &[("BIND_ADDR_FILE", &path)]), None);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_fault() {
        let cases = [
            ("/nonexistent/secret".to_owned(), "cannot be read"),
            (secret_file("empty", b"\n"), "is empty"),
            (secret_file("binary", b"\xff\xfe"), "is not UTF-8"),
            (
                secret_file("huge", &[b'x'; 70_000]),
                "is larger than 65536 bytes",
            ),
        ];
        for (path, problem) in cases {
            let entry = entry("ADMIN_API_TOKENS", &[("ADMIN_API_TOKENS_FILE", &path)]);
            let fault = entry.unwrap().unwrap_err();
            assert!(fault.problem.contains(problem), "{fault}");
            assert!(
                !fault.problem.contains("secret"),
                "a path may be the secret: {fault}"
            );
        }
    }

    #[test]
    fn a_value_and_a_file_together_are_a_fault() {
        let both = [
            ("DATABASE_URL", "postgres://db"),
            ("DATABASE_URL_FILE", "/x"),
        ];
        assert_eq!(
            entry("DATABASE_URL", &both)
                .unwrap()
                .unwrap_err()
                .to_string(),
            "DATABASE_URL and DATABASE_URL_FILE are both set (by --database-url).\n    \
             Keep one of the two."
        );
    }
}

//! A draft as data, and how it is written. Written as decided, it is a map that can be compared with the database;
//! written for a person, each decision is `"TODO"`.

use std::fmt::Write as _;

use crate::map::format::{toml_key, toml_string};

/// A draft.
#[derive(Debug, Default)]
pub(super) struct Sketch {
    pub(super) user: Option<SketchUser>,
    /// Whether a column seems to hold URLs.
    pub(super) has_urls: bool,
    pub(super) tables: Vec<SketchTable>,
    pub(super) ignored: Vec<String>,
    pub(super) accepted: Vec<String>,
}

/// The user's table.
#[derive(Debug)]
pub(super) struct SketchUser {
    /// The name, as the value of `table`.
    pub(super) table: String,
    /// The lines of its soft delete and objects.
    pub(super) table_lines: SketchTable,
    pub(super) id: Option<String>,
    pub(super) clerk_id: ClerkIdGuess,
}

#[derive(Debug)]
pub(super) enum ClerkIdGuess {
    /// The same as the id.
    Id,
    Column(String),
    Unknown,
}

/// A section.
#[derive(Debug, Default)]
pub(super) struct SketchTable {
    pub(super) key: String,
    /// The value of `name`, where the key cannot say it.
    pub(super) name: Option<String>,
    pub(super) type_name: Option<String>,
    pub(super) soft_delete: Vec<(&'static str, String)>,
    pub(super) rules: Vec<SketchRule>,
    pub(super) objects: Vec<SketchObject>,
}

/// A rule to be decided.
#[derive(Debug)]
pub(super) struct SketchRule {
    pub(super) columns: String,
    /// `to`, for a reference without a foreign key.
    pub(super) target: Option<TargetGuess>,
    /// Whether rows of other people might go along.
    pub(super) may_take_others: bool,
    /// What a person should know for the decision.
    pub(super) comment: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TargetGuess {
    Known(String),
    /// Either of the user's ids.
    EitherId,
    /// Rows of several tables; a column says of which.
    Polymorphic {
        label: String,
        /// One that it may be, as the value of `to`.
        example: String,
    },
}

/// A column that seems to name objects.
#[derive(Debug)]
pub(super) struct SketchObject {
    pub(super) column: String,
    pub(super) is_json: bool,
}

/// How the decisions are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decisions {
    /// By a person, later.
    Open,
    /// Everything is deleted.
    Delete,
}

impl Decisions {
    fn text(self, decided: &str) -> String {
        match self {
            Self::Open => "\"TODO\"".to_owned(),
            Self::Delete => toml_string(decided),
        }
    }
}

impl Sketch {
    pub(super) fn write(&self, decisions: Decisions) -> String {
        let mut text = "version = 1\n\n".to_owned();
        if self.has_objects() {
            text += "[bucket.main]                # S3_BUCKET; give it a `name` if it is another\n";
            if self.has_urls {
                let base = decisions.text("https://objects.invalid/");
                let _ = writeln!(
                    text,
                    "urls = [{base}]  # base URLs below which objects are stored in columns"
                );
            }
            text.push('\n');
        }
        self.write_user(&mut text, decisions);
        for table in self.tables.iter() {
            let _ = writeln!(text, "\n[table.{}]", toml_key(&table.key));
            table.write(&mut text, decisions);
        }
        for (section, entries, meaning) in [
            ("ignore", &self.ignored, "why each holds nothing of a user"),
            ("accept", &self.accepted, "why each is harmless here"),
        ] {
            if !entries.is_empty() {
                let _ = writeln!(text, "\n[{section}]  # {meaning}");
            }
            for entry in entries {
                let _ = writeln!(
                    text,
                    "{} = {}",
                    toml_string(entry),
                    decisions.text("decided")
                );
            }
        }
        text
    }

    fn has_objects(&self) -> bool {
        let of_user = self.user.iter().map(|user| &user.table_lines);
        let mut tables = of_user.chain(&self.tables);
        tables.any(|table| !table.objects.is_empty())
    }

    fn write_user(&self, text: &mut String, decisions: Decisions) {
        let Some(user) = &self.user else {
            text.push_str(
                "[user]  # no table of users was found: the Clerk id itself is the user\n",
            );
            return;
        };
        let _ = writeln!(text, "[user]\ntable = {}", user.table);
        if let Some(id) = &user.id {
            let _ = writeln!(text, "id = {}", toml_string(id));
        }
        match &user.clerk_id {
            ClerkIdGuess::Id => {}
            ClerkIdGuess::Column(column) => {
                let _ = writeln!(text, "clerk_id = {}", toml_string(column));
            }
            ClerkIdGuess::Unknown => {
                let id = user.id.as_deref().unwrap_or("id");
                let _ = writeln!(
                    text,
                    "clerk_id = {}  # the column with Clerk's id",
                    decisions.text(id)
                );
            }
        }
        let _ = writeln!(
            text,
            "on_erase = {}  # delete, or {{ do = \"keep\", why = …, set = …, clear = …, leave = … }}",
            decisions.text("delete")
        );
        user.table_lines.write(text, decisions);
    }
}

impl SketchTable {
    fn write(&self, text: &mut String, decisions: Decisions) {
        if let Some(name) = &self.name {
            let _ = writeln!(text, "name = {name}");
        }
        if let Some(type_name) = &self.type_name {
            let _ = writeln!(text, "type = {}", toml_string(type_name));
        }
        if !self.soft_delete.is_empty() {
            let parts = self.soft_delete.iter();
            let parts: Vec<String> = parts
                .map(|(key, column)| format!("{key} = {}", toml_string(column)))
                .collect();
            let _ = writeln!(text, "soft_delete = {{ {} }}", parts.join(", "));
        }
        for rule in &self.rules {
            let _ = writeln!(text, "{}", rule.line(decisions));
        }
        if self.objects.is_empty() {
            return;
        }
        text.push_str("objects = [\n");
        for object in &self.objects {
            let json = match object.is_json {
                true => format!(", json = {}", decisions.text("lax $[*]")),
                false => String::new(),
            };
            let (column, within) = (toml_string(&object.column), decisions.text("any"));
            let _ = writeln!(
                text,
                "  {{ column = {column}{json}, bucket = \"main\", within = {within} }},"
            );
        }
        text.push_str("]\n");
    }
}

impl SketchRule {
    fn line(&self, decisions: Decisions) -> String {
        let action = decisions.text("delete");
        let target = self.target.as_ref().map(|target| match target {
            TargetGuess::Known(target) => format!(", to = {}", toml_string(target)),
            TargetGuess::EitherId => format!(", to = {}", decisions.text("user.id")),
            TargetGuess::Polymorphic { label, example } => format!(
                ", to = {}, where = {{ {} = {} }}",
                decisions.text(example),
                toml_key(label),
                decisions.text("decided")
            ),
        });
        let others = match self.may_take_others {
            true => format!(", others = {}", decisions.text("too")),
            false => String::new(),
        };
        let more = target.unwrap_or_default() + &others;
        let value = match (more.is_empty(), &self.target) {
            (true, _) => action,
            (false, Some(TargetGuess::Polymorphic { .. })) => {
                format!("[{{ do = {action}{more} }}]")
            }
            (false, _) => format!("{{ do = {action}{more} }}"),
        };
        format!(
            "on_erase.{} = {value}  # {}",
            toml_key(&self.columns),
            self.comment
        )
    }
}

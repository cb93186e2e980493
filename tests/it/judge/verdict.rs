//! The judge: what an erasure must do to each row and each object of a case, worked out from the rows in memory and
//! from the words of the format, with none of Lethe's SQL.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::case::{
    Action, Case, Changes, ColumnNo, Kind, Reference, Row, Table, TableNo, Target, UserModel,
};
use super::keys::{Named, named, strings};

/// A row by its table and its place in [`Case::rows`].
pub type Place = (TableNo, usize);
/// An object by the name of its bucket and by its key.
pub type ObjectId = (String, String);

/// What must come of a case.
#[derive(Debug, Default)]
pub struct Verdict {
    pub gone: BTreeSet<Place>,
    /// The rows that stay and are changed, by type, action and reason.
    pub changed: BTreeMap<(String, Action, String), BTreeSet<Place>>,
    /// The rows of which an erasure that is over leaves a trace if it did nothing, by type and action.
    pub leftovers: BTreeMap<(String, Action), BTreeSet<Place>>,
    /// The rows as they must be afterwards, by table; `None` for those that are gone.
    pub after: Vec<Vec<Option<Row>>>,
    pub objects: BTreeMap<ObjectId, ObjectFate>,
    /// URLs below none of the bases of their bucket, by its name.
    pub foreign: BTreeSet<ObjectId>,
    /// The keys that rows of a type name which go, or which stay and give them up.
    pub keys: BTreeMap<(String, Action), BTreeSet<ObjectId>>,
}

/// What becomes of an object that a row names which goes, or which gives it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectFate {
    Deleted,
    /// A row that stays names it too.
    Shared,
    /// No column that names it lets it be deleted.
    Outside,
}

/// A value that must be there, such as the time of the erasure.
pub fn any_value() -> Value {
    json!("2026-11-30T12:00:00+00:00")
}

pub fn judge(case: &Case) -> Verdict {
    let court = Court::of(case);
    let mut verdict = Verdict {
        gone: court.gone(),
        ..Verdict::default()
    };
    court.change_rows(&mut verdict);
    court.objects(&mut verdict);
    verdict
}

struct Court<'c> {
    case: &'c Case,
    /// The value of the user's id, if there is a row to read it from.
    user_id: Option<Value>,
    /// The rows that are erased, the user's among them even if it stays.
    erased: BTreeSet<Place>,
}

impl<'c> Court<'c> {
    fn of(case: &'c Case) -> Self {
        let mut court = Self {
            case,
            user_id: None,
            erased: BTreeSet::new(),
        };
        if let Some((id, clerk_id)) = case.user_columns() {
            let mut users = case.rows[0].iter();
            let user = users.position(|row| row[clerk_id] == case.erased.as_str());
            court.erased.extend(user.map(|row| (0, row)));
            court.user_id = user.map(|row| case.rows[0][row][id].clone());
            if id == clerk_id {
                court.user_id = Some(json!(case.erased));
            }
        }
        loop {
            let more: Vec<Place> = court
                .struck_by(Action::Delete)
                .map(|(place, _)| place)
                .collect();
            let before = court.erased.len();
            court.erased.extend(more);
            if court.erased.len() == before {
                return court;
            }
        }
    }

    /// Every row with a rule of this action whose reference points at what is erased.
    fn struck_by(&self, action: Action) -> impl Iterator<Item = (Place, &'c Reference)> {
        let tables = self.case.tables.iter().enumerate();
        tables.flat_map(move |(number, table)| {
            let references = table.references.iter();
            let with_rule = references
                .filter(move |one| one.rule.as_ref().is_some_and(|rule| rule.action == action));
            with_rule.flat_map(move |reference| {
                let rows = self.case.rows[number].iter().enumerate();
                let struck = rows.filter(move |(_, row)| self.points_at_erased(row, reference));
                struck.map(move |(row, _)| ((number, row), reference))
            })
        })
    }

    fn points_at_erased(&self, row: &Row, reference: &Reference) -> bool {
        if let Some((column, value)) = &reference.discriminator
            && row[*column] != value.as_str()
        {
            return false;
        }
        let values: Vec<&Value> = reference.columns.iter().map(|one| &row[*one]).collect();
        let (table, columns) = match &reference.target {
            Target::ClerkId => return same(values[0], &json!(self.case.erased)),
            Target::Columns { table, columns } => (*table, columns),
        };
        if let (true, Some((id, clerk_id))) = (self.case.is_users(table), self.case.user_columns())
        {
            // The two ids are known even if the user's row is not there.
            let by_id =
                columns[..] == [id] && self.user_id.as_ref().is_some_and(|id| same(values[0], id));
            let by_clerk_id =
                columns[..] == [clerk_id] && same(values[0], &json!(self.case.erased));
            if by_id || by_clerk_id {
                return true;
            }
        }
        let mut parents = self.erased.iter().filter(|(of, _)| *of == table);
        parents.any(|(_, parent)| {
            let parent = &self.case.rows[table][*parent];
            let mut pairs = values.iter().zip(columns);
            pairs.all(|(value, column)| same(value, &parent[*column]))
        })
    }

    fn is_kept_user(&self, place: Place) -> bool {
        self.case.kept_user().is_some() && self.case.is_users(place.0)
    }

    fn gone(&self) -> BTreeSet<Place> {
        let erased = self.erased.iter().copied();
        erased.filter(|place| !self.is_kept_user(*place)).collect()
    }

    fn change_rows(&self, verdict: &mut Verdict) {
        let rows = self.case.rows.iter();
        verdict.after = rows
            .map(|rows| rows.iter().cloned().map(Some).collect())
            .collect();
        for place in &verdict.gone {
            verdict.after[place.0][place.1] = None;
            let of_type = (self.case.type_name(place.0), Action::Delete);
            verdict.leftovers.entry(of_type).or_default().insert(*place);
        }
        for action in [Action::Detach, Action::Keep] {
            for (place, reference) in self.struck_by(action) {
                if !verdict.gone.contains(&place) {
                    self.change_row(verdict, place, reference, action);
                }
            }
        }
        self.keep_user(verdict);
        for (table, rows) in self.case.tables.iter().zip(&mut verdict.after) {
            for row in rows.iter_mut().flatten() {
                generate(table, row);
            }
        }
    }

    fn change_row(
        &self,
        verdict: &mut Verdict,
        place: Place,
        reference: &Reference,
        action: Action,
    ) {
        let (Some(rule), Some(row)) = (&reference.rule, &mut verdict.after[place.0][place.1])
        else {
            return;
        };
        let table = &self.case.tables[place.0];
        if action == Action::Detach {
            for column in &reference.columns {
                if table.columns[*column].nullable {
                    row[*column] = Value::Null;
                }
            }
        } else if !self.case.is_users(place.0) {
            // Of the users only the erased one gives anything up.
            give_up_objects(table, row);
        }
        let before = &self.case.rows[place.0][place.1];
        change(table, row, &rule.changes, before);
        let name = self.case.type_name(place.0);
        if action == Action::Detach || !self.case.parent_stays(reference) {
            let of_type = (name.clone(), action);
            verdict.leftovers.entry(of_type).or_default().insert(place);
        }
        let why = match action {
            Action::Keep => rule.why.clone(),
            _ => String::new(),
        };
        verdict
            .changed
            .entry((name, action, why))
            .or_default()
            .insert(place);
    }

    /// A user's row that stays: made anonymous, and marked as deleted.
    fn keep_user(&self, verdict: &mut Verdict) {
        let (
            UserModel::Rows {
                clerk_id,
                keep: Some(keep),
                ..
            },
            Some(table),
        ) = (&self.case.user, self.case.tables.first())
        else {
            return;
        };
        for place in self.erased.iter().filter(|place| place.0 == 0) {
            let Some(row) = &mut verdict.after[0][place.1] else {
                continue;
            };
            give_up_objects(table, row);
            change(table, row, &keep.changes, &self.case.rows[0][place.1]);
            for column in [table.deleted_at, table.deleted_by].into_iter().flatten() {
                row[column] = any_value();
            }
            if let Some(flag) = table.flag {
                row[flag] = json!(true);
            }
            let kept = ("user".to_owned(), Action::Keep, keep.why.clone());
            verdict.changed.entry(kept).or_default().insert(*place);
            if keep.changes.changes(*clerk_id) {
                let of_type = ("user".to_owned(), Action::Keep);
                verdict.leftovers.entry(of_type).or_default().insert(*place);
            }
        }
    }

    fn objects(&self, verdict: &mut Verdict) {
        let mut kept: BTreeSet<Place> = BTreeSet::new();
        for ((_, action, _), places) in &verdict.changed {
            if *action == Action::Keep {
                kept.extend(places);
            }
        }
        let gives_up = |place: &Place| {
            kept.contains(place) && (!self.case.is_users(place.0) || self.erased.contains(place))
        };
        // An object that several columns name goes if one of them lets it go.
        let mut wanted: BTreeMap<ObjectId, bool> = BTreeMap::new();
        let mut protected: BTreeSet<ObjectId> = BTreeSet::new();
        for naming in self.namings() {
            let (is_gone, is_kept) = (
                verdict.gone.contains(&naming.place),
                kept.contains(&naming.place),
            );
            let action = match (is_gone, gives_up(&naming.place) && naming.erased_of_kept) {
                (true, _) => Action::Delete,
                (false, true) => Action::Keep,
                (false, false) => {
                    if let (true, Named::Key(key)) = (is_kept || naming.is_live, naming.named) {
                        protected.insert((naming.bucket, key));
                    }
                    continue;
                }
            };
            let of_type = (self.case.type_name(naming.place.0), action);
            match naming.named {
                Named::Foreign(url) => {
                    verdict.foreign.insert((naming.bucket, url));
                }
                Named::Key(key) => {
                    let object = (naming.bucket, key);
                    *wanted.entry(object.clone()).or_default() |= naming.is_inside;
                    verdict.keys.entry(of_type).or_default().insert(object);
                }
            }
        }
        let fates = wanted.into_iter().map(|(object, is_inside)| {
            let fate = match (protected.contains(&object), is_inside) {
                (true, _) => ObjectFate::Shared,
                (false, true) => ObjectFate::Deleted,
                (false, false) => ObjectFate::Outside,
            };
            (object, fate)
        });
        verdict.objects = fates.collect();
    }

    fn namings(&self) -> impl Iterator<Item = Naming> {
        let tables = self.case.tables.iter().enumerate();
        tables.flat_map(move |(number, table)| {
            let rows = self.case.rows[number].iter().enumerate();
            rows.flat_map(move |(row_no, row)| {
                let objects = table.objects.iter();
                objects.flat_map(move |object| {
                    let bucket = &self.case.buckets[object.bucket];
                    let strings = strings(&row[object.column], object.path).into_iter();
                    let named = strings.filter_map(|text| named(&text, bucket));
                    named.map(move |named| Naming {
                        place: (number, row_no),
                        bucket: self.case.bucket_name(object.bucket).to_owned(),
                        is_inside: match &named {
                            Named::Key(key) => self.is_inside(key, &object.within),
                            Named::Foreign(_) => false,
                        },
                        named,
                        erased_of_kept: object.erased_of_kept,
                        is_live: !is_soft_deleted(table, row),
                    })
                })
            })
        })
    }

    fn is_inside(&self, key: &str, within: &str) -> bool {
        if within == "any" {
            return true;
        }
        let id = match self.case.has_users() {
            true => self.user_id.as_ref().map(text),
            false => Some(self.case.erased.clone()),
        };
        // Nothing is below the prefix of a user of whom there is no id.
        if within.contains("{user.id}") && id.is_none() {
            return false;
        }
        let prefix = within
            .replace("{user.id}", &id.unwrap_or_default())
            .replace("{user.clerk_id}", &self.case.erased);
        key.starts_with(&prefix)
    }
}

/// One string of one row that names an object.
struct Naming {
    place: Place,
    bucket: String,
    named: Named,
    is_inside: bool,
    erased_of_kept: bool,
    is_live: bool,
}

pub fn is_soft_deleted(table: &Table, row: &Row) -> bool {
    match (table.deleted_at, table.flag) {
        (Some(at), _) => !row[at].is_null(),
        (None, Some(flag)) => row[flag] == true,
        (None, None) => false,
    }
}

/// A column that takes no null becomes empty.
fn give_up_objects(table: &Table, row: &mut Row) {
    for object in table.objects.iter().filter(|object| object.erased_of_kept) {
        let column = &table.columns[object.column];
        row[object.column] = match (column.nullable, column.kind) {
            (true, _) => Value::Null,
            (false, Kind::Texts) => json!([]),
            (false, _) => json!(""),
        };
    }
}

fn change(table: &Table, row: &mut Row, changes: &Changes, before: &Row) {
    for column in &changes.clear {
        row[*column] = Value::Null;
    }
    for (column, value) in &changes.set {
        row[*column] = match value {
            Value::String(text) => json!(text.replace("{pk}", &key_text(before, &table.key))),
            other => other.clone(),
        };
    }
}

/// Computes the generated columns of a row.
pub fn generate(table: &Table, row: &mut Row) {
    for (number, column) in table.columns.iter().enumerate() {
        if let Kind::Generated(of) = column.kind {
            row[number] = json!(!row[of].is_null());
        }
    }
}

/// The text of a key of one column; of a composite one a JSON array of the texts, as PostgreSQL writes it.
pub fn key_text(row: &Row, key: &[ColumnNo]) -> String {
    match key {
        [column] => text(&row[*column]),
        columns => {
            let values: Vec<String> = columns
                .iter()
                .map(|one| json!(text(&row[*one])).to_string())
                .collect();
            format!("[{}]", values.join(", "))
        }
    }
}

pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Values of different types are the same if their texts are. Null is the same as nothing.
fn same(one: &Value, other: &Value) -> bool {
    !one.is_null() && !other.is_null() && text(one) == text(other)
}

//! What waits for a person because a row names a key outside of its prefix: that row and whatever it points at.

use std::collections::{BTreeMap, BTreeSet};

use super::case::{Action, Case, Row, Target};
use super::keys::{Named, named, strings};
use super::verdict::{ObjectFate, ObjectId, Place, Verdict, text};

#[derive(Debug, Default)]
pub struct Waiting {
    /// The rows that wait, each with whether that is sure.
    rows: BTreeMap<Place, bool>,
    /// Objects that rows name which wait: they may be deleted already or not.
    objects: BTreeSet<ObjectId>,
}

impl Waiting {
    pub fn of(case: &Case, verdict: &Verdict) -> Self {
        let kept = verdict.changed.iter();
        let kept = kept.filter(|((_, action, _), _)| *action == Action::Keep);
        let kept: BTreeSet<&Place> = kept.flat_map(|(_, places)| places).collect();
        let mut rows = BTreeMap::new();
        for place in places(case) {
            let is_gone = verdict.gone.contains(&place);
            let mut objects = objects(case, place, !is_gone).into_iter();
            let names_outside =
                objects.any(|one| verdict.objects.get(&one) == Some(&ObjectFate::Outside));
            if names_outside && (is_gone || kept.contains(&place)) {
                rows.insert(place, is_gone);
            }
        }
        if rows.is_empty() {
            return Self::default();
        }
        // A row that names an object which stays for others may be in the part of one that waits.
        for place in &verdict.gone {
            let shared = objects(case, *place, false).into_iter();
            let mut shared =
                shared.filter(|one| verdict.objects.get(one) == Some(&ObjectFate::Shared));
            if shared.next().is_some() {
                rows.entry(*place).or_insert(false);
            }
        }
        while let more = ancestors(case, verdict, &rows)
            && more != rows
        {
            rows = more;
        }
        // The user's own row comes last, and rows that stay may have been changed already or not.
        let changed = verdict.changed.values().flatten().copied();
        let user = case.user_columns().and_then(|(_, clerk_id)| {
            let mut users = case.rows[0].iter();
            users.position(|row| row[clerk_id] == case.erased.as_str())
        });
        for place in changed.chain(user.map(|row| (0, row))) {
            rows.entry(place).or_insert(false);
        }
        let objects = rows.keys().flat_map(|place| objects(case, *place, false));
        let objects = objects.collect();
        Self { rows, objects }
    }

    /// Whether the erasure cannot end.
    pub fn must_wait(&self) -> bool {
        !self.rows.is_empty()
    }

    /// Whether a row waits, and if so, whether that is sure.
    pub fn state(&self, place: Place) -> Option<bool> {
        self.rows.get(&place).copied()
    }

    pub fn may_keep(&self, object: &ObjectId) -> bool {
        self.objects.contains(object)
    }
}

fn places(case: &Case) -> impl Iterator<Item = Place> {
    let tables = case.rows.iter().enumerate();
    tables.flat_map(|(table, rows)| (0..rows.len()).map(move |row| (table, row)))
}

/// The objects that a row names, or only those that it gives up where it stays.
fn objects(case: &Case, (table, row): Place, only_given_up: bool) -> Vec<ObjectId> {
    let (table, row) = (&case.tables[table], &case.rows[table][row]);
    let columns = table.objects.iter();
    let columns = columns.filter(|object| object.erased_of_kept || !only_given_up);
    let objects = columns.flat_map(|object| {
        let strings = strings(&row[object.column], object.path).into_iter();
        strings.filter_map(|text| match named(&text, &case.buckets[object.bucket])? {
            Named::Key(key) => Some((case.bucket_name(object.bucket).to_owned(), key)),
            Named::Foreign(_) => None,
        })
    });
    objects.collect()
}

/// These rows, and those that they point at and that are to go.
fn ancestors(
    case: &Case,
    verdict: &Verdict,
    rows: &BTreeMap<Place, bool>,
) -> BTreeMap<Place, bool> {
    let mut more = rows.clone();
    for (place, is_sure) in rows {
        for (parent, lets_go) in parents(case, *place) {
            if verdict.gone.contains(&parent) {
                *more.entry(parent).or_default() |= *is_sure && !lets_go;
            }
        }
    }
    more
}

/// The rows that a row points at, by any of its references that have a rule; each with whether the row may let go of it
/// before it goes itself.
fn parents(case: &Case, place: Place) -> Vec<(Place, bool)> {
    let (table, row) = (&case.tables[place.0], &case.rows[place.0][place.1]);
    let mut parents = Vec::new();
    for reference in &table.references {
        let Some(rule) = &reference.rule else {
            continue;
        };
        let Target::Columns {
            table: parent,
            columns,
        } = &reference.target
        else {
            continue;
        };
        if let Some((label, value)) = &reference.discriminator
            && row[*label] != value.as_str()
        {
            continue;
        }
        let points_at = |of: &Row| {
            let mut pairs = reference.columns.iter().zip(columns);
            pairs.all(|(child, parent)| {
                !row[*child].is_null() && text(&row[*child]) == text(&of[*parent])
            })
        };
        let rows = case.rows[*parent].iter().enumerate();
        let found = rows.filter(|(_, row)| points_at(row));
        parents.extend(found.map(|(row, _)| ((*parent, row), rule.action != Action::Delete)));
    }
    parents
}

//! What the tried cases had in them, so that a judge of nothing is noticed.

use std::collections::BTreeMap;
use std::fmt;

use super::case::{Action, Case, Target};
use super::verdict::{ObjectFate, Verdict, is_soft_deleted};

/// What must be seen at least once.
const WANTED: &[&str] = &[
    "no table of users",
    "internal id",
    "user without a row",
    "kept user",
    "composite key",
    "key of references",
    "no key",
    "partitioned",
    "another schema",
    "self reference",
    "cycle of tables",
    "several references to the user",
    "composite reference",
    "no foreign key",
    "polymorphic",
    "held",
    "gone",
    "detached",
    "kept",
    "gone after two steps",
    "soft-deleted before",
    "object deleted",
    "object shared",
    "object outside",
    "foreign URL",
    "object of a kept row erased",
];

#[derive(Debug, Default)]
pub struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    pub fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// Counts each thing once for a case.
    pub fn count(&mut self, case: &Case, verdict: &Verdict) {
        let mut saw = |what: &'static str, is_there: bool| {
            *self.0.entry(what).or_default() += u64::from(is_there);
        };
        let ids = case.user_columns();
        saw("no table of users", ids.is_none());
        saw(
            "internal id",
            ids.is_some_and(|(id, clerk_id)| id != clerk_id),
        );
        let has_row = ids.is_none_or(|(_, clerk_id)| {
            let mut users = case.rows[0].iter();
            users.any(|row| row[clerk_id] == case.erased.as_str())
        });
        saw("user without a row", !has_row);
        saw("kept user", case.kept_user().is_some() && has_row);
        let any_table = |is: &dyn Fn(usize) -> bool| (0..case.tables.len()).any(is);
        let references = |table: usize| case.tables[table].references.iter();
        saw(
            "composite key",
            any_table(&|one| case.tables[one].key.len() > 1),
        );
        saw(
            "key of references",
            any_table(&|one| {
                references(one).any(|of| case.tables[one].key.contains(&of.columns[0]))
            }),
        );
        saw("no key", any_table(&|one| case.tables[one].key.is_empty()));
        saw(
            "partitioned",
            any_table(&|one| case.tables[one].is_partitioned),
        );
        saw(
            "another schema",
            any_table(&|one| case.tables[one].schema != "public"),
        );
        let points_at = |one: usize, other: usize| {
            references(one)
                .any(|of| matches!(of.target, Target::Columns { table, .. } if table == other))
        };
        saw("self reference", any_table(&|one| points_at(one, one)));
        saw(
            "cycle of tables",
            any_table(&|one| (0..one).any(|other| points_at(one, other) && points_at(other, one))),
        );
        saw(
            "several references to the user",
            any_table(&|one| references(one).filter(|of| case.names_user(of)).count() > 1),
        );
        saw(
            "composite reference",
            any_table(&|one| references(one).any(|of| of.columns.len() > 1)),
        );
        saw(
            "no foreign key",
            any_table(&|one| references(one).any(|of| of.foreign_key.is_none())),
        );
        saw(
            "polymorphic",
            any_table(&|one| references(one).any(|of| of.discriminator.is_some())),
        );
        saw(
            "held",
            any_table(&|one| {
                references(one).any(|of| of.rule.as_ref().is_some_and(|rule| rule.holds))
            }),
        );
        let changed = |wanted: Action| {
            verdict
                .changed
                .keys()
                .any(|(_, action, _)| *action == wanted)
        };
        saw("gone", !verdict.gone.is_empty());
        saw("detached", changed(Action::Detach));
        saw("kept", changed(Action::Keep));
        let tables = verdict.gone.iter().map(|(table, _)| *table);
        let below_row = |table: usize| {
            references(table).all(|of| {
                !case.names_user(of)
                    || of
                        .rule
                        .as_ref()
                        .is_none_or(|rule| rule.action != Action::Delete)
            })
        };
        saw(
            "gone after two steps",
            tables
                .into_iter()
                .any(|table| !case.is_users(table) && below_row(table)),
        );
        let was_deleted = |place: &(usize, usize)| {
            is_soft_deleted(&case.tables[place.0], &case.rows[place.0][place.1])
        };
        saw("soft-deleted before", verdict.gone.iter().any(was_deleted));
        let fate = |wanted| verdict.objects.values().any(|fate| *fate == wanted);
        saw("object deleted", fate(ObjectFate::Deleted));
        saw("object shared", fate(ObjectFate::Shared));
        saw("object outside", fate(ObjectFate::Outside));
        saw("foreign URL", !verdict.foreign.is_empty());
        saw(
            "object of a kept row erased",
            verdict
                .keys
                .keys()
                .any(|(_, action)| *action == Action::Keep),
        );
    }

    pub fn expect_everything(&self) {
        let missing = WANTED
            .iter()
            .filter(|what| self.0.get(*what).is_none_or(|count| *count == 0));
        let missing: Vec<_> = missing.collect();
        assert!(missing.is_empty(), "no case had: {missing:?}");
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.iter().map(|(what, count)| format!("{what} {count}"));
        formatter.write_str(&Vec::from_iter(parts).join(", "))
    }
}

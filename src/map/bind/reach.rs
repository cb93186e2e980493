//! Which tables lose rows when a user is erased, or a row that may be deleted alone.

use std::collections::{BTreeSet, HashMap};

use super::bound::{BoundMap, Parent};
use crate::map::catalog::{OnDelete, Table};
use crate::map::format::Action;

/// The tables that rules with `delete` reach.
#[derive(Debug, Default)]
pub struct Reached {
    /// The oids of tables whose rows go, the user's among them even if its row stays: whatever points at it needs
    /// a rule.
    tables: BTreeSet<i64>,
}

impl Reached {
    #[must_use]
    pub fn contains(&self, table: &Table) -> bool {
        self.tables.contains(&table.id)
    }
}

/// Follows the `delete` rules from the user and from the tables whose rows may be deleted alone.
#[must_use]
pub fn reach(map: &BoundMap<'_>) -> Reached {
    let mut reached = Reached::default();
    let roots = map.tables.iter();
    for table in roots.filter(|table| table.is_root || table.mapped.is_api) {
        reached.tables.insert(table.table.id);
    }
    loop {
        let before = reached.tables.len();
        for reference in &map.references {
            let parent_goes = match reference.parent {
                Parent::UserId | Parent::ClerkId => true,
                Parent::Row(place) => reached.contains(map.tables[place].table),
            };
            if parent_goes && reference.rule.action == Action::Delete {
                reached.tables.insert(map.tables[reference.child].table.id);
            }
        }
        if reached.tables.len() == before {
            return reached;
        }
    }
}

impl BoundMap<'_> {
    /// The tables with objects whose rows the database itself deletes when a row of this one is deleted, this one
    /// among them.
    #[must_use]
    pub fn objects_below_cascade(&self, table: &Table) -> BTreeSet<String> {
        let mut seen = BTreeSet::from([table.id]);
        let mut open = vec![table.id];
        let mut children: HashMap<i64, Vec<i64>> = HashMap::new();
        let cascading = self.edges.iter();
        for edge in cascading.filter(|edge| edge.key.on_delete == OnDelete::Cascade) {
            children
                .entry(edge.parent.id)
                .or_default()
                .push(edge.child.id);
        }
        while let Some(id) = open.pop() {
            for child in children.get(&id).into_iter().flatten() {
                if seen.insert(*child) {
                    open.push(*child);
                }
            }
        }
        let with_objects = self.tables.iter().filter(|one| !one.objects.is_empty());
        with_objects
            .filter(|one| seen.contains(&one.table.id))
            .map(|one| self.name_of(one.table))
            .collect()
    }
}

//! In which order rows are found and removed.

use crate::map::bind::{BoundMap, Parent, Reference};
use crate::map::format::Action;

/// The kinds with parents before their children, and which of them stand in a circle of `delete` rules.
pub(super) struct Order {
    /// Parents first.
    pub(super) downwards: Vec<usize>,
    reaches: Vec<Vec<bool>>,
}

impl Order {
    pub(super) fn of(map: &BoundMap<'_>) -> Self {
        let count = map.tables.len();
        let mut reaches = vec![vec![false; count]; count];
        for reference in &map.references {
            if let (Action::Delete, Some(parent)) =
                (reference.rule.action, parent_kind(map, reference))
            {
                reaches[parent][reference.child] = true;
            }
        }
        close(&mut reaches);
        let mut downwards: Vec<usize> = (0..count).collect();
        let before = with_others(map, &reaches);
        // A kind comes before strictly more kinds besides itself than those below it; kinds of one circle before as many.
        downwards.sort_by_key(|kind| {
            let others = before[*kind].iter().enumerate();
            let below = others
                .filter(|(other, reached)| **reached && other != kind)
                .count();
            (std::cmp::Reverse(below), *kind)
        });
        Self { downwards, reaches }
    }

    /// Whether the rows of two kinds can hang on each other; of one kind, whether a row can hang on another.
    pub(super) fn is_circle(&self, one: usize, other: usize) -> bool {
        self.reaches[one][other] && self.reaches[other][one]
    }

    /// Whether any kind stands in a circle.
    pub(super) fn has_circle(&self) -> bool {
        self.downwards
            .iter()
            .any(|kind| self.is_circle(*kind, *kind))
    }

    /// The kinds of the circle of this one, with itself.
    pub(super) fn circle(&self, kind: usize) -> Vec<usize> {
        let kinds = self.downwards.iter().copied();
        kinds
            .filter(|other| *other == kind || self.is_circle(kind, *other))
            .collect()
    }

    /// This kind and those that go along with its rows, parents first.
    pub(super) fn below(&self, kind: usize) -> Vec<usize> {
        let kinds = self.downwards.iter().copied();
        kinds
            .filter(|other| *other == kind || self.reaches[kind][*other])
            .collect()
    }

    /// Whether rows of `one` are removed after those of `other`.
    pub(super) fn goes_after(&self, one: usize, other: usize) -> bool {
        let place = |kind| self.downwards.iter().position(|known| *known == kind);
        place(one) < place(other)
    }
}

/// Adds what is reached in several steps.
fn close(reaches: &mut [Vec<bool>]) {
    for through in 0..reaches.len() {
        let onward = reaches[through].clone();
        for from in &mut *reaches {
            if from[through] {
                for (reached, more) in from.iter_mut().zip(&onward) {
                    *reached |= more;
                }
            }
        }
    }
}

/// What comes before what, the other rules included as far as they make no circle: a row that goes before what it
/// points at need not let go of it first.
fn with_others(map: &BoundMap<'_>, reaches: &[Vec<bool>]) -> Vec<Vec<bool>> {
    let mut before = reaches.to_vec();
    for reference in &map.references {
        let child = reference.child;
        if let Some(parent) = parent_kind(map, reference)
            && parent != child
            && !before[child][parent]
        {
            before[parent][child] = true;
            close(&mut before);
        }
    }
    before
}

/// The place of the kind that a reference leads to; a user without a table has none.
pub(super) fn parent_kind(map: &BoundMap<'_>, reference: &Reference<'_>) -> Option<usize> {
    match reference.parent {
        Parent::Row(place) => Some(place),
        Parent::UserId | Parent::ClerkId => map.tables.iter().position(|table| table.is_root),
    }
}

//! Random references and object columns.

use rand::RngExt as _;

use super::case::{ColumnNo, Kind, ObjectColumn, OnDelete, Reference, TableNo, Target};
use super::draft::Draft;

const OF_USER: &[&str] = &[
    "user_id",
    "owner_id",
    "author_id",
    "created_by",
    "banned_by_id",
    "editor",
];
const OF_ROW: &[&str] = &["parent_id", "project_id", "asset_id", "thread", "batch_id"];
/// Where a value stands in a JSON column.
pub(super) const PATHS: &[&str] = &["lax $[*].key", "lax $.images[*]", "lax $.cover.key"];

impl Draft {
    pub(super) fn references(&mut self) {
        for table in self.joins.clone() {
            self.join_key(table);
        }
        let first = usize::from(self.case.has_users());
        if first == 0 {
            // Without a table of users something must name the Clerk id.
            self.reference(0, Target::ClerkId);
        }
        for table in 0..self.case.tables.len() {
            let most = match table < first {
                true => 2,
                false => 4,
            };
            for _ in 0..self.random.random_range(0..most) {
                if table >= first && self.chance(0.12) {
                    self.polymorphic(table);
                } else if let Some(target) = self.target(table) {
                    self.reference(table, target);
                }
            }
        }
    }

    /// A key of two references to tables that come before, which have their keys already.
    fn join_key(&mut self, table: TableNo) {
        let mut key = Vec::new();
        for _ in 0..2 {
            let mut parents = Vec::new();
            for parent in 0..table {
                parents.extend(self.targets(parent));
            }
            if parents.is_empty() {
                break;
            }
            let target = self.pick(&parents);
            let foreign_key = Some(self.on_delete());
            key.extend(self.add(table, target, foreign_key, Some(false)));
        }
        if key.is_empty() {
            key.push(self.column(table, "id", Kind::Bigint, false));
        }
        self.case.tables[table].key = key;
    }

    /// What can be referenced in a table: its key, and its unique columns.
    fn targets(&self, number: TableNo) -> Vec<Target> {
        let table = &self.case.tables[number];
        let uniques = table.uniques.iter().map(|column| vec![*column]);
        let keys = std::iter::once(table.key.clone()).chain(uniques);
        let keys = keys.filter(|columns| !columns.is_empty());
        keys.map(|columns| Target::Columns {
            table: number,
            columns,
        })
        .collect()
    }

    /// The user in half of all cases, else a row of any table, this one too.
    fn target(&mut self, table: TableNo) -> Option<Target> {
        if table > 0 && self.chance(0.5) {
            let Some((id, clerk_id)) = self.case.user_columns() else {
                return Some(Target::ClerkId);
            };
            let column = self.pick(&[id, id, clerk_id]);
            return Some(Target::Columns {
                table: 0,
                columns: vec![column],
            });
        }
        let parent = match self.chance(0.2) {
            true => table,
            false => self.random.random_range(0..self.case.tables.len()),
        };
        let targets = self.targets(parent);
        (!targets.is_empty()).then(|| self.pick(&targets))
    }

    fn on_delete(&mut self) -> OnDelete {
        self.pick(&[
            OnDelete::NoAction,
            OnDelete::NoAction,
            OnDelete::Restrict,
            OnDelete::Cascade,
            OnDelete::SetNull,
            OnDelete::SetDefault,
        ])
    }

    fn reference(&mut self, table: TableNo, target: Target) {
        let is_composite = matches!(&target, Target::Columns { columns, .. } if columns.len() > 1);
        let has_no_name = is_composite || self.is_nameless(&target);
        let has_key = target != Target::ClerkId && (has_no_name || self.chance(0.7));
        let foreign_key = has_key.then(|| self.on_delete());
        self.add(table, target, foreign_key, None);
    }

    /// Whether `to` cannot name a column: `user.id` and `user.clerk_id` are the two ids, whatever the columns are
    /// called.
    fn is_nameless(&self, target: &Target) -> bool {
        let Target::Columns { table, columns } = target else {
            return false;
        };
        let ids = self.case.user_columns();
        let is_an_id = ids.is_some_and(|(id, clerk_id)| [id, clerk_id].contains(&columns[0]));
        self.case.is_users(*table) && !is_an_id
    }

    /// Adds a reference with columns of its own.
    fn add(
        &mut self,
        table: TableNo,
        target: Target,
        foreign_key: Option<OnDelete>,
        nullable: Option<bool>,
    ) -> Vec<ColumnNo> {
        let kinds: Vec<Kind> = match &target {
            Target::ClerkId => vec![Kind::Text],
            Target::Columns { table, columns } => {
                let columns = columns.iter();
                columns
                    .map(|one| self.case.tables[*table].columns[*one].kind)
                    .collect()
            }
        };
        let of_user = matches!(&target, Target::Columns { table: 0, .. } | Target::ClerkId);
        let name = match of_user && (target == Target::ClerkId || self.case.has_users()) {
            true => self.pick(OF_USER),
            false => self.pick(OF_ROW),
        };
        let mut columns = Vec::new();
        for (number, kind) in kinds.iter().enumerate() {
            let kind = self.kind_beside(*kind, foreign_key.is_some());
            let name = match number {
                0 => name.to_owned(),
                number => format!("{name}_{number}"),
            };
            let is_own = self.case.is_users(table);
            let nullable = nullable.unwrap_or_else(|| is_own || self.random.random_bool(0.6));
            columns.push(self.column(table, &name, kind, nullable));
        }
        self.case.tables[table].references.push(Reference {
            columns: columns.clone(),
            target,
            discriminator: None,
            foreign_key,
            rule: None,
        });
        columns
    }

    /// A type whose values can be compared with those of another.
    fn kind_beside(&mut self, kind: Kind, has_key: bool) -> Kind {
        match kind {
            Kind::Text => self.pick(&[Kind::Text, Kind::Text, Kind::Varchar]),
            Kind::Integer => self.pick(&[Kind::Integer, Kind::Bigint]),
            other if has_key => other,
            other => self.pick(&[other, other, Kind::Text]),
        }
    }

    /// One column that points at rows of two tables, and another that says which.
    fn polymorphic(&mut self, table: TableNo) {
        let mut targets = Vec::new();
        for parent in 0..self.case.tables.len() {
            let single = self.targets(parent).into_iter();
            let single = single.filter(
                |target| matches!(target, Target::Columns { columns, .. } if columns.len() == 1),
            );
            let single = single.filter(|target| !self.is_nameless(target));
            targets.extend(single);
        }
        if targets.is_empty() {
            return;
        }
        let nullable = self.chance(0.7);
        let column = self.column(table, "record_id", Kind::Text, nullable);
        let label_nullable = self.chance(0.5);
        let label = self.column(table, "record_type", Kind::Text, label_nullable);
        for value in ["Asset", "it's"] {
            let target = self.pick(&targets);
            self.case.tables[table].references.push(Reference {
                columns: vec![column],
                target,
                discriminator: Some((label, value.to_owned())),
                foreign_key: None,
                rule: None,
            });
        }
    }

    pub(super) fn object_columns(&mut self) {
        for table in 0..self.case.tables.len() {
            let may = !self.case.tables[table].key.is_empty() && self.chance(0.45);
            if !may {
                continue;
            }
            for _ in 0..self.random.random_range(1..=2) {
                self.object_column(table);
            }
        }
    }

    fn object_column(&mut self, table: TableNo) {
        let kind = self.pick(&[Kind::Text, Kind::Text, Kind::Texts, Kind::Jsonb, Kind::Json]);
        let name = match kind {
            Kind::Text => self.pick(&["object_key", "avatar_url", "file"]),
            Kind::Texts => "thumbnail_keys",
            _ => "attachments",
        };
        let nullable = self.chance(0.7);
        let column = self.column(table, name, kind, nullable);
        let has_path = matches!(kind, Kind::Jsonb | Kind::Json);
        let path = has_path.then(|| self.pick(PATHS));
        let bucket = self.random.random_range(0..self.case.buckets.len());
        let within = self.pick(&[
            "any",
            "any",
            "assets/",
            "u/{user.id}/",
            "u/{user.clerk_id}/",
        ]);
        // Whether a user who only points at the erased one gives an object up is not settled.
        let points = self.case.is_users(table) && !self.case.tables[table].references.is_empty();
        let may_be_empty = (nullable || !has_path) && !points;
        let erased_of_kept = may_be_empty && self.chance(0.5);
        self.case.tables[table].objects.push(ObjectColumn {
            column,
            path,
            bucket,
            within: within.to_owned(),
            erased_of_kept,
        });
    }
}

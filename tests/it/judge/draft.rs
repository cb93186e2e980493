//! A random case from a seed: first tables and their keys, then references, objects and rules, then rows.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::case::{Bucket, Case, Column, ColumnNo, Kind, Table, TableNo, UserModel};

/// Names that need quotes, names that end quotes, words of SQL, and plain ones.
const TABLES: &[&str] = &[
    "projects",
    "Asset",
    "comments",
    "order",
    "Team Member",
    "likes",
    "a\"b'; drop table x; --",
    "files",
    "größe",
    "invoices",
    "Audit.Log",
    "$lethe$",
    "back\\slash",
    "sessions",
];
/// Names of columns that hold what a person wrote.
const WORDS: &[&str] = &["note", "title", "body", "group", "label", "It's"];

pub(super) struct Draft {
    pub(super) random: StdRng,
    pub(super) case: Case,
    names: Vec<&'static str>,
    /// Tables whose key is made of references.
    pub(super) joins: Vec<TableNo>,
    camel: bool,
}

/// A case from a seed: the same one each time.
pub fn random_case(seed: u64) -> Case {
    let mut draft = Draft {
        random: StdRng::seed_from_u64(seed),
        case: Case {
            tables: Vec::new(),
            user: UserModel::IdAlone,
            buckets: Vec::new(),
            rows: Vec::new(),
            erased: String::new(),
        },
        names: TABLES.to_vec(),
        joins: Vec::new(),
        camel: false,
    };
    draft.camel = draft.chance(0.5);
    draft.buckets();
    let tables = draft.random.random_range(2..=8);
    if draft.chance(0.85) {
        draft.users();
    }
    while draft.case.tables.len() < tables {
        draft.table();
    }
    draft.references();
    draft.object_columns();
    draft.rules();
    draft.rows();
    draft.case
}

impl Draft {
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    pub(super) fn pick<T: Clone>(&mut self, some: &[T]) -> T {
        some[self.random.random_range(0..some.len())].clone()
    }

    /// A name in the style of this application.
    fn styled(&self, name: &str) -> String {
        if !self.camel {
            return name.to_owned();
        }
        let mut words = name.split('_');
        let first = words.next().unwrap_or_default().to_owned();
        words.fold(first, |name, word| {
            let (head, tail) = word.split_at(1);
            name + &head.to_uppercase() + tail
        })
    }

    /// Adds a column; a name that is taken gets a number.
    pub(super) fn column(
        &mut self,
        table: TableNo,
        name: &str,
        kind: Kind,
        nullable: bool,
    ) -> ColumnNo {
        let styled = self.styled(name);
        let columns = &mut self.case.tables[table].columns;
        let mut name = styled.clone();
        while columns.iter().any(|one| one.name == name) {
            name = format!("{styled}{}", columns.len());
        }
        columns.push(Column {
            name,
            kind,
            nullable,
        });
        columns.len() - 1
    }

    fn buckets(&mut self) {
        let bucket = |alias: &str, name: Option<&str>, urls: &[&str]| Bucket {
            alias: alias.to_owned(),
            name: name.map(str::to_owned),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        };
        let cdn: &[&str] = match self.chance(0.5) {
            true => &["https://cdn.acme.com/", "https://S3.acme.com/acme-public"],
            false => &["https://cdn.acme.com/"],
        };
        self.case.buckets = vec![
            bucket("main", None, &[]),
            bucket("public", Some("acme-public"), cdn),
        ];
        if self.chance(0.3) {
            // Another alias of the same bucket.
            self.case
                .buckets
                .push(bucket("raw", Some("acme-public"), &[]));
        }
    }

    fn empty_table(&mut self, name: &str) -> TableNo {
        let schema = match self.chance(0.12) {
            true => "My Data",
            false => "public",
        };
        self.case.tables.push(Table {
            schema: schema.to_owned(),
            name: name.to_owned(),
            columns: Vec::new(),
            key: Vec::new(),
            uniques: Vec::new(),
            deleted_at: None,
            deleted_by: None,
            flag: None,
            references: Vec::new(),
            objects: Vec::new(),
            is_mapped: false,
            is_api: false,
            is_partitioned: false,
        });
        self.case.tables.len() - 1
    }

    fn users(&mut self) {
        let name = self.pick(&["users", "User", "user", "app.users"]);
        let table = self.empty_table(name);
        let kind = self.pick(&[Kind::Text, Kind::Text, Kind::Uuid, Kind::Bigint]);
        let mut id = self.column(table, "id", kind, false);
        self.case.tables[table].key = vec![id];
        let mut clerk_id = id;
        if kind != Kind::Text || self.chance(0.5) {
            if self.chance(0.15) {
                id = self.column(table, "public_id", Kind::Uuid, false);
                self.case.tables[table].uniques.push(id);
            }
            let nullable = self.chance(0.3);
            clerk_id = self.column(table, "clerk_id", Kind::Text, nullable);
            self.case.tables[table].uniques.push(clerk_id);
        }
        self.case.user = UserModel::Rows {
            id,
            clerk_id,
            keep: None,
        };
        let nullable = self.chance(0.6);
        self.column(table, "email", Kind::Text, nullable);
        if self.chance(0.3) {
            self.code(table);
        }
        self.soft_delete(table, 0.5);
    }

    /// A unique column beside the key.
    fn code(&mut self, table: TableNo) {
        let code = self.column(table, "code", Kind::Text, false);
        self.case.tables[table].uniques.push(code);
    }

    fn table(&mut self) {
        let at = self.random.random_range(0..self.names.len());
        let name = self.names.remove(at);
        let table = self.empty_table(name);
        match self.random.random_range(0..100) {
            0..8 => {
                self.column(table, "line", Kind::Text, true);
            }
            8..25 if table > 0 => self.joins.push(table),
            25..35 => {
                let (one, other) = self.pick(&[
                    (Kind::Bigint, Kind::Text),
                    (Kind::Uuid, Kind::Integer),
                    (Kind::Text, Kind::Text),
                ]);
                let one = self.column(table, "part", one, false);
                let other = self.column(table, "number", other, false);
                self.case.tables[table].key = vec![one, other];
            }
            _ => {
                let kind = self.pick(&[Kind::Uuid, Kind::Bigint, Kind::Text, Kind::Integer]);
                let id = self.column(table, "id", kind, false);
                self.case.tables[table].key = vec![id];
                if self.chance(0.15) {
                    self.code(table);
                } else {
                    self.case.tables[table].is_partitioned = self.chance(0.1);
                }
            }
        }
        for _ in 0..self.random.random_range(0..3) {
            let (name, nullable) = (self.pick(WORDS), self.chance(0.6));
            let kind = self.pick(&[
                Kind::Text,
                Kind::Varchar,
                Kind::Integer,
                Kind::Jsonb,
                Kind::Texts,
            ]);
            self.column(table, name, kind, nullable);
        }
        self.soft_delete(table, 0.35);
    }

    fn soft_delete(&mut self, table: TableNo, probability: f64) {
        if !self.chance(probability) {
            return;
        }
        let has_at = self.chance(0.9);
        let at = has_at.then(|| self.column(table, "deleted_at", Kind::Timestamp, true));
        let has_by = self.chance(0.5);
        let by = has_by.then(|| self.column(table, "deleted_by", Kind::Text, true));
        let has_flag = at.is_none() || self.chance(0.4);
        let flag = has_flag.then(|| {
            let kind = match at {
                Some(at) if self.chance(0.5) => Kind::Generated(at),
                _ => Kind::Boolean,
            };
            self.column(
                table,
                "is_deleted",
                kind,
                matches!(kind, Kind::Generated(_)),
            )
        });
        let table = &mut self.case.tables[table];
        (table.deleted_at, table.deleted_by, table.flag) = (at, by, flag);
    }
}

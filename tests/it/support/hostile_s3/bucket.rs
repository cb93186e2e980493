//! A bucket in memory, with versions when it keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use bytes::Bytes;

/// What a bucket does with what is overwritten or deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Versions {
    #[default]
    None,
    Enabled,
    Suspended,
}

pub struct Version {
    pub id: String,
    /// A delete marker has none.
    pub body: Option<Bytes>,
}

/// What keeps a key's versions.
#[derive(Clone, Debug, Default)]
pub struct Lock {
    /// RFC 3339.
    pub until: Option<String>,
    pub legal_hold: bool,
}

/// What a deletion did.
pub enum Deleted {
    Object,
    /// A marker of this id was made.
    Marker(String),
    /// A version; the second is whether it was a marker.
    Version(String, bool),
}

#[derive(Default)]
pub struct Bucket {
    pub keeps: Versions,
    /// Each key's versions, the newest last.
    pub objects: BTreeMap<String, Vec<Version>>,
    /// Open uploads: key and id, in order.
    pub uploads: BTreeSet<(String, String)>,
    /// Locks of keys, on all of their versions.
    pub locks: BTreeMap<String, Lock>,
    /// When the last version of a key went.
    pub gone: BTreeMap<String, SystemTime>,
    last_id: u64,
}

impl Bucket {
    pub fn put(&mut self, key: &str, body: Bytes) {
        self.push(key, Some(body));
    }

    fn push(&mut self, key: &str, body: Option<Bytes>) -> String {
        self.last_id += 1;
        let id = match self.keeps {
            Versions::Enabled => format!("v{}", self.last_id),
            Versions::None | Versions::Suspended => "null".to_owned(),
        };
        let versions = self.objects.entry(key.to_owned()).or_default();
        versions.retain(|version| version.id != id);
        versions.push(Version {
            id: id.clone(),
            body,
        });
        id
    }

    pub fn open_upload(&mut self, key: &str) -> String {
        self.last_id += 1;
        let id = format!("u{}", self.last_id);
        self.uploads.insert((key.to_owned(), id.clone()));
        id
    }

    pub fn delete(&mut self, key: &str, id: Option<&str>) -> Deleted {
        if let Some(id) = id {
            let versions = self.objects.entry(key.to_owned()).or_default();
            let marker = versions
                .iter()
                .any(|version| version.id == id && version.body.is_none());
            versions.retain(|version| version.id != id);
            if versions.is_empty() {
                self.remove(key);
            }
            return Deleted::Version(id.to_owned(), marker);
        }
        if self.keeps == Versions::None {
            self.remove(key);
            return Deleted::Object;
        }
        Deleted::Marker(self.push(key, None))
    }

    fn remove(&mut self, key: &str) {
        if self.objects.remove(key).is_some() {
            self.gone.insert(key.to_owned(), SystemTime::now());
        }
    }

    /// The newest body, if no marker hides it.
    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.objects.get(key)?.last()?.body.clone()
    }
}

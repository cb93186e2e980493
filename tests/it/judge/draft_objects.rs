//! Random values of object columns: keys, URLs in all their forms, and what names nothing.

use rand::RngExt as _;
use serde_json::{Value, json};

use super::case::{Bucket, ObjectColumn};
use super::draft::Draft;

const KEYS: &[&str] = &[
    "1.png",
    "2.png",
    "3.png",
    "a b+c.png",
    "ü%20.png",
    "q?x=1#'.png",
];
/// Below no bucket's base, though some look so.
const FOREIGN: &[&str] = &[
    "https://img.other.com/1.png",
    "https://cdn.acme.com.evil/1.png",
    "http://cdn.acme.com/1.png",
    "https://s3.acme.com/acme-public2/1.png",
    "https://cdn.acme.com/%ff.png",
];

impl Draft {
    /// One value in the place of a key.
    pub(super) fn object_value(&mut self, object: &ObjectColumn) -> Value {
        let bucket = self.case.buckets[object.bucket].clone();
        match self.random.random_range(0..100) {
            0..6 => Value::Null,
            6..10 => json!(""),
            10..15 => json!(self.pick(FOREIGN)),
            _ => {
                let key = self.key(&object.within);
                match bucket.urls.is_empty() || self.chance(0.3) {
                    true => json!(key),
                    false => json!(self.url(&bucket, &key)),
                }
            }
        }
    }

    /// A key, in most cases below the prefix.
    fn key(&mut self, within: &str) -> String {
        let within = match within {
            "any" => self.pick(&["", "assets/", "u/{user.id}/"]),
            within => within,
        };
        let prefix = match self.random.random_range(0..100) {
            0..8 => "elsewhere/".to_owned(),
            8..30 => self.prefix_of(within, "user_10"),
            _ => {
                let erased = self.case.erased.clone();
                self.prefix_of(within, &erased)
            }
        };
        prefix + self.pick(KEYS)
    }

    fn prefix_of(&self, within: &str, user: &str) -> String {
        let id = self.case.user_columns().and_then(|(id, clerk_id)| {
            let mut users = self.case.rows[0].iter();
            let row = users.find(|row| row[clerk_id] == user)?;
            Some(match &row[id] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
        });
        within
            .replace("{user.id}", id.as_deref().unwrap_or(user))
            .replace("{user.clerk_id}", user)
    }

    fn url(&mut self, bucket: &Bucket, key: &str) -> String {
        let base = self.pick(&bucket.urls);
        let base = match base.ends_with('/') {
            true => base,
            false => format!("{base}/"),
        };
        let base = match self.random.random_range(0..5) {
            0 => base.replacen("https:", "", 1),
            1 => base.replacen("cdn.acme", "CDN.Acme", 1),
            _ => base,
        };
        let mut url = base;
        for byte in key.bytes() {
            let is_plain = byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte);
            match is_plain && !self.random.random_bool(0.05) {
                true => url.push(char::from(byte)),
                false => url += &format!("%{byte:02X}"),
            }
        }
        url + self.pick(&["", "", "?X-Amz-Signature=a/b", "#top", "?"])
    }
}

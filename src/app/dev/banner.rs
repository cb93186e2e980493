//! What `lethe dev` prints when everything runs: addresses, secrets and commands to paste.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

use super::terminal::{in_shell, printable};

/// A sample that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BannerSample {
    /// Its id.
    pub id: Uuid,
    /// Its owner.
    pub user_id: String,
}

/// All that is printed. These secrets were made for this machine alone; secrets from the environment are not
/// here.
#[derive(Clone)]
pub struct Banner {
    /// URL of the API.
    pub api: String,
    /// URL of the metrics, without the path.
    pub metrics: String,
    /// URL of the private PostgreSQL.
    pub postgres: Option<String>,
    /// URL of the embedded S3 server.
    pub s3: Option<String>,
    /// Access key and secret key of the embedded S3 server, for other tools.
    pub s3_keys: Option<(String, String)>,
    /// The bucket.
    pub bucket: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The generated admin token.
    pub admin_token: Option<String>,
    /// The generated webhook signing secret.
    pub webhook_secret: Option<String>,
    /// For how long a deleted sample can be restored.
    pub grace_period: Duration,
    /// How many workers run.
    pub workers: u32,
    /// How this program is called.
    pub program: String,
    /// Something to delete.
    pub sample: Option<BannerSample>,
    /// A session of the sample's owner.
    pub session_token: Option<String>,
    /// Somebody to erase.
    pub user_id: Option<String>,
}

impl fmt::Display for Banner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter)?;
        self.addresses(formatter)?;
        writeln!(formatter)?;
        self.commands(formatter)?;
        writeln!(
            formatter,
            "Ctrl-C stops everything; the state stays in {}.",
            self.data_dir.display()
        )
    }
}

impl Banner {
    fn addresses(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let elsewhere = "yours, from DATABASE_URL";
        let s3_keys = match &self.s3_keys {
            Some((access, secret)) => {
                format!("AWS_ACCESS_KEY_ID={access} AWS_SECRET_ACCESS_KEY={secret}")
            }
            None => "yours, from the environment".to_owned(),
        };
        // In the fragment, which no server and no log sees. The panel removes it from the address.
        let sign_in = match &self.admin_token {
            Some(token) => format!("/panel/#token={token}"),
            None => "/panel/".to_owned(),
        };
        let lines = [
            ("panel", self.api.as_str(), sign_in.as_str()),
            ("API", &self.api, ""),
            ("docs", &self.api, "/docs"),
            ("metrics", &self.metrics, "/metrics"),
            (
                "PostgreSQL",
                self.postgres.as_deref().unwrap_or(elsewhere),
                "",
            ),
            (
                "S3",
                self.s3.as_deref().unwrap_or("yours, from the environment"),
                "",
            ),
            ("S3 keys", &s3_keys, ""),
            ("bucket", &self.bucket, ""),
            ("admin token", or_yours(&self.admin_token), ""),
            ("webhook secret", or_yours(&self.webhook_secret), ""),
        ];
        for (name, value, path) in lines {
            writeln!(formatter, "  {name:<15} {value}{path}")?;
        }
        writeln!(formatter, "  {:<15} {}", "workers", self.workers)
    }

    fn commands(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let admin = self.admin_token.as_deref().unwrap_or("$ADMIN_TOKEN");
        let api = &self.api;
        match &self.sample {
            Some(sample) => self.sample_commands(formatter, sample, admin)?,
            None => writeln!(
                formatter,
                "There are no samples to try things with. Start with `{} dev --seed 10`.\n",
                self.program
            )?,
        }
        let Some(user) = &self.user_id else {
            return Ok(());
        };
        let secret = match &self.webhook_secret {
            Some(secret) => format!(" --secret {}", in_shell(secret)),
            None => String::new(),
        };
        writeln!(
            formatter,
            "Erase a whole user, as Clerk's webhook would:\n  {} send-webhook {} --url {api}/webhooks/clerk{secret}\n",
            in_shell(&self.program),
            in_shell(user)
        )?;
        writeln!(
            formatter,
            "See the receipt:\n  curl -sS -H 'Authorization: Bearer {admin}' {api}/admin/users/{}/erasure\n",
            in_path(user)
        )
    }

    fn sample_commands(
        &self,
        formatter: &mut fmt::Formatter<'_>,
        sample: &BannerSample,
        admin: &str,
    ) -> fmt::Result {
        let url = format!("{}/samples/{}", self.api, sample.id);
        writeln!(
            formatter,
            "Delete a sample of {}, as an admin:\n  curl -sS -X DELETE -H 'Authorization: Bearer {admin}' {url}\n",
            printable(&sample.user_id)
        )?;
        if let Some(token) = &self.session_token {
            writeln!(
                formatter,
                "The same as its owner, with a session token good for a day:\n  curl -sS -X DELETE -H 'Authorization: Bearer {token}' {url}\n"
            )?;
        }
        let within = if self.grace_period.is_zero() {
            "possible only with a grace period, such as --cleanup-grace-period-ms 60000".to_owned()
        } else {
            format!("within {} s", self.grace_period.as_secs_f64())
        };
        writeln!(
            formatter,
            "Restore it ({within}):\n  curl -sS -X POST -H 'Authorization: Bearer {admin}' {url}/restore\n"
        )
    }
}

fn or_yours(secret: &Option<String>) -> &str {
    secret.as_deref().unwrap_or("yours, from the environment")
}

/// As one segment of a URL's path (RFC 3986, 2.3).
fn in_path(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner() -> Banner {
        Banner {
            api: "http://127.0.0.1:8080".to_owned(),
            metrics: "http://127.0.0.1:8080".to_owned(),
            postgres: None,
            s3: Some("http://127.0.0.1:9000".to_owned()),
            s3_keys: Some(("access".to_owned(), "secret".to_owned())),
            bucket: "lethe".to_owned(),
            data_dir: "./.lethe".into(),
            admin_token: None,
            webhook_secret: None,
            grace_period: Duration::ZERO,
            workers: 2,
            program: "lethe".to_owned(),
            sample: Some(BannerSample {
                id: Uuid::nil(),
                user_id: "user_\u{1b}[2J".to_owned(),
            }),
            session_token: None,
            user_id: Some("user_\u{7}".to_owned()),
        }
    }

    #[test]
    fn an_id_is_one_segment_of_a_path() {
        assert_eq!(in_path("user_1/ü"), "user_1%2F%C3%BC");
    }

    #[test]
    fn the_link_to_the_panel_signs_in_with_a_generated_token() {
        let banner = Banner {
            admin_token: Some("0a1b2c".to_owned()),
            ..banner()
        };
        let link = "panel           http://127.0.0.1:8080/panel/#token=0a1b2c\n";
        assert!(banner.to_string().contains(link), "{banner}");
    }

    #[test]
    fn the_banner_shows_the_s3_keys_and_prints_no_id_raw() {
        let text = banner().to_string();
        assert!(text.contains("http://127.0.0.1:8080/panel/\n"), "{text}");
        let keys = "AWS_ACCESS_KEY_ID=access AWS_SECRET_ACCESS_KEY=secret";
        assert!(text.contains(keys), "{text}");
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
}

//! What `lethe dev` prints when everything runs: addresses, secrets and commands to paste.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use uuid::Uuid;

/// A sample that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its id.
    pub id: Uuid,
    /// Its owner.
    pub user_id: String,
}

/// All that is printed. These secrets were made for this machine alone; what the environment
/// brought is not here.
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
    /// The bucket.
    pub bucket: String,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The generated admin token.
    pub admin_token: Option<String>,
    /// The generated webhook signing secret.
    pub webhook_secret: Option<String>,
    /// A deleted sample can be restored for so long.
    pub grace_period: Duration,
    /// How many workers run.
    pub workers: u32,
    /// How this program is called.
    pub program: String,
    /// Something to delete.
    pub sample: Option<Sample>,
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
        let lines = [
            ("API", self.api.as_str(), ""),
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
            Some(secret) => format!(" --secret {}", quoted(secret)),
            None => String::new(),
        };
        writeln!(
            formatter,
            "Erase a whole user, as Clerk's webhook would:\n  {} send-webhook {} --url {api}/webhooks/clerk{secret}\n",
            quoted(&self.program),
            quoted(user)
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
        sample: &Sample,
        admin: &str,
    ) -> fmt::Result {
        let url = format!("{}/samples/{}", self.api, sample.id);
        writeln!(
            formatter,
            "Delete a sample of {}, as an admin:\n  curl -sS -X DELETE -H 'Authorization: Bearer {admin}' {url}\n",
            sample.user_id
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

/// For a shell, in quotes if it has anything that a shell might act on.
fn quoted(text: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "_-./+=:@".contains(char);
    if !text.is_empty() && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
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

    #[test]
    fn what_is_pasted_is_safe_for_a_shell_and_a_url() {
        assert_eq!(quoted("whsec_a+b/c="), "whsec_a+b/c=");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(in_path("user_1/ü"), "user_1%2F%C3%BC");
    }
}

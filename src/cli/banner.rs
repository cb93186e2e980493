//! What `lethe dev` says when everything runs.

use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use crate::embedded::Embedded;

/// The session token in the banner is valid for so long.
const SESSION_LIFETIME: Duration = Duration::from_secs(3600);

/// What there is to show.
pub struct Banner<'a> {
    /// The API's URL.
    pub api: String,
    /// The servers and secrets that were filled in.
    pub embedded: &'a Embedded,
    /// Where the state lives.
    pub data_dir: &'a Path,
    /// A live sample and its owner.
    pub sample: Option<(Uuid, &'a str)>,
    /// A live user.
    pub user: Option<String>,
}

/// Prints it to standard output.
pub fn print(banner: &Banner<'_>) {
    println!("{}", text(banner));
}

fn text(banner: &Banner<'_>) -> String {
    let api = &banner.api;
    let mut lines = vec![
        String::new(),
        "Lethe runs. What goes in is forgotten.".to_owned(),
        String::new(),
        format!("  API            {api}"),
        format!("  Swagger UI     {api}/docs"),
        format!("  metrics        {api}/metrics"),
    ];
    let mut row = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            lines.push(format!("  {name:<14} {value}"));
        }
    };
    row("PostgreSQL", banner.embedded.postgres_url().as_deref());
    row("S3", banner.embedded.s3_url().as_deref());
    row("admin token", banner.embedded.admin_token());
    row("webhook secret", banner.embedded.webhook_secret());
    row("state", Some(&banner.data_dir.display().to_string()));
    let token = banner.embedded.admin_token().unwrap_or("$TOKEN");
    if let Some((sample, owner)) = banner.sample {
        lines.push("\nDelete a sample, as an admin, or as its owner:\n".to_owned());
        lines.push(format!(
            "  curl -X DELETE -H 'Authorization: Bearer {token}' {api}/samples/{sample}"
        ));
        let session = banner
            .embedded
            .clerk()
            .and_then(|clerk| clerk.session_token(owner, SESSION_LIFETIME).ok());
        if let Some(session) = session {
            lines.push(format!(
                "  curl -X DELETE -H 'Authorization: Bearer {session}' {api}/samples/{sample}"
            ));
        }
    } else {
        lines.push("\nThere are no sample data yet: start with --seed 3.".to_owned());
    }
    if let Some(user) = &banner.user {
        let program = std::env::args()
            .next()
            .unwrap_or_else(|| "lethe".to_owned());
        let secret = banner.embedded.webhook_secret().unwrap_or("$SECRET");
        lines.push("\nErase a user, as Clerk's webhook does, and read the receipt:\n".to_owned());
        lines.push(format!(
            "  {program} send-webhook {user} --url {api}/webhooks/clerk --secret {secret}"
        ));
        lines.push(format!(
            "  curl -H 'Authorization: Bearer {token}' {api}/admin/users/{user}/erasure"
        ));
    }
    lines.push("\nWhat is deleted and waiting:\n".to_owned());
    lines.push(format!(
        "  curl -H 'Authorization: Bearer {token}' {api}/admin/deleted"
    ));
    lines.push("\nCtrl-C stops all of it; the state is kept.".to_owned());
    lines.join("\n")
}

//! What may be shown of a URL.

use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::config::Secret;

/// Host, port and name of a database; never the user or the password.
pub(super) fn database_place(url: &Secret) -> String {
    match PgConnectOptions::from_str(url.expose()) {
        Ok(options) => format!(
            "{}:{}/{}",
            options.get_host(),
            options.get_port(),
            options.get_database().unwrap_or_default()
        ),
        Err(_) => "?".to_owned(),
    }
}

/// A URL without the user and password that some put into it, and without its query.
pub(super) fn without_user(url: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(url) else {
        return url.to_owned();
    };
    // Both fail only for URLs that cannot have a user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let url = Secret::new("postgres://u:hunter2@db:5433/app");
        assert_eq!(database_place(&url), "db:5433/app");
        assert_eq!(
            without_user("http://u:hunter2@s3:9000/?k=v"),
            "http://s3:9000"
        );
    }
}

//! The URL of a database, parsed once.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::secret::Secret;

/// A PostgreSQL URL that sqlx accepts. `Debug` and `Display` show host, port and database, never the user
/// or the password.
#[derive(Clone)]
pub struct DatabaseUrl {
    text: Secret,
    options: Box<PgConnectOptions>,
}

/// Why a text is not the URL of a PostgreSQL database. No message repeats the URL or sqlx's error: both may
/// contain the password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    #[error("is not a URL: {0}")]
    Syntax(String),
    #[error("does not begin with postgres:// or postgresql://")]
    Scheme,
    #[error("has a part or parameter that cannot be used")]
    Unusable,
}

impl DatabaseUrl {
    /// The whole URL, with its password.
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// Whether a connection without TLS is refused. With `prefer`, the default, an attacker on the network path can
    /// choose it.
    pub fn is_encrypted(&self) -> bool {
        matches!(
            self.options.get_ssl_mode(),
            PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull
        )
    }

    /// The `sslmode` of the URL, or of `PGSSLMODE` if the URL has none.
    pub fn ssl_mode(&self) -> PgSslMode {
        self.options.get_ssl_mode()
    }

    /// Whether the server is on this machine: a socket, `localhost`, or a loopback address.
    pub fn is_local(&self) -> bool {
        let host = self.options.get_host();
        self.options.get_socket().is_some() || host.starts_with('/') || is_loopback(host)
    }

    /// How sqlx connects to it.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::clone(&self.options)
    }
}

/// Whether a host is this machine. Names other than `localhost` are not looked up, because what they mean may change.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

impl FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<Self, DatabaseUrlError> {
        let url = Url::parse(text).map_err(|error| DatabaseUrlError::Syntax(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(DatabaseUrlError::Scheme);
        }
        let options = PgConnectOptions::from_str(text).map_err(|_| DatabaseUrlError::Unusable)?;
        Ok(Self {
            text: Secret::new(text),
            options: Box::new(options),
        })
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let database = self.options.get_database().unwrap_or_default();
        let (host, port) = (self.options.get_host(), self.options.get_port());
        write!(f, "{host}:{port}/{database}")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_and_tls_parameters_are_accepted() {
        for url in [
            "postgres:///app?host=/var/run/postgresql",
            "postgres://u:p%40ss@[::1]:6432/app?sslmode=verify-full&sslrootcert=/ca.pem",
        ] {
            assert!(url.parse::<DatabaseUrl>().is_ok(), "{url}");
        }
    }

    #[test]
    fn neither_a_url_nor_its_error_shows_the_password() {
        for url in [
            "mysql://u:hunter2@db/app",
            "hunter2",
            "postgres://u:hunter2/3@db/app",
            "postgres://u:hunter2@db/app?sslmode=hunter2",
            "postgres://u:hunter2@db:port/app",
        ] {
            let error = url.parse::<DatabaseUrl>().unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{url}: {error}"
            );
        }
        let url: DatabaseUrl = "postgres://u:hunter2@db:5433/app".parse().unwrap();
        assert_eq!(format!("{url} {url:?}"), "db:5433/app db:5433/app");
    }
}

//! The connection to PostgreSQL.

use std::str::FromStr;

use reqwest::Url;
use sqlx::postgres::PgConnectOptions;

use super::reader::{Reader, Section};
use super::secret::Secret;
use super::variables::{DATABASE_LISTEN_URL, DATABASE_MAX_CONNECTIONS, DATABASE_URL, Variable};

const URL_REMEDY: &str = "Give postgres://user:password@host:5432/database; \
                          special characters in the password are percent-encoded.";

/// The connection to PostgreSQL. Both URLs are known to parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// For the pool; may lead through PgBouncer.
    pub url: Secret,
    /// For LISTEN, which needs a session of its own; `url` if not given.
    pub listen_url: Secret,
    /// Pool size of this process.
    pub max_connections: u32,
}

impl Section for Database {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.required(&DATABASE_URL, URL_REMEDY);
        let url = postgres_url(reader, &DATABASE_URL);
        let listen_url = postgres_url(reader, &DATABASE_LISTEN_URL);
        let max_connections = reader.number(&DATABASE_MAX_CONNECTIONS);
        let url = url?;
        Some(Self {
            listen_url: listen_url.unwrap_or_else(|| url.clone()),
            url,
            max_connections: max_connections?,
        })
    }
}

/// A URL that sqlx accepts. Neither it nor sqlx's error is shown: both may contain the password.
fn postgres_url(reader: &mut Reader<'_>, variable: &Variable) -> Option<Secret> {
    let text = reader.text(variable)?;
    let problem = match Url::parse(text) {
        Err(error) => format!("is not a URL: {error}"),
        Ok(url) if !matches!(url.scheme(), "postgres" | "postgresql") => {
            "does not begin with postgres:// or postgresql://".to_owned()
        }
        Ok(_) if PgConnectOptions::from_str(text).is_err() => {
            "has a part or parameter that cannot be used".to_owned()
        }
        Ok(_) => return Some(Secret::new(text)),
    };
    reader.fault(variable, &problem, URL_REMEDY);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Origin, Source};

    fn parse(pairs: &[(&str, &str)]) -> Result<Database, crate::config::ConfigError> {
        Database::parse(&Source::empty().with(Origin::Environment, pairs.iter().copied()))
    }

    #[test]
    fn listening_goes_by_the_pools_url_unless_told_otherwise() {
        let database = parse(&[("DATABASE_URL", "postgres://u:p@db/app")]).unwrap();
        assert_eq!(database.listen_url.expose(), "postgres://u:p@db/app");
        assert_eq!(database.max_connections, 10);
        let pairs = [
            ("DATABASE_URL", "postgres://db/a"),
            ("DATABASE_LISTEN_URL", "postgresql://direct/a"),
        ];
        assert_eq!(
            parse(&pairs).unwrap().listen_url.expose(),
            "postgresql://direct/a"
        );
    }

    #[test]
    fn sockets_and_tls_parameters_are_accepted() {
        for url in [
            "postgres:///app?host=/var/run/postgresql",
            "postgres://u:p%40ss@[::1]:6432/app?sslmode=verify-full&sslrootcert=/ca.pem",
        ] {
            assert!(parse(&[("DATABASE_URL", url)]).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_url_that_cannot_be_used_is_a_fault_that_does_not_show_it() {
        for url in [
            "mysql://u:hunter2@db/app",
            "hunter2",
            "postgres://u:hunter2/3@db/app",
            "postgres://u:hunter2@db/app?sslmode=hunter2",
            "postgres://u:hunter2@db:port/app",
        ] {
            let error = parse(&[("DATABASE_URL", url)]).unwrap_err();
            assert_eq!(error.faults.len(), 1, "{url}: {error}");
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{url}: {error}"
            );
        }
    }
}

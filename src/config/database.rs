//! The connection to PostgreSQL.

use super::insecure::{self, Connection};
use super::reader::{Reader, Section, read_all};
use super::variables::{DATABASE_LISTEN_URL, DATABASE_MAX_CONNECTIONS, DATABASE_URL, Variable};
use crate::db::url::DatabaseUrl;

const URL_REMEDY: &str = "Give postgres://user:password@host:5432/database; \
                          special characters in the password are percent-encoded.";

/// The connection to PostgreSQL.
#[derive(Debug, Clone)]
pub struct Database {
    /// For the pool; may lead through PgBouncer.
    pub url: DatabaseUrl,
    /// For LISTEN, which needs a session of its own; `url` if not given.
    pub listen_url: DatabaseUrl,
    /// Pool size of this process.
    pub max_connections: u32,
    /// Whether `ALLOW_INSECURE` has `database`: the network to a server on another machine is trusted.
    pub insecure_is_allowed: bool,
}

impl Section for Database {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        reader.required(&DATABASE_URL, URL_REMEDY);
        let pool_url = database_url(reader, &DATABASE_URL);
        read_all!(Self {
            listen_url: database_url(reader, &DATABASE_LISTEN_URL).or(pool_url.clone()),
            url: pool_url,
            max_connections: reader.number(&DATABASE_MAX_CONNECTIONS),
            insecure_is_allowed: Some(insecure::is_allowed(reader, Connection::Database)),
        })
    }
}

fn database_url(reader: &mut Reader<'_>, variable: &Variable) -> Option<DatabaseUrl> {
    match reader.text(variable)?.parse::<DatabaseUrl>() {
        Ok(url) => {
            insecure::check_database(reader, variable, &url);
            Some(url)
        }
        Err(error) => {
            reader.fault(variable, &error.to_string(), URL_REMEDY);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::parse;

    #[test]
    fn listening_goes_by_the_pools_url_unless_told_otherwise() {
        let url = ("DATABASE_URL", "postgres://u:p@localhost/app");
        let database: Database = parse(&[url]).unwrap();
        assert_eq!(database.listen_url.expose(), "postgres://u:p@localhost/app");
        assert_eq!(database.max_connections, 10);
        let direct = ("DATABASE_LISTEN_URL", "postgresql://127.0.0.1/a");
        let database: Database = parse(&[url, direct]).unwrap();
        assert_eq!(database.listen_url.expose(), "postgresql://127.0.0.1/a");
    }

    #[test]
    fn a_url_that_cannot_be_used_is_one_fault_that_does_not_show_it() {
        for url in ["mysql://u:hunter2@db/app", "postgres://u:hunter2/3@db/app"] {
            let error = parse::<Database>(&[("DATABASE_URL", url)]).unwrap_err();
            assert_eq!(error.faults.len(), 1, "{url}: {error}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}

//! The application is unkind: it holds rows, marks samples by itself, refers to samples without an index, and gives one
//! key to many images.

use std::time::Duration;

use rand::RngExt as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::Nemesis;
use super::application::{Fate, is_bystander, name};

/// An object that many samples name, and one that always lives.
pub const PLACEHOLDER: &str = "shared/placeholder";
/// A row is held for this many milliseconds at most: less than a request waits.
const MAX_HELD_MS: u64 = 2_500;
/// Comments on a sample that stays.
const COMMENTS: &str = "
    create table if not exists comments (sample_id uuid references samples);
    insert into comments select s.id from (select id from samples where user_id = 'user_0' limit 1) s,
        generate_series(1, 3000)";

impl Nemesis {
    pub async fn write_comments(&self) {
        sqlx::raw_sql(COMMENTS)
            .execute(&self.world.pool)
            .await
            .unwrap();
    }

    /// Another session holds a row of a user for a while, and goes on by itself.
    pub async fn hold_a_row(&mut self) {
        self.did("row held");
        let user = name(self.any_victim());
        let select = match self.random.random_range(0..4) {
            0 => format!("select from users where id = '{user}'"),
            1 => format!("select from collections where user_id = '{user}' limit 1"),
            2 => format!("select from samples where user_id = '{user}' limit 1"),
            _ => format!(
                "select from sample_images where sample_id = any (select id from samples where user_id = '{user}') limit 1"
            ),
        };
        let pause = Duration::from_millis(self.random.random_range(100..MAX_HELD_MS));
        let url = self.postgres.url();
        // A server that is stopped meanwhile ends the session, and the row is free.
        tokio::spawn(async move {
            let mut session = PgConnection::connect(&url).await?;
            for sql in ["begin".to_owned(), format!("{select} for update")] {
                sqlx::query(AssertSqlSafe(sql))
                    .execute(&mut session)
                    .await?;
            }
            tokio::time::sleep(pause).await;
            sqlx::query("commit").execute(&mut session).await
        });
    }

    /// The application soft-deletes a sample by itself; reconciliation finds it.
    pub async fn mark_sample(&mut self) {
        self.did("sample marked by the application");
        let at = self.any_sample();
        let sample = &self.samples[at];
        if is_bystander(sample.user) {
            return;
        }
        let marked = sqlx::query(
            "update samples set deleted_at = now(), deleted_by = 'app' where id = $1 and deleted_at is null",
        )
        .bind(sample.id)
        .execute(&self.world.pool)
        .await;
        match marked {
            Ok(done) if done.rows_affected() == 1 => self.samples[at].fate = Fate::Gone,
            Ok(_) => {}
            Err(_) => self.samples[at].fate = Fate::Unknown,
        }
    }

    /// Restored means that the images live, rows and objects.
    pub async fn expect_restored(&self, at: usize) {
        let sample = &self.samples[at];
        if self.users[sample.user] != Fate::Live {
            return;
        }
        let images = loop {
            let found: Result<Vec<(String, bool)>, sqlx::Error> = sqlx::query_as(
                "select i.object_key, i.deleted_at is null and s.deleted_at is null
                 from sample_images i join samples s on s.id = i.sample_id where s.id = $1",
            )
            .bind(sample.id)
            .fetch_all(&self.world.pool)
            .await;
            // With the server just back, the first connections of the pool are those of before.
            if let Ok(found) = found {
                break found;
            }
        };
        for key in &sample.keys {
            let lives = images.iter().any(|(found, lives)| found == key && *lives);
            assert!(
                lives && self.world.s3.contains(key),
                "sample {} was restored, and {key} does not live: {images:?}",
                sample.id
            );
        }
    }

    /// A completed erasure leaves no row that a superuser can see, and nothing of the bystanders is touched.
    pub async fn judge_hostile(&self) {
        for table in ["collections", "samples", "users"] {
            let column = if table == "users" { "id" } else { "user_id" };
            self.world
                .expect_rows(
                    &format!(
                        "{table} where {column} in (select user_id from lethe.tasks where kind = 'user-delete' and status = 'completed')"
                    ),
                    0,
                )
                .await;
        }
        self.world.expect_rows("comments", 3000).await;
        assert!(self.world.s3.contains(PLACEHOLDER));
    }
}

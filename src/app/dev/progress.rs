//! What `lethe dev` shows of erasures while they run.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// How often the database is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The looks may take this part of the time (one fifth), so that they never slow the work down.
const REST_FACTOR: u32 = 4;
/// A plain line about one erasure comes no more often than this.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// A bar of indicatif: `user_1 [=====>    ] 1200/5000 objects`.
const BAR: &str = "erasing {prefix} [{bar:30}] {pos}/{len} objects";

struct Erasure {
    user_id: String,
    open: bool,
    dead: i64,
    deleted: i64,
    remaining: i64,
    seconds: f64,
}

/// Shows each erasure that begins from now on, and those under way, until `shutdown`: bars on a
/// terminal, else lines.
pub async fn show(pool: PgPool, shutdown: CancellationToken) {
    let mut screen = Screen::new(std::io::stderr().is_terminal());
    let mut since: Option<DateTime<Utc>> = None;
    loop {
        let begun = Instant::now();
        if let Err(error) = look(&pool, &mut screen, &mut since).await {
            tracing::debug!(%error, "the progress of erasures cannot be read");
        }
        let pause = LOOK_EVERY.max(begun.elapsed() * REST_FACTOR);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn look(
    pool: &PgPool,
    screen: &mut Screen,
    since: &mut Option<DateTime<Utc>>,
) -> Result<(), sqlx::Error> {
    let is_first = since.is_none();
    let after = match *since {
        Some(after) => after,
        None => {
            sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#)
                .fetch_one(pool)
                .await?
        }
    };
    let new = sqlx::query_file!("sql/app/new_erasures.sql", after, is_first)
        .fetch_all(pool)
        .await?;
    *since = Some(
        new.iter()
            .map(|row| row.deleted_at)
            .fold(after, DateTime::max),
    );
    for row in new {
        screen.watch(row.user_id);
    }
    let users = screen.watched();
    if users.is_empty() {
        return Ok(());
    }
    let erasures = sqlx::query_file_as!(Erasure, "sql/app/erasure_progress.sql", &users)
        .fetch_all(pool)
        .await?;
    for erasure in &erasures {
        screen.update(erasure);
    }
    Ok(())
}

struct Screen {
    bars: Option<MultiProgress>,
    watched: HashMap<String, Shown>,
}

struct Shown {
    bar: Option<ProgressBar>,
    told: Option<(Instant, i64)>,
}

impl Screen {
    fn new(on_terminal: bool) -> Self {
        Self {
            bars: on_terminal.then(MultiProgress::new),
            watched: HashMap::new(),
        }
    }

    fn watched(&self) -> Vec<String> {
        self.watched.keys().cloned().collect()
    }

    fn watch(&mut self, user_id: String) {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(0).with_style(bar_style()));
            bar.with_prefix(user_id.clone())
        });
        self.watched
            .entry(user_id)
            .or_insert(Shown { bar, told: None });
    }

    fn update(&mut self, erasure: &Erasure) {
        if !erasure.open {
            self.end(erasure);
            return;
        }
        let Some(shown) = self.watched.get_mut(&erasure.user_id) else {
            return;
        };
        match &shown.bar {
            Some(bar) => {
                bar.set_length((erasure.deleted + erasure.remaining).unsigned_abs());
                bar.set_position(erasure.deleted.unsigned_abs());
            }
            None => {
                let is_news = shown.told.is_none_or(|(at, deleted)| {
                    at.elapsed() >= LINE_EVERY && deleted != erasure.deleted
                });
                if is_news {
                    shown.told = Some((Instant::now(), erasure.deleted));
                    eprintln!(
                        "erasing {}: {} of {} objects deleted",
                        erasure.user_id,
                        erasure.deleted,
                        erasure.deleted + erasure.remaining
                    );
                }
            }
        }
    }

    fn end(&mut self, erasure: &Erasure) {
        let Some(shown) = self.watched.remove(&erasure.user_id) else {
            return;
        };
        if let (Some(bar), Some(bars)) = (&shown.bar, &self.bars) {
            bar.finish_and_clear();
            bars.remove(bar);
        }
        let line = last_line(erasure);
        match &self.bars {
            // Above the other bars, or alone. A terminal that is gone is no reason to stop.
            Some(bars) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn last_line(erasure: &Erasure) -> String {
    let Erasure { user_id, .. } = erasure;
    match erasure.dead {
        0 => format!(
            "erased {user_id}: {} objects in {:.1} s",
            erasure.deleted, erasure.seconds
        ),
        dead => format!(
            "could not erase {user_id} completely: {dead} tasks are dead; \
             see `lethe tasks list --status dead --user-id {user_id}`"
        ),
    }
}

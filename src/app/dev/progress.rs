//! What `lethe dev` shows of erasures while they run.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use super::terminal::{in_shell, printable};
use crate::vocabulary::Timestamp;

/// The shortest pause between two polls of the database.
const MIN_PAUSE: Duration = Duration::from_millis(250);
/// A pause is this many times as long as the last poll took, so that polls never slow the work down.
const PAUSE_FACTOR: u32 = 4;
/// The shortest time between two plain lines about one erasure.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// A bar of indicatif: `user_1 [=====>    ] 1200/5000 objects`.
const BAR: &str = "erasing {prefix} [{bar:30}] {pos}/{len} objects";

struct Erasure {
    user_id: String,
    open: bool,
    only_root_is_open: bool,
    dead: i64,
    deleted: i64,
    remaining: i64,
    seconds: f64,
}

/// Shows each erasure that begins from now on, and those under way, until `shutdown`: bars on a
/// terminal, otherwise lines.
pub async fn show(pool: PgPool, shutdown: CancellationToken) {
    let mut screen = ErasureScreen::new(std::io::stderr().is_terminal());
    let mut since: Option<Timestamp> = None;
    loop {
        let begun = Instant::now();
        if let Err(error) = poll(&pool, &mut screen, &mut since).await {
            tracing::debug!(%error, "the progress of erasures cannot be read");
        }
        let pause = MIN_PAUSE.max(begun.elapsed() * PAUSE_FACTOR);
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn poll(
    pool: &PgPool,
    screen: &mut ErasureScreen,
    since: &mut Option<Timestamp>,
) -> Result<(), sqlx::Error> {
    let is_first = since.is_none();
    let after = match *since {
        Some(after) => after,
        None => {
            sqlx::query_file_scalar!("sql/app/now.sql")
                .fetch_one(pool)
                .await?
        }
    };
    let new = sqlx::query_file!("sql/app/new_erasures.sql", after.utc(), is_first)
        .fetch_all(pool)
        .await?;
    *since = Some(
        new.iter()
            .map(|row| row.deleted_at)
            .fold(after, std::cmp::max),
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
    for user in users {
        if !erasures.iter().any(|erasure| erasure.user_id == user) {
            screen.cancelled(&user);
        }
    }
    Ok(())
}

struct ErasureScreen {
    bars: Option<MultiProgress>,
    watched: HashMap<String, Shown>,
}

struct Shown {
    bar: Option<ProgressBar>,
    /// When the last plain line was printed, and how many objects it named.
    last_line: Option<(Instant, i64)>,
    is_parked: bool,
}

impl Erasure {
    /// Whether it stands still until somebody retries its dead tasks.
    fn is_parked(&self) -> bool {
        self.dead > 0 && self.only_root_is_open
    }
}

impl ErasureScreen {
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
        let bar = self.new_bar(&user_id);
        self.watched.entry(user_id).or_insert(Shown {
            bar,
            last_line: None,
            is_parked: false,
        });
    }

    fn new_bar(&self, user_id: &str) -> Option<ProgressBar> {
        let bars = self.bars.as_ref()?;
        let bar = bars.add(ProgressBar::new(0).with_style(bar_style()));
        Some(bar.with_prefix(printable(user_id)))
    }

    fn update(&mut self, erasure: &Erasure) {
        let Some(mut shown) = self.watched.remove(&erasure.user_id) else {
            return;
        };
        if !erasure.open {
            self.print_in_place_of(shown.bar, last_line(erasure));
            return;
        }
        if erasure.is_parked() {
            if !shown.is_parked {
                self.print_in_place_of(shown.bar.take(), last_line(erasure));
            }
        } else {
            if shown.is_parked {
                shown.bar = self.new_bar(&erasure.user_id);
            }
            show_progress(&mut shown, erasure);
        }
        shown.is_parked = erasure.is_parked();
        self.watched.insert(erasure.user_id.clone(), shown);
    }

    /// The tombstone is gone, because a person has cancelled the erasure.
    fn cancelled(&mut self, user_id: &str) {
        if let Some(shown) = self.watched.remove(user_id) {
            let line = format!("the erasure of {} is cancelled", printable(user_id));
            self.print_in_place_of(shown.bar, line);
        }
    }

    fn print_in_place_of(&self, bar: Option<ProgressBar>, line: String) {
        if let (Some(bar), Some(bars)) = (&bar, &self.bars) {
            bar.finish_and_clear();
            bars.remove(bar);
        }
        match &self.bars {
            // Above the other bars, or alone. A terminal that is gone is no reason to stop.
            Some(bars) => drop(bars.println(line)),
            None => eprintln!("{line}"),
        }
    }
}

fn show_progress(shown: &mut Shown, erasure: &Erasure) {
    let all = erasure.deleted + erasure.remaining;
    if let Some(bar) = &shown.bar {
        bar.set_length(all.unsigned_abs());
        bar.set_position(erasure.deleted.unsigned_abs());
        return;
    }
    let is_news = shown
        .last_line
        .is_none_or(|(at, deleted)| at.elapsed() >= LINE_EVERY && deleted != erasure.deleted);
    if is_news {
        shown.last_line = Some((Instant::now(), erasure.deleted));
        eprintln!(
            "erasing {}: {} of {all} objects deleted",
            printable(&erasure.user_id),
            erasure.deleted
        );
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template(BAR).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn last_line(erasure: &Erasure) -> String {
    let user_id = printable(&erasure.user_id);
    match erasure.dead {
        0 => format!(
            "erased {user_id}: {} objects in {:.1} s",
            erasure.deleted, erasure.seconds
        ),
        dead => format!(
            "the erasure of {user_id} stands still: {dead} of its tasks are dead, {} of {} objects are deleted. \
             See `lethe tasks list --status dead --user-id {}`",
            erasure.deleted,
            erasure.deleted + erasure.remaining,
            in_shell(&erasure.user_id)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(dead: i64) -> Erasure {
        Erasure {
            user_id: "user_\u{1b}[2J\n1".to_owned(),
            open: true,
            only_root_is_open: true,
            dead,
            deleted: 6,
            remaining: 1,
            seconds: 1.0,
        }
    }

    #[test]
    fn an_erasure_with_dead_tasks_alone_is_parked_until_it_moves_again() {
        let mut screen = ErasureScreen::new(true);
        let parked = erasure(1);
        screen.watch(parked.user_id.clone());
        screen.update(&parked);
        let shown = &screen.watched[&parked.user_id];
        assert!(shown.is_parked && shown.bar.is_none());
        screen.update(&erasure(0));
        let shown = &screen.watched[&parked.user_id];
        assert!(!shown.is_parked && shown.bar.is_some());
        screen.update(&Erasure {
            open: false,
            ..erasure(0)
        });
        assert!(screen.watched.is_empty());
    }

    #[test]
    fn a_cancelled_erasure_is_shown_no_more() {
        let mut screen = ErasureScreen::new(true);
        screen.watch("user_1".to_owned());
        screen.cancelled("user_1");
        assert!(screen.watched.is_empty());
    }

    #[test]
    fn the_last_line_says_dead_and_cannot_steer_the_terminal() {
        for line in [last_line(&erasure(0)), last_line(&erasure(2))] {
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        assert!(last_line(&erasure(2)).contains("2 of its tasks are dead"));
    }
}

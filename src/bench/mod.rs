//! `lethe bench`: how fast the queue, the erasure and the API are on this machine, each beside the bare
//! statements and requests that they consist of.

mod api;
mod bare;
mod chart;
mod enqueue;
mod erasure;
mod floor;
mod memory_s3;
mod pages;
mod queue;
mod report;
mod rig;
mod shapes;
mod small_users;
mod unkind;
mod wake;
mod watch;
mod webhook;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

pub use memory_s3::run as serve_s3;
pub use report::{BenchReport, Figure};
use rig::Rig;

/// How large the cases are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scale {
    /// Seconds: does it run?
    Smoke,
    /// Minutes
    Standard,
    /// An hour, and 20 GB of disk: what docs/performance.md shows
    Full,
}

impl Scale {
    const fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }

    const fn pick(self, smoke: u64, standard: u64, full: u64) -> u64 {
        match self {
            Self::Smoke => smoke,
            Self::Standard => standard,
            Self::Full => full,
        }
    }
}

/// The cases, in the order in which they run. The comments are the help of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Claim and settle of tasks without keys
    Queue,
    /// From commit to claim on an idle system, and what idleness costs
    Wake,
    /// Commits per second of an application that enqueues
    Enqueue,
    /// Many samples, each a task of its own
    Samples,
    /// One giant user, with single samples deleted meanwhile
    User,
    /// Throughput over time while a transaction elsewhere holds a snapshot
    Snapshot,
    /// Throughput beside tasks that wait and tasks that are finished, by workers
    Backlog,
    /// Signed webhooks, 32 connections
    Webhook,
    /// Users of 5 samples and 10 images, from `lethe.delete_user` to the last row
    SmallUsers,
    /// Samples of 100 images, each a task of its own
    ManyImages,
    /// Samples that share one key with 50,000 live images
    Placeholder,
    /// Samples to which a foreign key without an index refers
    NoIndex,
    /// Small users and one large one, with statistics of a time when the tables were almost empty
    Stale,
    /// One user in every shape: few large samples, many small ones, empty ones, collections
    Shapes,
    /// The data of each page of the admin panel, beside many finished tasks
    Pages,
}

/// What to measure, and where the report goes.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// In this order.
    pub cases: Vec<Case>,
    /// How large.
    pub scale: Scale,
    /// Workers, each a process.
    pub workers: u32,
    /// Whether the functions are those that a map of one's own gets.
    pub own_map: bool,
    /// A PostgreSQL server on which databases may be made. `None` starts a private one.
    pub server_url: Option<String>,
    /// Where the report goes as JSON.
    pub json: Option<PathBuf>,
    /// Where the charts go as SVG.
    pub charts: Option<PathBuf>,
}

/// Runs the cases and returns what was measured; writes JSON and charts where asked.
///
/// # Errors
/// When something cannot be started, or a case does not do the work that it measures.
pub async fn run(options: &BenchOptions) -> anyhow::Result<BenchReport> {
    let mut rig = Rig::start(options.server_url.clone(), options.own_map).await?;
    let mut report = BenchReport {
        lethe: env!("CARGO_PKG_VERSION"),
        postgres: rig.postgres_version().await?,
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        scale: options.scale.name().to_owned(),
        at: chrono::Utc::now().to_rfc3339(),
        figures: Vec::new(),
    };
    let bars = Bars::default();
    for case in &options.cases {
        let figures = figures(&mut rig, &bars, *case, options)
            .await
            .with_context(|| format!("the case {case:?}"))?;
        for figure in &figures {
            bars.print(&figure.line());
        }
        report.figures.extend(figures);
    }
    rig.stop().await?;
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report)?;
        std::fs::write(path, text + "\n").with_context(|| path.display().to_string())?;
    }
    if let Some(folder) = &options.charts {
        chart::draw(&report, folder)?;
    }
    Ok(report)
}

/// Runs the servers of the benchmark alone until `shutdown`, for the peers in `benches/peers`, and
/// prints what they need to know as environment variables.
///
/// # Errors
/// When something cannot be started.
pub async fn serve(
    server_url: Option<String>,
    shutdown: tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let rig = Rig::start(server_url, false).await?;
    let mut out = std::io::stdout();
    let written = writeln!(
        out,
        "DATABASE_URL={}\nAWS_ENDPOINT_URL_S3={}\nS3_BUCKET={}\nAWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\nAWS_REGION=us-east-1",
        rig.server_url(),
        rig.s3_url(),
        rig::BUCKET,
        memory_s3::ACCESS_KEY,
        memory_s3::SECRET_KEY,
    )
    .and_then(|()| out.flush());
    written.context("cannot print where the servers are")?;
    shutdown.cancelled().await;
    rig.stop().await
}

async fn figures(
    rig: &mut Rig,
    bars: &Bars,
    case: Case,
    options: &BenchOptions,
) -> anyhow::Result<Vec<Figure>> {
    let (scale, workers) = (options.scale, options.workers);
    Ok(match case {
        Case::Queue => {
            let mut figures =
                vec![queue::drain(rig, bars, scale.pick(20_000, 200_000, 200_000), workers).await?];
            if scale == Scale::Full {
                figures.push(queue::drain(rig, bars, 2_000_000, workers).await?);
            }
            figures
        }
        Case::Wake => wake::wake(rig, bars, scale.pick(50, 300, 1_000) as usize).await?,
        Case::Enqueue => enqueue::enqueue(rig, bars, workers).await?,
        Case::Samples => {
            vec![erasure::samples(rig, bars, scale.pick(5_000, 100_000, 100_000), workers).await?]
        }
        Case::User => {
            erasure::user(rig, bars, scale.pick(20_000, 200_000, 1_000_000), workers).await?
        }
        Case::Snapshot => {
            vec![queue::held_snapshot(rig, bars, scale.pick(50_000, 500_000, 1_000_000)).await?]
        }
        Case::Backlog => {
            let waiting = scale.pick(20_000, 1_000_000, 10_000_000);
            queue::backlog(rig, bars, waiting, scale.pick(50_000, 300_000, 500_000)).await?
        }
        Case::Webhook => webhook::webhook(rig, bars).await?,
        Case::SmallUsers => {
            small_users::small_users(rig, bars, scale.pick(300, 5_000, 20_000), workers).await?
        }
        Case::ManyImages => {
            unkind::many_images(rig, bars, scale.pick(50, 2_000, 10_000), workers).await?
        }
        Case::Placeholder => {
            unkind::placeholder(rig, bars, scale.pick(500, 5_000, 20_000), workers).await?
        }
        Case::NoIndex => {
            let comments = scale.pick(20_000, 100_000, 1_000_000);
            unkind::no_index(rig, bars, scale.pick(300, 2_000, 2_000), comments, workers).await?
        }
        Case::Stale => {
            let rows = scale.pick(20_000, 1_000_000, 1_000_000);
            unkind::stale(rig, bars, scale.pick(300, 5_000, 20_000), rows, workers).await?
        }
        Case::Shapes => {
            shapes::shapes(rig, bars, scale.pick(5_000, 100_000, 1_000_000), workers).await?
        }
        Case::Pages => pages::pages(rig, bars, scale.pick(10_000, 1_000_000, 10_000_000)).await?,
    })
}

/// One line of progress for each step.
#[derive(Default)]
struct Bars(MultiProgress);

impl Bars {
    /// A line that stays above the progress.
    fn print(&self, line: &str) {
        if self.0.is_hidden() {
            eprintln!("{line}");
        } else if let Err(error) = self.0.println(line) {
            tracing::debug!(%error, "the terminal is gone");
        }
    }

    fn add(&self, what: &str) -> ProgressBar {
        let bar = self.0.add(ProgressBar::new_spinner());
        if bar.is_hidden() {
            eprintln!("{what}");
        }
        let style = ProgressStyle::with_template("{elapsed:>4} {msg} {human_pos}/{human_len}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(200));
        bar
    }
}

//! `lethe dev`: fills in what is missing in the environment, then runs the same code as production.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{migrate, pool, serve, side_server, signals, worker};
use crate::cli::args::DevArgs;
use crate::cli::banner::{self, Banner};
use crate::config::{Log, Origin, Section as _, Serve, Source, Worker};
use crate::embedded::{Embedded, Options, seed};
use crate::http::api::{self, health};
use crate::storage::Store;
use crate::telemetry::logging;
use crate::telemetry::metrics::Metrics;
use crate::worker::Status;

/// How often the progress of erasures is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// Runs everything until a signal, then stops all of it in order.
///
/// # Errors
/// When a part cannot start; what had started is stopped.
pub async fn run(args: DevArgs, source: Source) -> anyhow::Result<()> {
    <(Log, Serve, Worker)>::check_given(&source)?;
    let log = Log::parse(&source)?;
    logging::init(log.format, &log.filter)?;
    let shutdown = signals::shutdown_token()?;
    let options = Options {
        data_dir: args.data_dir.clone(),
    };
    let embedded = tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        embedded = Embedded::start(options, |name| source.lookup(name)) => embedded?,
    };
    let source = source.over(Origin::Dev, embedded.variables().iter().cloned());
    let result = run_on(&args, &source, &embedded, shutdown).await;
    embedded.stop().await?;
    result
}

async fn run_on(
    args: &DevArgs,
    source: &Source,
    embedded: &Embedded,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let (config, work) = <(Serve, Worker)>::parse(source)?;
    migrate::run(&config.database).await?;
    let pool = pool::lazy(&config.database)?;
    let metrics = Metrics::new().context("the metrics cannot be set up")?;
    let store = worker::store(&work.storage).await;
    let (listener, address) = bind(&config).await?;

    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=args.workers {
        let options = worker::options(&work, format!("{}-{number}", worker::host_and_pid()));
        let pool = pool::lazy(&work.database)?;
        let running = crate::worker::run(
            pool,
            store.clone(),
            options,
            Arc::clone(&metrics),
            Arc::new(Status::default()),
            shutdown.clone(),
        );
        tasks.spawn(async move {
            running.await;
            anyhow::Ok(())
        });
    }
    if let Some(address) = config.metrics_addr {
        let ready = health::database_ready(pool.clone());
        let shown = api::observability(pool.clone(), Arc::clone(&metrics), ready);
        side_server::start(address, shown, shutdown.clone()).await?;
    }
    {
        let (config, pool, shutdown) = (config, pool.clone(), shutdown.clone());
        tasks.spawn(async move { serve::serve(listener, &config, pool, metrics, shutdown).await });
    }
    if let Some(users) = args.seed {
        let seeded = tokio::select! {
            () = shutdown.cancelled() => Ok(()),
            seeded = plant(&pool, &store, users, args) => seeded,
        };
        if let Err(error) = seeded {
            shutdown.cancel();
            while tasks.join_next().await.is_some() {}
            return Err(error);
        }
    }
    if !shutdown.is_cancelled() {
        let sample = sqlx::query_file!("sql/app/any_live_sample.sql")
            .fetch_optional(&pool)
            .await?;
        banner::print(&Banner {
            api: format!("http://{address}"),
            embedded,
            data_dir: &args.data_dir,
            sample: sample.as_ref().map(|row| (row.id, row.user_id.as_str())),
            user: sqlx::query_file_scalar!(
                "sql/app/any_live_user.sql",
                sample.as_ref().map(|s| s.user_id.clone())
            )
            .fetch_optional(&pool)
            .await?,
        });
    }
    let watching = tokio::spawn(watch(pool.clone(), shutdown.clone()));
    let mut result = Ok(());
    while let Some(ended) = tasks.join_next().await {
        shutdown.cancel();
        if let Err(error) = ended
            .context("a part of Lethe ended badly")
            .and_then(|ended| ended)
        {
            result = Err(error);
        }
    }
    watching.await.context("the progress display ended badly")?;
    pool::close(&pool).await;
    result
}

/// BIND_ADDR, or a free port beside it when that one is taken.
async fn bind(config: &Serve) -> anyhow::Result<(TcpListener, std::net::SocketAddr)> {
    match side_server::bind(config.bind_addr, "BIND_ADDR").await {
        Ok(bound) => Ok(bound),
        Err(taken) => {
            let mut free = config.bind_addr;
            free.set_port(0);
            let bound = side_server::bind(free, "BIND_ADDR")
                .await
                .map_err(|_| taken)?;
            eprintln!("{} is taken; the API is on {}", config.bind_addr, bound.1);
            Ok(bound)
        }
    }
}

async fn plant(pool: &PgPool, store: &Store, users: u32, args: &DevArgs) -> anyhow::Result<()> {
    let images =
        u64::from(users) * u64::from(args.samples_per_user) * u64::from(args.images_per_sample);
    let bar = bar(u64::from(users), "seeding users")?;
    let volume = seed::Volume {
        users,
        samples_per_user: args.samples_per_user,
        images_per_sample: args.images_per_sample,
    };
    let put = |key: String, bytes: Vec<u8>| {
        let store = store.clone();
        async move { store.put(key, bytes).await }
    };
    let mut done = 0;
    let summary = seed::seed(pool, put, volume, |now| {
        done = u64::from(now).max(done);
        bar.set_position(done);
    })
    .await?;
    bar.finish_and_clear();
    eprintln!(
        "seeded {} users with {} samples and {} of {images} images ({} users were there, {} were erased before)",
        summary.users, summary.samples, summary.images, summary.users_present, summary.users_erased
    );
    Ok(())
}

fn bar(length: u64, message: &'static str) -> anyhow::Result<ProgressBar> {
    let bar = ProgressBar::new(length).with_message(message);
    bar.set_style(ProgressStyle::with_template(
        "{msg} {wide_bar} {pos}/{len} {eta}",
    )?);
    Ok(bar)
}

/// Shows erasures as they run: a bar on a terminal, lines elsewhere.
async fn watch(pool: PgPool, shutdown: CancellationToken) {
    let terminal = std::io::stderr().is_terminal();
    let mut shown: Option<ProgressBar> = None;
    let mut last = (0, 0);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
        }
        // A look that fails is no matter: the workers report what is wrong with the database.
        let Ok(state) = sqlx::query_file!("sql/app/erasure_progress.sql")
            .fetch_one(&pool)
            .await
        else {
            continue;
        };
        let now = (state.deleted, state.remaining);
        if state.erasures == 0 {
            if let Some(bar) = shown.take() {
                bar.finish_and_clear();
                eprintln!("all erasures are complete");
            }
            last = (0, 0);
            continue;
        }
        let total = u64::try_from(state.deleted + state.remaining).unwrap_or_default();
        if shown.is_none() {
            shown = bar(total, "erasing objects").ok();
        }
        if let Some(bar) = &shown {
            bar.set_length(total);
            bar.set_position(u64::try_from(state.deleted).unwrap_or_default());
        }
        if !terminal && now != last {
            eprintln!(
                "erasing {} users: {} of {total} objects are gone",
                state.erasures, state.deleted
            );
        }
        last = now;
    }
}

/// The webhook secret of the `lethe dev` in this folder, if there is one.
#[must_use]
pub fn kept_webhook_secret() -> Option<String> {
    let text = std::fs::read_to_string(Path::new(".lethe").join("state.json")).ok()?;
    let state: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(state.get("webhook_signing_secret")?.as_str()?.to_owned())
}

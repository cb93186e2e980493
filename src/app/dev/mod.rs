//! `lethe dev`: everything on this machine, in one process.

mod banner;
mod progress;
mod terminal;

use std::io::{ErrorKind, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::banner::{Banner, BannerSample};
use super::serve::{self, Watched};
use super::{migrate, migrated, pool, side_server, worker};
use crate::config::variables::BIND_ADDR;
use crate::config::{ConfigError, Origin, Section, Serve, Source, Worker};
use crate::embedded::seed::{self, SeedSummary, Volume};
use crate::embedded::{self, Embedded};
use crate::http::api;
use crate::storage::Store;
use crate::telemetry::metrics::Metrics;
use crate::vocabulary::ProcessRole;
use crate::worker::WorkerStatus;

/// How long the session token in the banner is valid: a day's work.
const SESSION_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The time between two pictures of the seeding's bar.
const TICK: Duration = Duration::from_millis(100);

/// What `lethe dev` runs.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// Where everything is kept between runs.
    pub data_dir: PathBuf,
    /// BannerSample users to add, with their objects.
    pub seed: Option<Volume>,
    /// How many workers.
    pub workers: u32,
}

/// Why `lethe dev` failed.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The configuration is bad; nothing stays running.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something could not be started, or failed.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Starts everything, shows the banner, and stops everything in order at `shutdown`.
///
/// # Errors
/// When something cannot be started. What was started is stopped again.
pub async fn run(
    source: Source,
    options: &DevOptions,
    shutdown: CancellationToken,
) -> Result<(), DevError> {
    <(Serve, Worker)>::check_given(&source)?;
    note("starting …");
    let embedded_options = embedded::EmbeddedOptions {
        data_dir: options.data_dir.clone(),
    };
    let starting = Embedded::start(embedded_options, |name| source.lookup(name));
    // If the shutdown comes first, `starting` is dropped, which stops the servers that it has started.
    let Some(embedded) = shutdown.run_until_cancelled(starting).await else {
        return Ok(());
    };
    let embedded = embedded.map_err(anyhow::Error::from)?;
    let bind_is_given = source.is_set(&BIND_ADDR);
    let source = source.over(Origin::Dev, embedded.variables().iter().cloned());
    let result = match <(Serve, Worker)>::parse(&source) {
        Ok((serve, worker)) => {
            let machine = Machine {
                embedded: &embedded,
                serve,
                worker,
                bind_is_given,
            };
            machine.run(options, shutdown).await.map_err(DevError::from)
        }
        Err(error) => Err(DevError::from(error)),
    };
    let stopped = embedded.stop().await.map_err(anyhow::Error::from);
    result?;
    stopped?;
    note("stopped");
    Ok(())
}

/// The API and the workers, on top of the embedded servers.
struct Machine<'a> {
    embedded: &'a Embedded,
    serve: Serve,
    worker: Worker,
    bind_is_given: bool,
}

impl Machine<'_> {
    async fn run(self, options: &DevOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
        let preparing = self.prepare(options.seed);
        let Some(prepared) = shutdown.run_until_cancelled(preparing).await else {
            return Ok(());
        };
        let (api_pool, store) = prepared?;
        let (listener, address) = self.bind().await?;
        let metrics = Metrics::new().context("the metrics cannot be set up")?;
        let metrics_address = self.show_metrics(&api_pool, &metrics, &shutdown).await?;
        let work_pool = pool::lazy_for_worker(&self.worker.database);
        let watched = Watched::default();
        let status = || Arc::new(WorkerStatus::of(Arc::clone(&watched.drift)));
        let workers = (1..=options.workers)
            .map(|number| {
                let name = format!("{}-{number}", worker::host_and_pid());
                tokio::spawn(crate::worker::run(
                    work_pool.clone(),
                    store.clone(),
                    worker::options(&self.worker, name),
                    Arc::clone(&metrics),
                    status(),
                    shutdown.clone(),
                ))
            })
            .collect::<Vec<_>>();
        let reconciling =
            worker::start_reconciliation(&self.worker, &work_pool, &metrics, &shutdown);
        let sealing = worker::start_sealing(&self.worker, &work_pool, &shutdown);
        let noticing = worker::start_notices(&self.worker, &work_pool, &metrics, &shutdown);
        let progress = tokio::spawn(progress::show(api_pool.clone(), shutdown.clone()));

        let banner = self
            .banner(options, &api_pool, address, metrics_address)
            .await;
        // A closed pipe is no reason to stop.
        let _ = writeln!(std::io::stdout(), "{banner}");

        let authenticator = serve::authenticator(&self.serve, &metrics)?;
        serve::serve(
            listener,
            &self.serve,
            api_pool.clone(),
            metrics,
            authenticator,
            watched,
            shutdown,
        )
        .await;
        note("stopping …");
        let others = [reconciling, sealing, noticing, progress];
        for task in workers.into_iter().chain(others) {
            task.await.context("a worker panicked")?;
        }
        pool::close(&work_pool).await;
        pool::close(&api_pool).await;
        Ok(())
    }

    /// Migrates, then seeds.
    async fn prepare(&self, volume: Option<Volume>) -> anyhow::Result<(PgPool, Store)> {
        let (database, map) = (&self.serve.database, self.serve.map.0.as_ref());
        let before = migrate::run(database, map, self.worker.receipt_key.0.as_ref()).await?;
        let mut connection = pool::connect(&database.listen_url).await?;
        migrate::apply_map(&mut connection, map, false).await??;
        if !before.due.is_empty() {
            note(&format!("applied {} migrations", before.due.len()));
        }
        let pool = pool::lazy(&self.serve.database);
        let store = Store::connect(self.worker.storage.clone()).await;
        if let Some(volume) = volume {
            note_seeded(&seed(&pool, &store, volume).await?);
        }
        Ok((pool, store))
    }

    /// Listens on the default address, or on a free port if it is taken. An address that was given is never
    /// replaced.
    async fn bind(&self) -> anyhow::Result<(TcpListener, SocketAddr)> {
        let wanted = self.serve.bind_addr;
        if self.bind_is_given {
            return side_server::bind(wanted, BIND_ADDR.name).await;
        }
        match TcpListener::bind(wanted).await {
            Ok(listener) => {
                let address = listener.local_addr().context("the socket has no address")?;
                Ok((listener, address))
            }
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                let free = SocketAddr::new(wanted.ip(), 0);
                let (listener, address) = side_server::bind(free, BIND_ADDR.name).await?;
                note(&format!("{wanted} is taken; using {address} instead"));
                Ok((listener, address))
            }
            Err(error) => Err(error).with_context(|| format!("cannot listen on {wanted}")),
        }
    }

    async fn show_metrics(
        &self,
        pool: &PgPool,
        metrics: &Arc<Metrics>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<SocketAddr>> {
        let Some(address) = self.serve.metrics_addr else {
            return Ok(None);
        };
        let ready = migrated::ready(pool.clone(), None, ProcessRole::ALL);
        let shown = api::observability(pool.clone(), Arc::clone(metrics), ready);
        let (address, _) = side_server::start(address, shown, shutdown.clone()).await?;
        Ok(Some(address))
    }

    async fn banner(
        &self,
        options: &DevOptions,
        pool: &PgPool,
        address: SocketAddr,
        metrics_address: Option<SocketAddr>,
    ) -> Banner {
        let (sample, user_id) = something_to_try(pool).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "cannot read a sample and a user for the banner");
            (None, None)
        });
        let clerk = self.embedded.clerk();
        let session = sample.as_ref().zip(clerk).and_then(|(sample, clerk)| {
            clerk.session_token(&sample.user_id, SESSION_LIFETIME).ok()
        });
        Banner {
            api: reachable(address),
            metrics: reachable(metrics_address.unwrap_or(address)),
            postgres: self.embedded.postgres_url(),
            s3: self.embedded.s3_url(),
            s3_keys: self.embedded.s3_keys(),
            bucket: self.worker.storage.bucket.clone(),
            data_dir: options.data_dir.clone(),
            admin_token: self.embedded.admin_token().map(str::to_owned),
            webhook_secret: self.embedded.webhook_secret().map(str::to_owned),
            grace_period: self.serve.grace_period,
            workers: options.workers,
            program: program(),
            sample,
            session_token: session,
            user_id,
        }
    }
}

/// `0.0.0.0` is where one listens, not where one connects to.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        format!("http://127.0.0.1:{}", address.port())
    } else {
        format!("http://{address}")
    }
}

/// How this program is called from this directory.
fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    let path = std::path::Path::new(&called);
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(relative) => format!("./{}", relative.display()),
        Err(_) if called.is_empty() => "lethe".to_owned(),
        Err(_) => called,
    }
}

/// A sample and a user that exist.
async fn something_to_try(
    pool: &PgPool,
) -> Result<(Option<BannerSample>, Option<String>), sqlx::Error> {
    let sample = sqlx::query_file!("sql/app/sample_of_banner.sql")
        .fetch_optional(pool)
        .await?
        .and_then(|row| {
            Some(BannerSample {
                id: row.id?,
                user_id: row.user_id?,
            })
        });
    let owner = sample.as_ref().map(|sample| sample.user_id.as_str());
    let user = sqlx::query_file_scalar!("sql/app/user_of_banner.sql", owner)
        .fetch_optional(pool)
        .await?
        .flatten();
    Ok((sample, user))
}

async fn seed(pool: &PgPool, store: &Store, volume: Volume) -> anyhow::Result<SeedSummary> {
    let bar = if std::io::stderr().is_terminal() {
        let style =
            ProgressStyle::with_template("seeding [{bar:30}] {pos}/{len} users, {eta} left")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(u64::from(volume.users)).with_style(style)
    } else {
        note(&format!("seeding {} users …", volume.users));
        ProgressBar::hidden()
    };
    bar.enable_steady_tick(TICK);
    let put = |key, bytes| store.put(key, bytes);
    let seeded = seed::seed(pool, put, volume, |done| bar.set_position(u64::from(done))).await;
    bar.finish_and_clear();
    Ok(seeded?)
}

fn note_seeded(summary: &SeedSummary) {
    note(&format!(
        "seeded {} users with {} samples and {} images",
        summary.users, summary.samples, summary.images
    ));
    if summary.users_present > 0 {
        note(&format!(
            "{} users were there already",
            summary.users_present
        ));
    }
    if summary.users_erased > 0 {
        note(&format!(
            "{} users were erased before; their tombstones keep them away",
            summary.users_erased
        ));
    }
}

fn note(text: &str) {
    eprintln!("lethe dev: {text}");
}

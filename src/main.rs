//! The entry of the command line: parses, configures, runs, and sets the exit code.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

#[cfg(feature = "dev")]
use anyhow::Context;
use clap::Parser;
use lethe::app::{self, migrate, pool};
use lethe::cause::chain;
use lethe::cli::args::{Cli, Command, ReconcileArgs, ReconcileCommand, TasksArgs};
use lethe::cli::{check, openapi, reconcile, tasks};
use lethe::config::variables::{self, Variable};
use lethe::config::{
    ClerkBackend, ConfigError, Database, Log, Reconcile, Section, Serve, Source, Worker,
};
use lethe::telemetry::logging;

/// The command failed, or found something wrong.
const FAILED: u8 = 1;
/// Bad flags or bad configuration; nothing was started.
const MISCONFIGURED: u8 = 2;
/// How long the runtime waits at the end for threads that are still busy.
const THREADS_LIMIT: Duration = Duration::from_millis(200);

#[expect(clippy::disallowed_methods, reason = "this is the one runtime")]
fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the runtime cannot be started: {}", chain(&error));
            return ExitCode::from(FAILED);
        }
    };
    let result = runtime.block_on(run(cli));
    runtime.shutdown_timeout(THREADS_LIMIT);
    match result {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(faults) => {
                eprintln!("error: {faults}");
                ExitCode::from(MISCONFIGURED)
            }
            None => {
                eprintln!("error: {}", chain(error.as_ref()));
                ExitCode::from(FAILED)
            }
        },
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let source = cli.source();
    match cli.command {
        #[cfg(feature = "dev")]
        Command::Dev(args) => dev(source, &args).await,
        Command::Serve { .. } => {
            let (log, config) = <(Log, Serve)>::parse(&source)?;
            start_log(&log)?;
            let shutdown = app::signals::shutdown_token()?;
            app::serve::run(config, shutdown).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Worker { .. } => {
            let (log, config) = <(Log, Worker)>::parse(&source)?;
            start_log(&log)?;
            let shutdown = app::signals::shutdown_token()?;
            app::worker::run(config, shutdown).await?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Migrate { check, .. } => migrate(&source, check).await,
        Command::Openapi { format } => {
            print(openapi::text(format).trim_end());
            Ok(ExitCode::SUCCESS)
        }
        Command::Check { .. } => check(&source).await,
        Command::Tasks(args) => tasks(&source, &args).await,
        Command::Reconcile(args) => reconcile(&source, &args).await,
        #[cfg(feature = "dev")]
        Command::SendWebhook(args) => send_webhook(source, &args).await,
        #[cfg(feature = "dev")]
        Command::Bench(args) => bench(&source, &args).await,
    }
}

fn start_log(log: &Log) -> anyhow::Result<()> {
    logging::init(log.format, &log.filter)?;
    Ok(())
}

#[cfg(feature = "dev")]
async fn dev(source: Source, args: &lethe::cli::args::DevArgs) -> anyhow::Result<ExitCode> {
    use lethe::app::dev::DevError;

    let log = Log::parse(&source)?;
    // Banner and progress tell what happens; unless asked, the log has only what is amiss.
    let filter = if source.is_set(&variables::RUST_LOG) {
        log.filter.as_str()
    } else {
        "warn"
    };
    logging::init(log.format, filter)?;
    let shutdown = app::signals::shutdown_token()?;
    match app::dev::run(source, args, shutdown).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(DevError::Config(error)) => Err(error.into()),
        Err(DevError::Failed(error)) => Err(error),
    }
}

async fn migrate(source: &Source, only_check: bool) -> anyhow::Result<ExitCode> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    start_log(&log)?;
    if only_check {
        let state = migrate::check(&database).await?;
        print(&migrate::tell_state(&state));
        return Ok(success_if(state.is_current()));
    }
    print(&migrate::tell_applied(&migrate::run(&database).await?));
    Ok(ExitCode::SUCCESS)
}

/// Tries the roles of which something is configured; without any, all is asked for.
async fn check(source: &Source) -> anyhow::Result<ExitCode> {
    const OF_SERVE: [&Variable; 3] = [
        &variables::CLERK_WEBHOOK_SIGNING_SECRET,
        &variables::CLERK_JWT_KEY,
        &variables::CLERK_JWKS_URL,
    ];
    const OF_WORKER: [&Variable; 2] = [&variables::S3_BUCKET, &variables::AWS_ENDPOINT_URL_S3];
    <(Log, (Serve, Worker))>::check_given(source)?;
    let any_set = |of: &[&Variable]| of.iter().any(|variable| source.is_set(variable));
    let (serve, worker) = match (any_set(&OF_SERVE), any_set(&OF_WORKER)) {
        (true, false) => (Some(Serve::parse(source)?), None),
        (false, true) => (None, Some(Worker::parse(source)?)),
        _ => {
            let (serve, worker) = <(Serve, Worker)>::parse(source)?;
            (Some(serve), Some(worker))
        }
    };
    let (log, database) = <(Log, Database)>::parse(source)?;
    start_log(&log)?;
    let store = match &worker {
        Some(worker) => Some(app::worker::store(&worker.storage).await),
        None => None,
    };
    let findings = check::run(
        &database,
        serve.as_ref(),
        worker.as_ref().zip(store.as_ref()),
    )
    .await;
    print(&check::render(&findings));
    Ok(success_if(!check::is_anything_wrong(&findings)))
}

async fn tasks(source: &Source, args: &TasksArgs) -> anyhow::Result<ExitCode> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    start_log(&log)?;
    let mut connection = pool::connect(&database.url).await?;
    let outcome = tasks::run(&mut connection, &args.command, &user()).await?;
    if !outcome.text.is_empty() {
        print(&outcome.text);
    }
    for line in &outcome.refused {
        eprintln!("error: {line}");
    }
    Ok(success_if(outcome.refused.is_empty()))
}

async fn reconcile(source: &Source, args: &ReconcileArgs) -> anyhow::Result<ExitCode> {
    let (log, (database, config)) = <(Log, (Database, Reconcile))>::parse(source)?;
    let backend = match args.command {
        Some(ReconcileCommand::Clerk) => {
            let (_, (_, backend)) = <(Log, (Database, ClerkBackend))>::parse(source)?;
            Some(backend)
        }
        None => None,
    };
    start_log(&log)?;
    let stop = app::signals::shutdown_token()?;
    let pool = pool::lazy(&database)?;
    let command = reconcile::Command {
        pool: &pool,
        config: &config,
        worker: app::worker::host_and_pid(),
        apply: args.apply,
        json: args.json,
        stop: &stop,
    };
    let outcome = match backend {
        Some(backend) => command.with_clerk(backend).await,
        None => command.with_database().await,
    };
    pool::close(&pool).await;
    let outcome = outcome?;
    print(&outcome.text);
    Ok(success_if(outcome.is_done))
}

/// Who sits at the terminal, for the audit trail.
fn user() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|user| !user.trim().is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(feature = "dev")]
async fn send_webhook(
    mut source: Source,
    args: &lethe::cli::args::SendWebhookArgs,
) -> anyhow::Result<ExitCode> {
    use lethe::cli::send_webhook;
    use lethe::config::{Origin, WebhookSecrets};

    // The weakest layer: what a `lethe dev` of this directory has made.
    if let Some(secret) = secret_of_dev() {
        source = source.with(Origin::Dev, [("CLERK_WEBHOOK_SIGNING_SECRET", secret)]);
    }
    let (log, secrets) = <(Log, WebhookSecrets)>::parse(&source)?;
    start_log(&log)?;
    let secret = secrets.0.first().context("there is no secret")?;
    let delivery = send_webhook::send(&args.url, secret.expose(), &args.user_id, None).await?;
    print(&format!("{} ({})", delivery.status, delivery.svix_id));
    if !delivery.body.is_empty() {
        print(&delivery.body);
    }
    Ok(success_if((200..300).contains(&delivery.status)))
}

#[cfg(feature = "dev")]
async fn bench(source: &Source, args: &lethe::cli::args::BenchArgs) -> anyhow::Result<ExitCode> {
    use lethe::bench::{self, Case, Options, Scale};
    use lethe::cli::args::{BenchCase, BenchScale};

    if args.serve_s3 {
        bench::serve_s3().await?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = Log::parse(source)?;
    // The table is what people want to see, unless they ask for the log.
    let filter = if source.is_set(&variables::RUST_LOG) {
        log.filter.as_str()
    } else {
        "warn"
    };
    logging::init(log.format, filter)?;
    let server_url = args.server_url.as_ref().map(|url| url.expose().to_owned());
    if args.serve {
        bench::serve(server_url, app::signals::shutdown_token()?).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let cases = args.cases.iter().map(|case| match case {
        BenchCase::Queue => Case::Queue,
        BenchCase::Wake => Case::Wake,
        BenchCase::Enqueue => Case::Enqueue,
        BenchCase::Samples => Case::Samples,
        BenchCase::User => Case::User,
        BenchCase::Snapshot => Case::Snapshot,
        BenchCase::Backlog => Case::Backlog,
        BenchCase::Webhook => Case::Webhook,
    });
    let options = Options {
        cases: if args.cases.is_empty() {
            Case::ALL.to_vec()
        } else {
            cases.collect()
        },
        scale: match args.scale {
            BenchScale::Smoke => Scale::Smoke,
            BenchScale::Standard => Scale::Standard,
            BenchScale::Full => Scale::Full,
        },
        workers: args.workers,
        server_url,
        json: args.json.clone(),
        charts: args.charts.clone(),
    };
    if cfg!(debug_assertions) {
        eprintln!("note: this is a debug build; its figures say nothing about a release");
    }
    print(&bench::run(&options).await?.table());
    Ok(ExitCode::SUCCESS)
}

/// The signing secret of a `lethe dev` with its state in this directory.
#[cfg(feature = "dev")]
fn secret_of_dev() -> Option<String> {
    let text = std::fs::read_to_string("./.lethe/state.json").ok()?;
    let state: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(state.get("webhook_signing_secret")?.as_str()?.to_owned())
}

fn success_if(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    }
}

/// A reader that went away, as `head` does, is no failure.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

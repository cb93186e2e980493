//! `lethe`: parse the command line and the configuration, then hand over to the role.

use std::process::ExitCode;

use clap::Parser as _;
use lethe::app::{self, migrate, pool, signals};
use lethe::cli::args::{Cli, Command, TasksArgs};
use lethe::cli::{check, openapi, tasks};
use lethe::config::{ConfigError, Database, Log, Section, Serve, Source, Worker};
use lethe::telemetry::logging;

/// Bad configuration: nothing was started.
const EXIT_CONFIG: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("lethe: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => match error.downcast_ref::<ConfigError>() {
            Some(faults) => {
                eprintln!("{faults}");
                ExitCode::from(EXIT_CONFIG)
            }
            None => {
                eprintln!("lethe: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let source = cli.source();
    match cli.command {
        Command::Serve { .. } => {
            let (log, config) = <(Log, Serve)>::parse(&source)?;
            logging::init(log.format, &log.filter)?;
            app::serve::run(config, signals::shutdown_token()?).await?;
        }
        Command::Worker { .. } => {
            let (log, config) = <(Log, Worker)>::parse(&source)?;
            logging::init(log.format, &log.filter)?;
            app::worker::run(config, signals::shutdown_token()?).await?;
        }
        Command::Migrate { check, .. } => return migrate(&source, check).await,
        Command::Openapi { format } => print!("{}", openapi::text(format)),
        Command::Check { .. } => return check_all(&source).await,
        Command::Tasks(args) => return queue(&source, &args).await,
        #[cfg(feature = "dev")]
        Command::Dev(args) => app::dev::run(args, source).await?,
        #[cfg(feature = "dev")]
        Command::SendWebhook(args) => return send_webhook(&source, args).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn migrate(source: &Source, only_check: bool) -> anyhow::Result<ExitCode> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    logging::init(log.format, &log.filter)?;
    if only_check {
        let state = migrate::check(&database).await?;
        println!("{}", migrate::tell_state(&state));
        let behind =
            !(state.due.is_empty() && state.changed.is_empty() && state.unfinished.is_empty());
        return Ok(ExitCode::from(u8::from(behind)));
    }
    let before = migrate::run(&database).await?;
    println!("{}", migrate::tell_applied(&before));
    Ok(ExitCode::SUCCESS)
}

async fn check_all(source: &Source) -> anyhow::Result<ExitCode> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    logging::init(log.format, &log.filter)?;
    let set = |names: &[&str]| names.iter().any(|name| source.lookup(name).is_some());
    let clerk = [
        "CLERK_WEBHOOK_SIGNING_SECRET",
        "CLERK_JWT_KEY",
        "CLERK_JWKS_URL",
        "ADMIN_API_TOKENS",
    ];
    let serve = if set(&clerk) {
        Some(Serve::parse(source)?)
    } else {
        None
    };
    let worker = if set(&["S3_BUCKET"]) {
        Some(Worker::parse(source)?)
    } else {
        None
    };
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
    println!("{}", check::render(&findings));
    Ok(ExitCode::from(u8::from(check::is_anything_wrong(
        &findings,
    ))))
}

async fn queue(source: &Source, args: &TasksArgs) -> anyhow::Result<ExitCode> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    logging::init(log.format, &log.filter)?;
    let mut connection = pool::connect(&database.url).await?;
    let user = ["USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let outcome = tasks::run(
        &mut connection,
        &args.command,
        user.as_deref().unwrap_or("unknown"),
    )
    .await?;
    println!("{}", outcome.text);
    for refusal in &outcome.refused {
        eprintln!("lethe: {refusal}");
    }
    Ok(ExitCode::from(u8::from(!outcome.refused.is_empty())))
}

#[cfg(feature = "dev")]
async fn send_webhook(
    source: &Source,
    args: lethe::cli::args::SendWebhookArgs,
) -> anyhow::Result<ExitCode> {
    use anyhow::Context as _;
    let secret = source
        .lookup("CLERK_WEBHOOK_SIGNING_SECRET")
        .or_else(lethe::app::dev::kept_webhook_secret)
        .context("no secret to sign with: give --secret, or set CLERK_WEBHOOK_SIGNING_SECRET")?;
    let sent = lethe::cli::send_webhook::send(&args.url, &secret, &args.user_id, None).await?;
    println!("{} answered {} {}", sent.svix_id, sent.status, sent.body);
    Ok(ExitCode::from(u8::from(!(200..300).contains(&sent.status))))
}

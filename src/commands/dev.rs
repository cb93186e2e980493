//! The commands that only the feature `dev` has.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum as _;
use lethe::app;
use lethe::app::dev::{DevError, DevOptions};
use lethe::bench::{self, BenchOptions, Case};
use lethe::cli::args::{BenchArgs, DevArgs, SendWebhookArgs};
use lethe::cli::send_webhook;
use lethe::config::{Log, Origin, Section as _, Source, WebhookSecrets, variables};
use lethe::embedded::seed::Volume;
use lethe::telemetry::logging;

use super::{print, start_log, success_if};

/// Unless RUST_LOG is set, the log has warnings and errors only: what else happens, the command prints itself.
fn start_quiet_log(source: &Source) -> anyhow::Result<()> {
    let log = Log::parse(source)?;
    let filter = if source.is_set(&variables::RUST_LOG) {
        log.filter.as_str()
    } else {
        "warn"
    };
    // What the command prints itself is for people, so the log between it is too.
    let format = if source.is_set(&variables::LOG_FORMAT) {
        log.format
    } else {
        logging::LogFormat::Pretty
    };
    logging::init(format, filter)?;
    Ok(())
}

pub async fn dev(source: Source, args: &DevArgs) -> anyhow::Result<ExitCode> {
    start_quiet_log(&source)?;
    let options = DevOptions {
        data_dir: args.data_dir.clone(),
        seed: args.seed.map(|users| Volume {
            users,
            samples_per_user: args.samples_per_user,
            images_per_sample: args.images_per_sample,
        }),
        workers: args.workers,
    };
    let shutdown = app::signals::shutdown_token()?;
    match app::dev::run(source, &options, shutdown).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(DevError::Config(error)) => Err(error.into()),
        Err(DevError::Failed(error)) => Err(error),
    }
}

pub async fn send_webhook(mut source: Source, args: &SendWebhookArgs) -> anyhow::Result<ExitCode> {
    // A `lethe dev` in this directory has made one. Flags, the environment and .env go before it.
    if let Some(secret) = send_webhook::secret_of_dev() {
        source = source.with(Origin::Dev, [("CLERK_WEBHOOK_SIGNING_SECRET", secret)]);
    }
    let (log, secrets) = <(Log, WebhookSecrets)>::parse(&source)?;
    start_log(&log)?;
    let secret = secrets.0.first().context("there is no secret")?;
    let delivery = send_webhook::send(&args.url, secret, &args.user_id, None).await?;
    print(&format!("{} ({})", delivery.status, delivery.svix_id));
    if !delivery.body.is_empty() {
        print(&delivery.body);
    }
    Ok(success_if((200..300).contains(&delivery.status)))
}

pub async fn bench(source: &Source, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if args.serve_s3 {
        bench::serve_s3().await?;
        return Ok(ExitCode::SUCCESS);
    }
    start_quiet_log(source)?;
    let server_url = args.server_url.as_ref().map(|url| url.expose().to_owned());
    if args.serve {
        bench::serve(server_url, app::signals::shutdown_token()?).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let options = BenchOptions {
        cases: if args.cases.is_empty() {
            Case::value_variants().to_vec()
        } else {
            args.cases.clone()
        },
        scale: args.scale,
        workers: args.workers,
        own_map: args.own_map,
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

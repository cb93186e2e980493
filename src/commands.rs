//! One function for each command: it reads the command's part of the configuration, starts the log, runs the
//! command, and returns the exit code.

#[cfg(feature = "dev")]
mod dev;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context;
#[cfg(feature = "dev")]
pub use dev::{bench, dev, send_webhook};
use lethe::app::{self, migrate, pool};
use lethe::cli::args::{
    AuditArgs, Cli, DeletedArgs, EraseArgs, ErasuresArgs, ErasuresCommand, MapArgs, MapCommand,
    MigrateArgs, NoticesArgs, PauseArgs, ReceiptArgs, ReceiptsArgs, ReceiptsCommand, ReconcileArgs,
    ReconcileCommand, SpecFormat, TasksArgs,
};
use lethe::cli::person::name as user;
use lethe::cli::print::TasksOutput;
use lethe::cli::{check, evidence, map, notices, openapi, receipts, reconcile, safety, tasks};
use lethe::config::variables::{self, Variable};
use lethe::config::{
    Database, GivenMap, Log, MapFile, ReceiptKey, Section, Serve, Source, Tracing, Worker,
};
use lethe::http::admin_tokens::AdminTokens;
use lethe::reconcile::clerk_api::ClerkBackend;
use lethe::reconcile::options::ReconcileOptions;
use lethe::storage::Store;
use lethe::telemetry::logging;
use lethe::telemetry::traces::Traces;
use lethe::vocabulary::ProcessRole;

fn start_log(log: &Log) -> anyhow::Result<()> {
    logging::init(log.format, &log.filter)?;
    Ok(())
}

/// Begins to trace, if a collector is configured.
fn start_traces(tracing: &Tracing) -> anyhow::Result<Option<Traces>> {
    let started = tracing.0.as_ref().map(Traces::start).transpose();
    started.context("the traces cannot be set up")
}

async fn stop(traces: Option<Traces>) {
    if let Some(traces) = traces {
        traces.stop().await;
    }
}

/// `flags` are those of the process, to read the configuration again at SIGHUP.
pub async fn serve(source: &Source, flags: Vec<(String, String)>) -> anyhow::Result<ExitCode> {
    let (log, (tracing, config)) = <(Log, (Tracing, Serve))>::parse(source)?;
    start_log(&log)?;
    let traces = start_traces(&tracing)?;
    let shutdown = app::signals::shutdown_token()?;
    let reread = move || AdminTokens::parse(&Source::of_process(flags.iter().cloned()));
    let served = app::serve::run(config, reread, shutdown).await;
    stop(traces).await;
    served.map(|()| ExitCode::SUCCESS)
}

pub async fn worker(source: &Source) -> anyhow::Result<ExitCode> {
    let (log, (tracing, config)) = <(Log, (Tracing, Worker))>::parse(source)?;
    start_log(&log)?;
    let traces = start_traces(&tracing)?;
    let shutdown = app::signals::shutdown_token()?;
    let worked = app::worker::run(config, shutdown).await;
    stop(traces).await;
    worked.map(|()| ExitCode::SUCCESS)
}

pub fn openapi(format: SpecFormat) -> ExitCode {
    print(openapi::text(format).trim_end());
    ExitCode::SUCCESS
}

pub async fn migrate(source: &Source, args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let (log, database, key, map) = <(Log, Database, ReceiptKey, GivenMap)>::parse(source)?;
    start_log(&log)?;
    if args.check {
        let (state, map_is_due) = migrate::check(&database, map.digest()).await?;
        print(&migrate::tell_state(&state, map_is_due));
        return Ok(success_if(state.is_current() && !map_is_due));
    }
    let given = map.0.as_ref();
    let before = migrate::run(&database, given, key.0.as_ref()).await?;
    print(&migrate::tell_applied(&before));
    let mut connection = pool::connect(&database.listen_url).await?;
    let applied = migrate::apply_map(&mut connection, given, args.allow_incomplete).await?;
    Ok(show(&map::tell_applied("the erasure map", applied)?))
}

/// Tries the role that is asked for, or the roles of which something is configured; without any, all is asked for.
pub async fn check(
    source: &Source,
    role: Option<ProcessRole>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    const OF_SERVE: [&Variable; 3] = [
        &variables::CLERK_WEBHOOK_SIGNING_SECRET,
        &variables::CLERK_JWT_KEY,
        &variables::CLERK_JWKS_URL,
    ];
    const OF_WORKER: [&Variable; 2] = [&variables::S3_BUCKET, &variables::AWS_ENDPOINT_URL_S3];
    let any_set = |of: &[&Variable]| of.iter().any(|variable| source.is_set(variable));
    let tried = match role {
        Some(role) => (role == ProcessRole::Serve, role == ProcessRole::Worker),
        None => {
            <(Log, (Serve, Worker))>::check_given(source)?;
            (any_set(&OF_SERVE), any_set(&OF_WORKER))
        }
    };
    let (serve, worker) = match tried {
        (true, false) => (Some(Serve::parse(source)?), None),
        (false, true) => (None, Some(Worker::parse(source)?)),
        _ => {
            let (serve, worker) = <(Serve, Worker)>::parse(source)?;
            (Some(serve), Some(worker))
        }
    };
    let (log, database, given) = <(Log, Database, GivenMap)>::parse(source)?;
    start_log(&log)?;
    let store = match &worker {
        Some(worker) => Some(Store::connect(worker.storage.clone()).await),
        None => None,
    };
    let findings = check::run(
        &database,
        given.0.as_ref(),
        serve.as_ref(),
        worker.as_ref().zip(store.as_ref()),
    )
    .await;
    if as_json {
        print(&check::json(&findings));
    } else {
        print(&check::render(&findings));
    }
    Ok(success_if(!check::is_anything_wrong(&findings)))
}

pub async fn tasks(source: &Source, args: &TasksArgs) -> anyhow::Result<ExitCode> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    start_log(&log)?;
    let mut connection = pool::connect(&database.url).await?;
    let outcome = tasks::run(&mut connection, &args.command, &user()).await?;
    Ok(print_output(&outcome))
}

pub async fn erase(source: &Source, args: &EraseArgs) -> anyhow::Result<ExitCode> {
    let pool = pool_of_command(source).await?;
    let outcome = evidence::erase(&pool, args, &user()).await;
    pool::close(&pool).await;
    Ok(print_output(&outcome?))
}

pub async fn receipt(source: &Source, args: &ReceiptArgs) -> anyhow::Result<ExitCode> {
    let pool = pool_of_command(source).await?;
    let outcome = evidence::receipt(&pool, args).await;
    pool::close(&pool).await;
    Ok(print_output(&outcome?))
}

pub async fn audit(source: &Source, args: &AuditArgs) -> anyhow::Result<ExitCode> {
    let pool = pool_of_command(source).await?;
    let outcome = evidence::audit(&pool, args).await;
    pool::close(&pool).await;
    Ok(print_output(&outcome?))
}

pub async fn deleted(source: &Source, args: &DeletedArgs) -> anyhow::Result<ExitCode> {
    let pool = pool_of_command(source).await?;
    let outcome = evidence::deleted(&pool, args).await;
    pool::close(&pool).await;
    Ok(print_output(&outcome?))
}

pub fn completions(shell: clap_complete::Shell) -> ExitCode {
    use clap::CommandFactory as _;

    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lethe", &mut script);
    print(String::from_utf8_lossy(&script).trim_end());
    ExitCode::SUCCESS
}

async fn pool_of_command(source: &Source) -> anyhow::Result<sqlx::PgPool> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    start_log(&log)?;
    pool::reachable(&database).await
}

fn print_output(output: &TasksOutput) -> ExitCode {
    if !output.text.is_empty() {
        print(&output.text);
    }
    for line in &output.refused {
        eprintln!("error: {line}");
    }
    success_if(output.refused.is_empty())
}

pub async fn map(source: &Source, args: &MapArgs) -> anyhow::Result<ExitCode> {
    let (log, file) = <(Log, MapFile)>::parse(source)?;
    start_log(&log)?;
    // Before the database is needed: what is wrong with a file can be said without one.
    let given = match file.0.as_deref().map(map::load).transpose() {
        Err(invalid) if !matches!(args.command, MapCommand::Init) => {
            return Ok(show(&map::tell_invalid(&invalid, &args.command)));
        }
        given => given.ok().flatten(),
    };
    let database = Database::parse(source)?;
    let mut connection = pool::connect(&database.url).await?;
    let mut output = map::run(&mut connection, given, &args.command).await?;
    if let MapCommand::Apply {
        sweep: true, yes, ..
    } = args.command
        && output.exit_code == 0
    {
        output.text += &map::sweep(&mut connection, yes, &actor()).await?;
    }
    Ok(show(&output))
}

/// Prints what a command says, and returns its exit code.
fn show(output: &map::MapOutput) -> ExitCode {
    if !output.text.is_empty() {
        print(output.text.trim_end());
    }
    if !output.errors.is_empty() {
        eprintln!("{}", output.errors.trim_end());
    }
    ExitCode::from(output.exit_code)
}

pub async fn pause(source: &Source, args: &PauseArgs) -> anyhow::Result<ExitCode> {
    let mut connection = connect(source).await?;
    let done = safety::pause(&mut connection, args, &actor()).await?;
    Ok(tell(&done))
}

pub async fn resume(source: &Source, args: &PauseArgs) -> anyhow::Result<ExitCode> {
    let mut connection = connect(source).await?;
    let done = safety::resume(&mut connection, args, &actor()).await?;
    Ok(tell(&done))
}

pub async fn erasures(source: &Source, args: &ErasuresArgs) -> anyhow::Result<ExitCode> {
    let mut connection = connect(source).await?;
    let ErasuresCommand::Cancel(args) = &args.command;
    let done = safety::cancel(&mut connection, args, &actor()).await?;
    Ok(tell(&done))
}

pub async fn notices(source: &Source, args: &NoticesArgs) -> anyhow::Result<ExitCode> {
    let mut connection = connect(source).await?;
    print(&notices::run(&mut connection, args).await?);
    Ok(ExitCode::SUCCESS)
}

async fn connect(source: &Source) -> anyhow::Result<sqlx::PgConnection> {
    let (log, database) = <(Log, Database)>::parse(source)?;
    start_log(&log)?;
    pool::connect(&database.url).await
}

fn tell(done: &safety::SafetyOutput) -> ExitCode {
    if !done.text.is_empty() {
        print(&done.text);
    }
    for line in &done.refused {
        eprintln!("error: {line}");
    }
    success_if(done.refused.is_empty())
}

/// The person at the terminal, as the audit trail names them.
fn actor() -> String {
    format!("cli:{}", user())
}

pub async fn reconcile(source: &Source, args: &ReconcileArgs) -> anyhow::Result<ExitCode> {
    let (log, (database, config)) = <(Log, (Database, ReconcileOptions))>::parse(source)?;
    let backend = match args.command {
        Some(ReconcileCommand::Clerk) => {
            let (_, (_, backend)) = <(Log, (Database, ClerkBackend))>::parse(source)?;
            Some(backend)
        }
        None => None,
    };
    start_log(&log)?;
    let stop = app::signals::shutdown_token()?;
    let pool = pool::reachable(&database).await?;
    let command = reconcile::ReconcileRun {
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

pub async fn receipts(source: &Source, args: &ReceiptsArgs) -> anyhow::Result<ExitCode> {
    if let ReceiptsCommand::Verify(export) = &args.command {
        start_log(&Log::parse(source)?)?;
        print(&receipts::verify(export)?);
        return Ok(ExitCode::SUCCESS);
    }
    let (log, database, key) = <(Log, Database, ReceiptKey)>::parse(source)?;
    start_log(&log)?;
    if let ReceiptsCommand::Replay {
        export,
        apply,
        json,
    } = &args.command
    {
        let pool = pool::reachable(&database).await?;
        let replay = receipts::Replay {
            pool: &pool,
            export,
            key: key.0.as_ref(),
            apply: *apply,
            json: *json,
            user: &user(),
        };
        let output = replay.run().await;
        pool::close(&pool).await;
        let output = output?;
        print(&output.text);
        return Ok(success_if(output.is_done));
    }
    let mut connection = pool::connect(&database.url).await?;
    if matches!(args.command, ReceiptsCommand::Export { head: true }) {
        print(&receipts::head(&mut connection).await?);
    } else {
        let mut out = std::io::BufWriter::new(std::io::stdout());
        receipts::export(&mut connection, &mut out).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn success_if(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(crate::FAILED)
    }
}

/// A reader that went away, as `head` does, is no failure.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

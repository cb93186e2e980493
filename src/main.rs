//! The entry of the command line: parses the flags, runs the command, and returns its exit code.

mod commands;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use lethe::cause::chain;
use lethe::cli::args::{Cli, Command};
use lethe::cli::tasks::TasksError;
use lethe::config::ConfigError;

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
                let is_bad_flag = matches!(
                    error.downcast_ref(),
                    Some(TasksError::Cursor(_) | TasksError::Type(_) | TasksError::NotErasable(_))
                );
                ExitCode::from(if is_bad_flag { MISCONFIGURED } else { FAILED })
            }
        },
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let source = cli.source();
    let flags = cli.flags();
    match cli.command {
        #[cfg(feature = "dev")]
        Command::Dev(args) => commands::dev(source, &args).await,
        Command::Serve { .. } => commands::serve(&source, flags).await,
        Command::Worker { .. } => commands::worker(&source).await,
        Command::Migrate(args) => commands::migrate(&source, &args).await,
        Command::Openapi { format } => Ok(commands::openapi(format)),
        Command::Check { role, json, .. } => commands::check(&source, role, json).await,
        Command::Tasks(args) => commands::tasks(&source, &args).await,
        Command::Erase(args) => commands::erase(&source, &args).await,
        Command::Receipt(args) => commands::receipt(&source, &args).await,
        Command::Audit(args) => commands::audit(&source, &args).await,
        Command::Deleted(args) => commands::deleted(&source, &args).await,
        Command::Completions { shell } => Ok(commands::completions(shell)),
        Command::Map(args) => commands::map(&source, &args).await,
        Command::Pause(args) => commands::pause(&source, &args).await,
        Command::Resume(args) => commands::resume(&source, &args).await,
        Command::Erasures(args) => commands::erasures(&source, &args).await,
        Command::Notices(args) => commands::notices(&source, &args).await,
        Command::Receipts(args) => commands::receipts(&source, &args).await,
        Command::Reconcile(args) => commands::reconcile(&source, &args).await,
        #[cfg(feature = "dev")]
        Command::SendWebhook(args) => commands::send_webhook(source, &args).await,
        #[cfg(feature = "dev")]
        Command::Bench(args) => commands::bench(&source, &args).await,
    }
}

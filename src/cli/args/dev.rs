//! The flags of the commands that are not in release images: `dev`, `send-webhook` and `bench`.

use clap::Args;

use crate::bench::{Case, Scale};
use crate::cli::settings::{Everything, Settings};
use crate::secret::Secret;

/// Of `lethe dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Where everything is kept between runs
    #[arg(long, value_name = "PATH", default_value = "./.lethe")]
    pub data_dir: std::path::PathBuf,
    /// Add this number of sample users with images (rows and real objects)
    #[arg(long, value_name = "USERS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub seed: Option<u32>,
    /// Samples of each sample user
    #[arg(long, value_name = "N", default_value_t = 3, requires = "seed",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub samples_per_user: u32,
    /// Images of each of their samples
    #[arg(long, value_name = "N", default_value_t = 2, requires = "seed",
          value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub images_per_sample: u32,
    /// How many workers to run
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(0..=64))]
    pub workers: u32,
    /// The settings given as flags.
    #[command(flatten)]
    pub settings: Settings<Everything>,
}

/// Of `lethe send-webhook`.
#[derive(Debug, Args)]
pub struct SendWebhookArgs {
    /// The Clerk user to delete
    #[arg(value_name = "USER_ID")]
    pub user_id: String,
    /// Where the webhook is received
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:8080/webhooks/clerk"
    )]
    pub url: String,
    #[arg(long, value_name = "SECRET", visible_alias = "clerk-webhook-signing-secret",
          value_parser = secret,
          help = "Signing secret (whsec_…); of several the first one signs [required] \
                  [env: CLERK_WEBHOOK_SIGNING_SECRET or CLERK_WEBHOOK_SIGNING_SECRET_FILE]")]
    pub secret: Option<Secret>,
}

/// Of `lethe bench`.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to measure; all when none is named
    #[arg(value_enum, value_name = "CASE")]
    pub cases: Vec<Case>,
    /// How large the cases are
    #[arg(long, value_enum, default_value_t = Scale::Standard)]
    pub scale: Scale,
    /// How many workers, each a process of its own
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(1..=64))]
    pub workers: u32,
    /// Use the functions that a map of one's own gets, in place of those that are made for the built-in map
    #[arg(long)]
    pub own_map: bool,
    /// A PostgreSQL server on which databases may be made and dropped; default: a private one
    #[arg(long, value_name = "URL", value_parser = secret)]
    pub server_url: Option<Secret>,
    /// Write what was measured there
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
    /// Draw the charts into this folder, as SVG
    #[arg(long, value_name = "FOLDER")]
    pub charts: Option<std::path::PathBuf>,
    /// Be the S3 server of a benchmark
    #[arg(long, hide = true)]
    pub serve_s3: bool,
    /// Keep both servers running for another benchmark, and print their URLs
    #[arg(long, conflicts_with = "serve_s3")]
    pub serve: bool,
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

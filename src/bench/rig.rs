//! The servers and processes of a case: a PostgreSQL server, an S3 server in another process, and Lethe's own processes.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::memory_s3::{ACCESS_KEY, SECRET_KEY};
use crate::embedded::{PostgresOptions, PrivatePostgres};
use crate::map::{
    self,
    format::{BUILT_IN, ErasureMap},
};
use crate::schema::MIGRATOR;

/// Settings of the private server: durable, with the memory of a small production server.
pub const SETTINGS: [(&str, &str); 7] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "30min"),
    ("max_connections", "200"),
    ("autovacuum_naptime", "10s"),
    ("work_mem", "32MB"),
    ("effective_cache_size", "8GB"),
];
/// The bucket on the S3 server of the benchmark.
pub const BUCKET: &str = "bench";
/// Connections of the benchmark's own floors and polls.
const MAX_CONNECTIONS: u32 = 48;
const PATIENCE: Duration = Duration::from_secs(60);

/// Both servers.
pub struct Rig {
    postgres: Option<PrivatePostgres>,
    server_url: String,
    s3: S3Process,
    program: PathBuf,
    own_map: bool,
}

/// The S3 server's process.
struct S3Process {
    url: String,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    process: Child,
}

impl Rig {
    /// Starts a private PostgreSQL, unless `server_url` names one on which databases may be made, and
    /// the S3 server. With `own_map` the databases get the functions that a map of one's own gets.
    pub async fn start(server_url: Option<String>, own_map: bool) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program")?;
        let (postgres, server_url) = match server_url {
            Some(url) => (None, url),
            None => {
                let settings = SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let postgres = PrivatePostgres::start(PostgresOptions {
                    durable: true,
                    settings: settings.to_vec(),
                    ..PostgresOptions::temporary()
                })
                .await?;
                let url = postgres.url("postgres");
                (Some(postgres), url)
            }
        };
        let s3 = S3Process::start(&program).await?;
        Ok(Self {
            postgres,
            server_url,
            s3,
            program,
            own_map,
        })
    }

    /// The server's version, for the report.
    pub async fn postgres_version(&self) -> anyhow::Result<String> {
        let mut connection = PgConnection::connect(&self.server_url).await?;
        Ok(
            sqlx::query_scalar("select split_part(version(), ' on ', 1)")
                .fetch_one(&mut connection)
                .await?,
        )
    }

    /// The administrator's URL of the server.
    pub fn server_url(&self) -> &str {
        &self.server_url
    }

    /// The S3 endpoint.
    pub fn s3_url(&self) -> &str {
        &self.s3.url
    }

    /// An empty, migrated database.
    pub async fn database(&self, name: &str) -> anyhow::Result<BenchDatabase> {
        let name = format!("lethe_bench_{name}");
        let mut server = PgConnection::connect(&self.server_url).await?;
        for statement in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name}"),
        ] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut server)
                .await?;
        }
        let mut url = reqwest::Url::parse(&self.server_url).context("the server's URL")?;
        url.set_path(&name);
        let options: PgConnectOptions = url.as_str().parse()?;
        let pool = PgPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .connect_with(options)
            .await?;
        MIGRATOR.run(&pool).await?;
        let mut connection = pool.acquire().await?;
        let map = ErasureMap::built_in()?;
        map::apply::apply(&mut connection, &map, BUILT_IN, false).await?;
        if self.own_map {
            // The same map in another file: it is not known as the built-in one.
            let text = format!("# The built-in map.\n{BUILT_IN}");
            map::apply::apply(&mut connection, &ErasureMap::parse(&text)?, &text, false).await?;
        }
        drop(connection);
        // What is measured is the rate, not the limit; the processes are started without one, too.
        sqlx::query("select lethe.configure('worker', 0, null, 'bench')")
            .execute(&pool)
            .await?;
        Ok(BenchDatabase {
            url: url.into(),
            name,
            pool,
        })
    }

    /// Removes a database again.
    pub async fn drop_database(&self, database: BenchDatabase) -> anyhow::Result<()> {
        database.pool.close().await;
        let mut server = PgConnection::connect(&self.server_url).await?;
        let statement = format!("drop database if exists {} with (force)", database.name);
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut server)
            .await?;
        Ok(())
    }

    /// Puts `count` objects named `<prefix>0` and so on into the store.
    pub async fn fill(&mut self, prefix: &str, count: u64) -> anyhow::Result<()> {
        let line = format!("fill {prefix} {count}\n");
        self.s3.input.write_all(line.as_bytes()).await?;
        let answer = self.s3.output.next_line().await?;
        ensure!(answer.as_deref() == Some("filled"), "the S3 server ended");
        Ok(())
    }

    /// A bare SDK client.
    pub fn s3_client(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new(
                ACCESS_KEY, SECRET_KEY, None, None, "bench",
            ))
            .endpoint_url(&self.s3.url)
            .force_path_style(true)
            .build();
        aws_sdk_s3::Client::from_conf(config)
    }

    /// How many objects the store has, counted up to one page.
    pub async fn objects(&self) -> anyhow::Result<i64> {
        self.objects_of("").await
    }

    /// The same, of those whose keys begin with `prefix`.
    pub async fn objects_of(&self, prefix: &str) -> anyhow::Result<i64> {
        let listed = self
            .s3_client()
            .list_objects_v2()
            .bucket(BUCKET)
            .prefix(prefix)
            .send()
            .await?;
        Ok(listed.key_count().unwrap_or_default().into())
    }

    /// Runs a process of this program on the database, with metrics on a port of its own.
    pub fn spawn(
        &self,
        role: &str,
        database: &BenchDatabase,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = Command::new(&self.program)
            .arg(role)
            .env_clear()
            .env("DATABASE_URL", &database.url)
            .env("S3_BUCKET", BUCKET)
            .env("AWS_ENDPOINT_URL_S3", &self.s3.url)
            .env("AWS_REGION", "us-east-1")
            .env("ERASURE_LIMIT_PER_HOUR", "0")
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
            .env("S3_FORCE_PATH_STYLE", "true")
            .env("METRICS_ADDR", format!("127.0.0.1:{port}"))
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start lethe {role}"))?;
        Ok(Process {
            child,
            metrics: format!("http://127.0.0.1:{port}/metrics"),
            http: reqwest::Client::new(),
        })
    }

    /// Stops both servers.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.s3.process.kill().await?;
        if let Some(postgres) = self.postgres {
            postgres.stop().await?;
        }
        Ok(())
    }
}

impl S3Process {
    async fn start(program: &PathBuf) -> anyhow::Result<Self> {
        let mut process = Command::new(program)
            .args(["bench", "--serve-s3"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the S3 server")?;
        let input = process.stdin.take().context("no stdin")?;
        let output = process.stdout.take().context("no stdout")?;
        let mut output = BufReader::new(output).lines();
        let url = output.next_line().await?.context("the S3 server ended")?;
        Ok(Self {
            url,
            input,
            output,
            process,
        })
    }
}

/// A migrated database of one case.
pub struct BenchDatabase {
    url: String,
    name: String,
    /// Connections for seeding, floors and polls.
    pub pool: PgPool,
}

impl BenchDatabase {
    /// Statistics and visibility as after a night of autovacuum.
    pub async fn settle_down(&self) -> anyhow::Result<()> {
        for statement in ["vacuum (analyze)", "checkpoint"] {
            sqlx::query(statement).execute(&self.pool).await?;
        }
        Ok(())
    }
}

/// One process of Lethe.
pub struct Process {
    child: Child,
    metrics: String,
    http: reqwest::Client,
}

/// Memory and CPU time of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessUsage {
    /// The largest resident memory, in bytes.
    pub peak_rss: u64,
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
}

impl Process {
    /// Waits until metrics are served.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let begun = tokio::time::Instant::now();
        while self.http.get(&self.metrics).send().await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("a process of Lethe ended: {status}");
            }
            ensure!(
                begun.elapsed() < PATIENCE,
                "a process of Lethe does not start"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The sum of all series of a metric whose lines begin with this text.
    pub async fn counter(&self, begins: &str) -> anyhow::Result<f64> {
        let text = self.http.get(&self.metrics).send().await?.text().await?;
        Ok(text
            .lines()
            .filter(|line| line.starts_with(begins))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// From `/proc`.
    pub fn usage(&self) -> anyhow::Result<ProcessUsage> {
        let id = self.child.id().context("a process of Lethe ended")?;
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let peak_rss = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .context("no VmHWM in /proc")?
            * 1024;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let fields: Vec<&str> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        let (user, system) = ticks(11).zip(ticks(12)).context("/proc/<pid>/stat")?;
        // USER_HZ is 100 on Linux.
        Ok(ProcessUsage {
            peak_rss,
            cpu_seconds: (user + system) / 100.0,
        })
    }

    /// Ends the process in order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(id) = self.child.id() {
            let id = nix::unistd::Pid::from_raw(i32::try_from(id)?);
            nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGTERM)?;
        }
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .context("a process of Lethe does not stop")??;
        Ok(())
    }
}

/// Several workers.
pub struct Fleet(Vec<Process>);

impl Fleet {
    /// Starts the workers and waits until they serve their metrics.
    pub async fn start(
        rig: &Rig,
        database: &BenchDatabase,
        workers: u32,
        more: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let mut fleet = Vec::new();
        for _ in 0..workers {
            fleet.push(rig.spawn("worker", database, more)?);
        }
        for process in &mut fleet {
            process.ready().await?;
        }
        Ok(Self(fleet))
    }

    /// The sum over all workers.
    pub async fn counter(&self, begins: &str) -> anyhow::Result<f64> {
        let counters = self.0.iter().map(|process| process.counter(begins));
        Ok(futures::future::try_join_all(counters).await?.iter().sum())
    }

    /// The largest memory of one worker, and the CPU time of all.
    pub fn usage(&self) -> anyhow::Result<ProcessUsage> {
        let mut all = ProcessUsage::default();
        for process in &self.0 {
            let usage = process.usage()?;
            all.peak_rss = all.peak_rss.max(usage.peak_rss);
            all.cpu_seconds += usage.cpu_seconds;
        }
        Ok(all)
    }

    /// Ends all workers in order.
    pub async fn stop(self) -> anyhow::Result<()> {
        for process in self.0 {
            process.stop().await?;
        }
        Ok(())
    }
}

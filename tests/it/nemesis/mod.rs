//! Random work and random faults from a seed, then quiet, then the promises: nothing lost, nothing live
//! touched. `scripts/nemesis` runs it for as long as wanted.

mod application;
mod faults;
mod hostile;
mod journal;
mod judge;
mod operations;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::process::Child;

use crate::support::own_postgres::OwnPostgres;
use crate::support::service::Service;
use crate::support::tcp_proxy::TcpProxy;
use crate::support::world::{Log, World};
use application::{Fate, Sample};

const DEFAULT_SECONDS: u64 = 20;
const FIRST_USERS: usize = 60;
const WORKERS: usize = 3;
const REPLICAS: usize = 2;
/// Workers find soon what the application marked by itself, however much it is.
const RECONCILES: [(&str, &str); 3] = [
    ("RECONCILE_INTERVAL_MS", "500"),
    ("RECONCILE_MAX_USER_SHARE", "100"),
    ("CLEANUP_GRACE_PERIOD_MS", "700"),
];

struct Nemesis {
    postgres: OwnPostgres,
    /// The way of all processes to PostgreSQL; the test itself goes straight.
    proxy: TcpProxy,
    world: World,
    workers: Vec<Child>,
    /// What all workers say.
    log: Log,
    replicas: Vec<Service>,
    random: StdRng,
    /// In the order in which they came, as the users.
    samples: Vec<Sample>,
    users: Vec<Fate>,
    /// Events by user, so that they can be sent again.
    events: HashMap<usize, String>,
    /// Keys of which nobody knows whether their row was committed.
    ambiguous: HashSet<String>,
    counts: BTreeMap<&'static str, u32>,
}

impl Nemesis {
    async fn start(seed: u64) -> Self {
        let postgres = OwnPostgres::start(&[]).await;
        let proxy = TcpProxy::start(postgres.port());
        let world = postgres.world(postgres.url_at(proxy.address)).await;
        journal::keep(&world).await;
        let mut random = StdRng::seed_from_u64(seed);
        if random.random_bool(0.5) {
            world.s3.keep_versions();
        }
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            replicas.push(replica(&world).await);
        }
        let log = Log::new();
        let workers = (0..WORKERS)
            .map(|_| world.logged(&["worker"], &RECONCILES, &log))
            .collect();
        let mut nemesis = Self {
            postgres,
            proxy,
            world,
            workers,
            log,
            replicas,
            random,
            samples: Vec::new(),
            users: Vec::new(),
            events: HashMap::new(),
            ambiguous: HashSet::new(),
            counts: BTreeMap::new(),
        };
        for _ in 0..FIRST_USERS {
            nemesis.sign_up().await;
        }
        nemesis.write_comments().await;
        nemesis
    }

    fn start_worker(&self) -> Child {
        self.world.logged(&["worker"], &RECONCILES, &self.log)
    }

    fn did(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }
}

async fn replica(world: &World) -> Service {
    Service::start_with(world, &[("CLEANUP_GRACE_PERIOD_MS", "700")]).await
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_work_and_random_faults_lose_nothing_and_touch_nothing_live() {
    let seed = from_environment("NEMESIS_SEED").unwrap_or_else(rand::random);
    let seconds = from_environment("NEMESIS_SECONDS").unwrap_or(DEFAULT_SECONDS);
    println!("nemesis: NEMESIS_SEED={seed} NEMESIS_SECONDS={seconds}");
    let began = Instant::now();
    let mut nemesis = Nemesis::start(seed).await;
    while began.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..nemesis.random.random_range(1..=12) {
            nemesis.operate().await;
        }
        nemesis.disturb().await;
    }
    let quiet = nemesis.quieten().await;
    let rows = nemesis.judge().await;
    nemesis.judge_hostile().await;
    nemesis.tell(seed, began, quiet, rows).await;
}

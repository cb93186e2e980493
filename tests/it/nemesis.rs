//! Random work and random faults from a seed, then quiet, then the promises: nothing lost, nothing live
//! touched. `scripts/nemesis` runs it for as long as wanted.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use tokio::process::Child;
use uuid::Uuid;

use crate::support::hostile_s3::Behaviour;
use crate::support::own_postgres::{OwnPostgres, Stop};
use crate::support::service::{ADMIN_TOKEN, Service};
use crate::support::world::World;

const DEFAULT_SECONDS: u64 = 20;
const USERS: usize = 60;
const WORKERS: usize = 3;
const REPLICAS: usize = 2;
/// Users with a number divisible by this are never deleted: what is theirs must stay.
const BYSTANDER: usize = 3;
/// After the faults everything is to come to its end within this.
const QUIET: Duration = Duration::from_secs(90);
/// A request that takes longer is given up, and may have been done.
const REQUEST_LIMIT: Duration = Duration::from_secs(4);
/// A worker is stopped for longer than its lease (1.5 s).
const STOPPED: Duration = Duration::from_millis(2_200);

/// What became of a wish. A lost answer leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Live,
    Gone,
    Unknown,
}

struct Sample {
    user: usize,
    keys: Vec<String>,
    fate: Fate,
}

struct Nemesis {
    postgres: OwnPostgres,
    world: World,
    workers: Vec<Child>,
    replicas: Vec<Service>,
    random: StdRng,
    samples: BTreeMap<Uuid, Sample>,
    users: Vec<Fate>,
    /// Events by user, so that they can be sent again.
    events: HashMap<usize, String>,
    /// Keys of which nobody knows whether their row was committed.
    ambiguous: HashSet<String>,
    counts: BTreeMap<&'static str, u32>,
}

fn name(user: usize) -> String {
    format!("user_{user}")
}

impl Nemesis {
    async fn start(seed: u64) -> Self {
        let postgres = OwnPostgres::start(&[]).await;
        let world = postgres.world(postgres.url()).await;
        let mut random = StdRng::seed_from_u64(seed);
        let mut samples = BTreeMap::new();
        for user in 0..USERS {
            world.user(&name(user)).await;
            for nth in 0..random.random_range(1..=4) {
                let mut keys: Vec<String> = (0..random.random_range(1..=3))
                    .map(|image| format!("{user}/{nth}/{image}"))
                    .collect();
                // Some objects have two images, one of them a bystander's.
                if random.random_bool(0.3) {
                    keys.push(format!("shared/{}", user / BYSTANDER));
                }
                let named: Vec<&str> = keys.iter().map(String::as_str).collect();
                let id = world.sample(&name(user), &named).await;
                let fate = Fate::Live;
                samples.insert(id, Sample { user, keys, fate });
            }
            if user % BYSTANDER == 0 {
                let keys = vec![format!("shared/{}", user / BYSTANDER)];
                let id = world.sample(&name(user), &[&keys[0]]).await;
                let fate = Fate::Live;
                samples.insert(id, Sample { user, keys, fate });
            }
        }
        let mut replicas = Vec::new();
        for _ in 0..REPLICAS {
            replicas.push(replica(&world).await);
        }
        Self {
            workers: (0..WORKERS)
                .map(|_| world.process(&["worker"], &[]))
                .collect(),
            replicas,
            postgres,
            world,
            random,
            samples,
            users: vec![Fate::Live; USERS],
            events: HashMap::new(),
            ambiguous: HashSet::new(),
            counts: BTreeMap::new(),
        }
    }

    fn did(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    fn any_sample(&mut self) -> Uuid {
        let at = self.random.random_range(0..self.samples.len());
        *self.samples.keys().nth(at).unwrap()
    }

    /// One that may be deleted.
    fn any_victim(&mut self) -> usize {
        loop {
            let user = self.random.random_range(0..USERS);
            if user % BYSTANDER != 0 {
                return user;
            }
        }
    }

    async fn ask(&mut self, method: Method, path: &str) -> Option<u16> {
        let replica = self.random.random_range(0..REPLICAS);
        let request = self.replicas[replica].request(method, path, ADMIN_TOKEN);
        let answer = request.timeout(REQUEST_LIMIT).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    async fn operate(&mut self) {
        match self.random.random_range(0..100) {
            0..30 => self.delete_sample().await,
            30..45 => self.restore_sample().await,
            45..60 => self.send_event().await,
            60..65 => self.erase_as_admin().await,
            65..90 => self.add_image().await,
            _ => {
                self.did("retry of all dead");
                self.retry_dead().await;
            }
        }
    }

    async fn delete_sample(&mut self) {
        self.did("delete sample");
        let id = self.any_sample();
        if self.samples[&id].user.is_multiple_of(BYSTANDER) {
            return;
        }
        let fate = match self.ask(Method::DELETE, &format!("/samples/{id}")).await {
            Some(202) => Fate::Gone,
            Some(404 | 503) => return,
            Some(500) | None => Fate::Unknown,
            Some(other) => panic!("DELETE /samples/{id}: {other}"),
        };
        self.samples.get_mut(&id).unwrap().fate = fate;
    }

    async fn restore_sample(&mut self) {
        self.did("restore sample");
        let id = self.any_sample();
        let fate = match self
            .ask(Method::POST, &format!("/samples/{id}/restore"))
            .await
        {
            Some(200) => Fate::Live,
            Some(404 | 409 | 503) => return,
            Some(500) | None => Fate::Unknown,
            Some(other) => panic!("restore of {id}: {other}"),
        };
        let sample = self.samples.get_mut(&id).unwrap();
        // A lost answer to a restore of what lives changes nothing.
        if fate == Fate::Live || sample.fate != Fate::Live {
            sample.fate = fate;
        }
    }

    async fn send_event(&mut self) {
        self.did("webhook");
        let user = self.any_victim();
        let fresh = format!("msg_{}", Uuid::new_v4().simple());
        // Half of the time an event comes again.
        let id = match self.events.get(&user) {
            Some(id) if self.random.random_bool(0.5) => id.clone(),
            _ => fresh,
        };
        self.events.insert(user, id.clone());
        let replica = self.random.random_range(0..REPLICAS);
        let event = self.replicas[replica].user_deleted(&id, &name(user));
        let answer = event.timeout(REQUEST_LIMIT).send().await;
        match answer.map(|answer| answer.status().as_u16()) {
            Ok(204) => self.users[user] = Fate::Gone,
            Ok(503) => {}
            Ok(500) | Err(_) if self.users[user] == Fate::Live => self.users[user] = Fate::Unknown,
            Ok(500) | Err(_) => {}
            Ok(other) => panic!("webhook for {user}: {other}"),
        }
    }

    async fn erase_as_admin(&mut self) {
        self.did("erase as admin");
        let user = self.any_victim();
        match self
            .ask(Method::DELETE, &format!("/admin/users/{}", name(user)))
            .await
        {
            Some(202) => self.users[user] = Fate::Gone,
            Some(503) => {}
            Some(500) | None if self.users[user] == Fate::Live => self.users[user] = Fate::Unknown,
            Some(500) | None => {}
            Some(other) => panic!("DELETE of user {user}: {other}"),
        }
    }

    /// As an application does that knows nothing of Lethe: into whatever sample still has a row.
    async fn add_image(&mut self) {
        self.did("late image");
        let id = self.any_sample();
        let key = format!("late/{}", Uuid::new_v4().simple());
        let s3 = &self.world.s3;
        let added = async {
            let mut tx = self.world.pool.begin().await?;
            sqlx::query("insert into sample_images (sample_id, object_key) values ($1, $2)")
                .bind(id)
                .bind(&key)
                .execute(&mut *tx)
                .await?;
            s3.put(&key);
            tx.commit().await
        };
        let added: Result<(), sqlx::Error> = added.await;
        if added.is_err() && s3.contains(&key) {
            self.ambiguous.insert(key);
        } else if added.is_ok() {
            self.samples.get_mut(&id).unwrap().keys.push(key);
        }
    }

    async fn retry_dead(&mut self) -> Option<u16> {
        let replica = self.random.random_range(0..REPLICAS);
        let request =
            self.replicas[replica].request(Method::POST, "/admin/cleanup-tasks/retry", ADMIN_TOKEN);
        let body = serde_json::json!({"reason": "the nemesis has gone on", "status": "dead"});
        let answer = request
            .json(&body)
            .timeout(REQUEST_LIMIT)
            .send()
            .await
            .ok()?;
        Some(answer.status().as_u16())
    }

    async fn disturb(&mut self) {
        match self.random.random_range(0..100) {
            0..12 => {
                self.did("worker killed");
                let at = self.random.random_range(0..WORKERS);
                self.workers[at].kill().await.unwrap();
                self.workers[at] = self.world.process(&["worker"], &[]);
            }
            12..20 => {
                self.did("worker rolled");
                let at = self.random.random_range(0..WORKERS);
                signal(&self.workers[at], Signal::SIGTERM);
                let next = self.world.process(&["worker"], &[]);
                let mut old = std::mem::replace(&mut self.workers[at], next);
                old.wait().await.unwrap();
            }
            20..28 => {
                self.did("worker stopped beyond its lease");
                let at = self.random.random_range(0..WORKERS);
                signal(&self.workers[at], Signal::SIGSTOP);
                tokio::time::sleep(STOPPED).await;
                signal(&self.workers[at], Signal::SIGCONT);
            }
            28..36 => {
                self.did("API killed");
                let at = self.random.random_range(0..REPLICAS);
                self.replicas[at].kill().await;
                self.replicas[at] = replica(&self.world).await;
            }
            36..42 => {
                let how = if self.random.random_bool(0.5) {
                    Stop::Fast
                } else {
                    Stop::Immediate
                };
                self.did("PostgreSQL stopped and started");
                self.postgres.stop(how).await;
                let pause = Duration::from_millis(self.random.random_range(0..800));
                tokio::time::sleep(pause).await;
                self.postgres.start_again().await;
            }
            42..52 => {
                self.did("sessions terminated");
                let ended = sqlx::query(
                    "select pg_terminate_backend(pid) from pg_stat_activity
                     where application_name = 'lethe' and pid <> pg_backend_pid()",
                );
                // With the server just back there may be nobody to ask.
                let _ = ended.execute(&self.world.pool).await;
            }
            52..60 => {
                self.did("key refused for a while");
                let id = self.any_sample();
                let key = self.samples[&id].keys[0].clone();
                self.world.s3.fail_key(&key, "AccessDenied", Some(2));
            }
            60..66 => {
                self.did("bucket away");
                self.world.s3.fail_requests(404, "NoSuchBucket", 2);
            }
            66..74 => {
                self.did("store slows down");
                self.world.s3.fail_requests(503, "SlowDown", 6);
            }
            74..82 => {
                self.did("store fails");
                self.world.s3.fail_requests(500, "InternalError", 6);
            }
            82..90 => {
                self.did("answer cut");
                self.world.s3.cut_next(2);
            }
            90..95 => {
                self.did("empty answer");
                self.world.s3.empty_next(1);
            }
            _ => {
                self.did("store slow");
                let delay = Behaviour::Delay(Duration::from_millis(300));
                self.world.s3.next_requests(delay, Some(4));
            }
        }
    }

    /// Everything is well again, and comes to its end.
    async fn quieten(&mut self) {
        self.world.s3.behave();
        let began = Instant::now();
        loop {
            let retried = self.retry_dead().await;
            let open = self
                .world
                .count("cleanup_tasks where status <> 'completed' and status <> 'cancelled'")
                .await;
            if open == 0 {
                return;
            }
            if began.elapsed() > QUIET {
                let tasks: Vec<String> = sqlx::query_scalar(
                    "select row(id, kind, entity_id, status, attempts, lane, error_class, last_error, object_keys)::text
                     from cleanup_tasks where finished_at is null order by id limit 20",
                )
                .fetch_all(&self.world.pool)
                .await
                .unwrap();
                panic!("{open} tasks do not end (last retry: {retried:?}): {tasks:#?}");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn judge(&self) {
        let rows: Vec<(Uuid, String, bool)> = sqlx::query_as(
            "select s.id, i.object_key, s.deleted_at is null
             from samples s join sample_images i on i.sample_id = s.id",
        )
        .fetch_all(&self.world.pool)
        .await
        .unwrap();
        let users: HashSet<String> = column(&self.world, "select id from users").await;
        let samples: HashSet<Uuid> = sqlx::query_scalar("select id from samples")
            .fetch_all(&self.world.pool)
            .await
            .unwrap()
            .into_iter()
            .collect();
        let objects: HashSet<String> = self.world.s3.keys().into_iter().collect();
        let named: HashSet<&str> = rows.iter().map(|(_, key, _)| key.as_str()).collect();
        let audited: HashSet<String> = column(
            &self.world,
            "select distinct unnest(object_keys) from cleanup_audit",
        )
        .await;

        for (sample, key, live) in &rows {
            assert!(
                live,
                "sample {sample} is soft-deleted, and nobody has it to do"
            );
            assert!(
                objects.contains(key),
                "a live row names {key}, and the object is gone"
            );
        }
        for key in &objects {
            assert!(
                named.contains(key.as_str()) || self.ambiguous.contains(key),
                "{key} is in the store, and no row names it"
            );
        }
        for (user, fate) in self.users.iter().enumerate() {
            match fate {
                Fate::Live => assert!(users.contains(&name(user)), "{user} lived"),
                Fate::Gone => assert!(!users.contains(&name(user)), "{user} was to go"),
                Fate::Unknown => {}
            }
        }
        for (id, sample) in &self.samples {
            let there = samples.contains(id);
            match (self.users[sample.user], sample.fate) {
                (Fate::Gone, _) | (_, Fate::Gone) => assert!(!there, "sample {id} was to go"),
                (Fate::Live, Fate::Live) => assert!(there, "sample {id} lived"),
                _ => {}
            }
            for key in &sample.keys {
                let gone_and_not_told = !objects.contains(key) && !audited.contains(key);
                assert!(
                    !gone_and_not_told,
                    "{key} is gone, and the audit does not say so"
                );
            }
        }
        for (what, sql) in [
            (
                "completed twice",
                "(select task_id from cleanup_audit where event = 'task-completed' group by task_id having count(*) > 1) x",
            ),
            (
                "erased twice",
                "(select entity_id from cleanup_tasks where kind = 'user-delete' group by entity_id having count(*) > 1) x",
            ),
            (
                "an erasure that the audit does not end",
                "cleanup_tasks t where kind = 'user-delete' and not exists (select from cleanup_audit a where a.task_id = t.id and a.event = 'user-erased')",
            ),
            (
                "a deletion that nobody asked for",
                "cleanup_tasks t where parent_id is null and not exists (select from cleanup_audit a where a.task_id = t.id and a.event like '%-requested')",
            ),
        ] {
            assert_eq!(self.world.count(sql).await, 0, "{what}");
        }
        for user in self
            .users
            .iter()
            .enumerate()
            .filter(|(_, fate)| **fate == Fate::Gone)
        {
            let path = format!("/admin/users/{}/erasure", name(user.0));
            let receipt = self.replicas[0].get(&path).await;
            assert_eq!(receipt["status"], "complete", "{receipt}");
        }
    }

    async fn tell(&self, seed: u64, began: Instant) {
        let erased = self
            .world
            .count("cleanup_audit where event = 'user-erased'")
            .await;
        let samples = self
            .world
            .count("cleanup_audit where cardinality(sample_ids) > 0")
            .await;
        let objects: i64 = self
            .world
            .one("select coalesce(sum(objects_deleted), 0)::bigint from cleanup_audit")
            .await;
        println!(
            "nemesis, seed {seed}: {:.0} s; {:?}; {erased} users erased, {samples} settles with samples, {objects} objects deleted",
            began.elapsed().as_secs_f64(),
            self.counts
        );
    }
}

async fn replica(world: &World) -> Service {
    Service::start_with(world, &[("CLEANUP_GRACE_PERIOD_MS", "700")]).await
}

fn signal(process: &Child, signal: Signal) {
    let pid = i32::try_from(process.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

async fn column(world: &World, sql: &'static str) -> HashSet<String> {
    let rows: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&world.pool)
        .await
        .unwrap();
    rows.into_iter().collect()
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
    nemesis.quieten().await;
    nemesis.judge().await;
    nemesis.tell(seed, began).await;
}

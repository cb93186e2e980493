//! What breaks on the worker's side: processes stopped, killed, rolled, and with a wrong clock. The figures
//! of docs/reliability.md are what these tests print.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;

use crate::support::hostile_s3::Behaviour;
use crate::support::world::{Log, PATIENCE, World};

/// What `World` gives its processes.
const LEASE: Duration = Duration::from_millis(1500);
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The longest backoff of a crash, and a machine that does other things besides.
const SLACK: Duration = Duration::from_millis(2300);

fn send(process: &Child, signal: Signal) {
    let pid = i32::try_from(process.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// A worker whose one task is at the store: the object is gone, and the answer withheld.
async fn worker_at_the_store(world: &World, log: &Log) -> (Child, i64) {
    world.user("user_a").await;
    let sample = world.sample("user_a", &["a/1"]).await;
    let task = world.delete_sample(sample).await;
    world.s3.hold();
    let worker = world.logged(&["worker"], &[], log);
    let started = Instant::now();
    while world.s3.contains("a/1") {
        assert!(started.elapsed() < PATIENCE, "{}", log.text());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (worker, task)
}

async fn assert_completed_once(world: &World, task: i64) {
    let completions = format!("lethe.audit where event = 'task-completed' and task_id = {task}");
    world.expect_rows(&completions, 1).await;
    world.expect_rows("samples", 0).await;
    assert!(world.s3.keys().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_task_of_a_killed_worker_is_taken_up_within_lease_and_poll_interval() {
    let world = World::new().await;
    let log = Log::new();
    let (mut victim, task) = worker_at_the_store(&world, &log).await;
    let _successor = world.process(&["worker"], &[]);
    world
        .until("(select count(*) = 2 from lethe.cleanup_workers where lost_at is null)")
        .await;
    victim.kill().await.unwrap();
    world.s3.release();
    let killed = Instant::now();
    world.until_status(task, "completed").await;
    let taken_up = killed.elapsed();
    assert!(
        taken_up < LEASE + POLL_INTERVAL + SLACK,
        "taken up after {taken_up:?}"
    );
    assert_completed_once(&world, task).await;
    println!("killed: its task completed by another {taken_up:?} later");
}

/// From now on the kernel gives this process no memory. With a limit of the address space too, it would let the
/// heap grow into what is reserved for it.
async fn starve(process: &Child) {
    let pid = process.id().unwrap().to_string();
    let mut command = tokio::process::Command::new("prlimit");
    command.args(["--pid", &pid, "--data=1"]);
    let limited = command.output().await.expect("prlimit, of util-linux");
    assert!(limited.status.success(), "{limited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tasks_of_a_worker_without_memory_are_taken_up_by_another() {
    const MORE: i32 = 2000;
    let world = World::new().await;
    let log = Log::new();
    let (mut victim, task) = worker_at_the_store(&world, &log).await;
    starve(&victim).await;
    // What it claims now does not fit into what it has.
    let long = format!("{}/", "k".repeat(900));
    world.samples("user_a", &long, MORE).await;
    world
        .execute("select lethe.delete_sample(id, 'test') from samples where deleted_at is null")
        .await;
    let status = tokio::time::timeout(PATIENCE, victim.wait()).await;
    let status = status.unwrap_or_else(|_| panic!("it lives on:\n{}", log.text()));
    let died = Instant::now();
    assert_eq!(
        status.unwrap().signal(),
        Some(Signal::SIGABRT as i32),
        "{}",
        log.text()
    );
    let said = log.text();
    assert!(said.contains("memory allocation of"), "{said}");
    let _successor = world.process(&["worker"], &[]);
    world.s3.release();
    world.until_status(task, "completed").await;
    let taken_up = died.elapsed();
    assert!(
        taken_up < LEASE + POLL_INTERVAL + SLACK,
        "taken up after {taken_up:?}"
    );
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    assert_completed_once(&world, task).await;
    let completed = world
        .count("lethe.audit where event = 'task-completed'")
        .await;
    assert_eq!(completed, i64::from(MORE) + 1, "each of them once");
    let crashes = format!(
        "lethe.audit where event = 'task-failed' and error_class = 'crash' and task_id = {task}"
    );
    world.expect_rows(&crashes, 1).await;
    let held = world.count("lethe.tasks where attempts = 2").await;
    world.expect_rows("lethe.tasks where attempts > 2", 0).await;
    println!(
        "out of memory: the task at the store completed by another {taken_up:?} later, {held} tasks \
         with one attempt more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_beyond_its_lease_changes_nothing_and_goes_on_under_a_new_id() {
    let world = World::new().await;
    let log = Log::new();
    let (stopped, task) = worker_at_the_store(&world, &log).await;
    let old_id: String = world.one("select id from lethe.cleanup_workers").await;
    send(&stopped, Signal::SIGSTOP);
    let since = Instant::now();
    let mut other = world.process(&["worker"], &[]);
    world
        .until(&format!(
            "(select lost_at is not null from lethe.cleanup_workers where id = '{old_id}')"
        ))
        .await;
    world.s3.release();
    world.until_status(task, "completed").await;
    let taken_up = since.elapsed();
    assert!(
        taken_up < LEASE + POLL_INTERVAL + SLACK,
        "taken up after {taken_up:?}"
    );
    let settled: String = world
        .one(&format!(
            "select t::text from lethe.tasks t where id = {task}"
        ))
        .await;

    send(&stopped, Signal::SIGCONT);
    log.until("this worker no longer holds the task; this try does not change it")
        .await;
    log.until("re-registered under a new id").await;
    let now: String = world
        .one(&format!(
            "select t::text from lethe.tasks t where id = {task}"
        ))
        .await;
    assert_eq!(settled, now, "the fence holds");
    assert_completed_once(&world, task).await;

    other.kill().await.unwrap();
    let sample = world.sample("user_a", &["a/2"]).await;
    let next = world.delete_sample(sample).await;
    world.until_status(next, "completed").await;
    let worker: String = world
        .one(&format!(
            "select worker from lethe.audit where event = 'task-completed' and task_id = {next}"
        ))
        .await;
    assert_ne!(worker, old_id);
    println!("stopped: its task completed by another {taken_up:?} later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_sigterm_ends_at_once_and_nothing_is_lost() {
    let world = World::new().await;
    let log = Log::new();
    let (mut worker, task) = worker_at_the_store(&world, &log).await;
    send(&worker, Signal::SIGTERM);
    log.until("a second signal exits at once").await;
    assert!(worker.try_wait().unwrap().is_none(), "work is in flight");
    send(&worker, Signal::SIGTERM);
    let asked = Instant::now();
    let status = worker.wait().await.unwrap();
    let ended = asked.elapsed();
    assert_eq!(status.code(), Some(143), "128 and the signal's number");
    assert!(ended < Duration::from_secs(1), "ended after {ended:?}");
    world.s3.release();
    assert_eq!(world.status(task).await, "running");
    let _successor = world.process(&["worker"], &[]);
    world.until_status(task, "completed").await;
    assert_completed_once(&world, task).await;
    println!("second SIGTERM: ended after {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_fleet_uses_up_no_attempt() {
    const FLEET: usize = 3;
    const ROUNDS: usize = 2;
    let small = [("CLEANUP_CLAIM_BATCH", "5"), ("CLEANUP_CONCURRENCY", "4")];
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 3000).await;
    let slow = Behaviour::Delay(Duration::from_millis(50));
    world.s3.next_requests(slow, None);
    world
        .execute("select lethe.delete_sample(id, 'test') from samples")
        .await;
    let mut fleet: std::collections::VecDeque<Child> = (0..FLEET)
        .map(|_| world.process(&["worker"], &small))
        .collect();
    let mut slowest = Duration::ZERO;
    for rolled in 0..FLEET * ROUNDS {
        let seen = (rolled + 1) * 150;
        world
            .until(&format!(
                "(select count(*) >= {seen} from lethe.tasks where status = 'completed')"
            ))
            .await;
        fleet.push_back(world.process(&["worker"], &small));
        let mut old = fleet.pop_front().unwrap();
        send(&old, Signal::SIGTERM);
        let asked = Instant::now();
        assert!(old.wait().await.unwrap().success());
        slowest = slowest.max(asked.elapsed());
    }
    assert!(
        world.count("lethe.tasks where status <> 'completed'").await > 0,
        "work must be in flight to the last"
    );
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    world
        .expect_rows("lethe.tasks where attempts <> 1", 0)
        .await;
    world
        .expect_rows("lethe.audit where event = 'task-completed'", 3000)
        .await;
    assert!(world.s3.keys().is_empty());
    println!(
        "fleet of {FLEET} rolled {ROUNDS} times: no attempt used up, slowest exit {slowest:?}"
    );
}

/// Debian's place for it.
fn libfaketime() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.exists());
    found.expect("libfaketime is missing: apt-get install --no-install-recommends faketime")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_an_hour_off_changes_nothing() {
    let world = World::new().await;
    world.user("user_a").await;
    world.samples("user_a", "a/", 600).await;
    world.s3.fail_key("a/7", "InternalError", Some(2));
    let library = libfaketime();
    let off = |by: &'static str| {
        [
            ("LD_PRELOAD", library.to_str().unwrap()),
            ("FAKETIME", by),
            // A wrong wall clock, on which the monotonic one does not depend.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ("CLEANUP_CLAIM_BATCH", "5"),
            // A busy machine is not to be taken for a dead worker.
            ("CLEANUP_LEASE_MS", "10000"),
            ("LOG_FORMAT", "json"),
        ]
    };
    let logs = [Log::new(), Log::new()];
    let _ahead = world.logged(&["worker"], &off("+3600s"), &logs[0]);
    let _behind = world.logged(&["worker"], &off("-3600s"), &logs[1]);
    let _right = world.process(&["worker"], &off("+0s"));
    world
        .until("(select count(*) = 3 from lethe.cleanup_workers where lost_at is null)")
        .await;
    for (log, sign) in logs.iter().zip([1, -1]) {
        log.until("\n").await;
        let text = log.text();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        let said: chrono::DateTime<chrono::Utc> =
            line["timestamp"].as_str().unwrap().parse().unwrap();
        let minutes = (said - chrono::Utc::now()).num_minutes() * sign;
        assert!(
            (58..=60).contains(&minutes),
            "the clock is off by {minutes} min"
        );
    }
    world
        .s3
        .next_requests(Behaviour::Delay(Duration::from_millis(20)), None);
    let asked = Instant::now();
    world
        .execute("select lethe.delete_sample(id, 'test') from samples")
        .await;
    world
        .until("not exists (select from lethe.tasks where status <> 'completed')")
        .await;
    let took = asked.elapsed();
    // Only the key that failed was tried again.
    world
        .expect_rows("lethe.tasks where attempts <> 1 and object_keys = '{}'", 1)
        .await;
    // The database's clock decides.
    world
        .expect_rows(
            "lethe.tasks where finished_at > now() or finished_at < created_at",
            0,
        )
        .await;
    assert_eq!(
        world
            .count("lethe.cleanup_workers where lost_at is not null")
            .await,
        0,
        "{}\n{}",
        logs[0].text(),
        logs[1].text()
    );
    let by: i64 = world
        .one("select count(distinct worker) from lethe.audit where event = 'task-completed'")
        .await;
    assert_eq!(by, 3, "each of them works");
    assert!(world.s3.keys().is_empty());
    println!("clocks an hour ahead and behind: 600 tasks in {took:?}");
}

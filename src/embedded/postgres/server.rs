//! The server's process: starting it, knowing that it answers, ending it.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Connection;
use tokio::time::{Instant, sleep, timeout};

use super::binaries::Binaries;
use super::guardian::Guardian;
use super::home::Home;
use super::{POLL, PostgresError, PostgresOptions, command};

/// Covers the recovery after a crash.
const START_LIMIT: Duration = Duration::from_secs(60);
/// One connection attempt while the server starts.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// A fast shutdown (SIGINT) ends all sessions and writes a checkpoint.
const FAST_STOP_LIMIT: Duration = Duration::from_secs(10);
/// An immediate shutdown (SIGQUIT) writes nothing; the next start recovers.
const IMMEDIATE_STOP_LIMIT: Duration = Duration::from_secs(5);

/// Settings that trade safety after a crash for speed. Only for data nobody misses.
const NOT_DURABLE: [(&str, &str); 3] = [
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("synchronous_commit", "off"),
];

/// The port asked for, if it is free, or any free one. Another process may still take it before
/// the server does.
pub(super) fn choose_port(asked: Option<u16>) -> Result<u16, PostgresError> {
    let failed = |error: io::Error| match asked {
        Some(port) if error.kind() == io::ErrorKind::AddrInUse => PostgresError::PortTaken(port),
        _ => PostgresError::Directory {
            path: "127.0.0.1".into(),
            source: error,
        },
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, asked.unwrap_or(0))).map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.port())
}

/// Whether what the log says passes by itself: a port just taken, or the last session of a
/// killed server, which ends within moments.
pub(super) fn passes(tail: &str) -> bool {
    tail.contains("Address already in use") || tail.contains("pre-existing shared memory block")
}

/// Starts a server and its guardian, and waits until it answers.
pub(super) async fn launch(
    binaries: &Binaries,
    home: &Home,
    port: u16,
    options: &PostgresOptions,
) -> Result<(Child, Guardian), PostgresError> {
    let run = |source| PostgresError::Run {
        program: binaries.postgres(),
        source,
    };
    let log = home.open_log()?;
    let log_start = log.metadata().map_or(0, |metadata| metadata.len());
    let mut postgres = command(binaries.postgres(), home.account.as_ref());
    postgres
        .arg("-D")
        .arg(home.cluster())
        .args(["-p", &port.to_string()])
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ])
        .args([
            "-c",
            "logging_collector=off",
            "-c",
            "log_destination=stderr",
        ])
        .stdout(log.try_clone().map_err(run)?)
        .stderr(log)
        // A Ctrl-C at the terminal must not stop the database before Lethe has stopped.
        .process_group(0);
    let fast = NOT_DURABLE.iter().filter(|_| !options.durable);
    for (name, value) in fast {
        postgres.arg("-c").arg(format!("{name}={value}"));
    }
    for (name, value) in &options.settings {
        postgres.arg("-c").arg(format!("{name}={value}"));
    }
    let mut server = postgres.spawn().map_err(run)?;
    let remove: &[&Path] = if options.temporary {
        &[&home.directory, &home.asked]
    } else {
        &[]
    };
    let guardian = match Guardian::watch(server.id(), &home.cluster(), remove) {
        Ok(guardian) => guardian,
        Err(source) => {
            let _ = stop(&mut server).await;
            return Err(PostgresError::Run {
                program: "/bin/sh".into(),
                source,
            });
        }
    };
    match ready(&mut server, home, port, log_start).await {
        Ok(()) => Ok((server, guardian)),
        Err(error) => {
            let _ = stop(&mut server).await;
            guardian.release();
            Err(error)
        }
    }
}

/// Waits until the server answers a connection with our password.
async fn ready(
    server: &mut Child,
    home: &Home,
    port: u16,
    log_start: u64,
) -> Result<(), PostgresError> {
    let deadline = Instant::now() + START_LIMIT;
    let mut last = None;
    while Instant::now() < deadline {
        if let Ok(Some(status)) = server.try_wait() {
            let tail = home.log_tail(log_start);
            return Err(PostgresError::Ended {
                status,
                log: home.log(),
                tail,
            });
        }
        match timeout(CONNECT_LIMIT, home.connect(port)).await {
            Ok(Ok(connection)) => {
                // The answer is what counts; a close that fails changes nothing.
                let _ = connection.close().await;
                return Ok(());
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => {}
        }
        sleep(POLL).await;
    }
    Err(PostgresError::NotReady {
        log: home.log(),
        source: last,
    })
}

/// Ends our own server, step by step harder.
pub(super) async fn stop(server: &mut Child) -> Result<(), PostgresError> {
    let pid = server.id();
    for (signal, limit) in [
        (Signal::SIGINT, FAST_STOP_LIMIT),
        (Signal::SIGQUIT, IMMEDIATE_STOP_LIMIT),
    ] {
        if let Ok(Some(_)) = server.try_wait() {
            return Ok(());
        }
        send(pid.cast_signed(), signal);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Ok(Some(_)) = server.try_wait() {
                return Ok(());
            }
            sleep(POLL).await;
        }
        tracing::warn!(pid, %signal, "PostgreSQL did not stop in time");
    }
    let _ = server.kill();
    server
        .wait()
        .map(|_| ())
        .map_err(|_| PostgresError::NotStopped(pid))
}

/// Stops the server that a killed Lethe left in this cluster. We hold the directory's lock, so it
/// is nobody's.
pub(super) async fn stop_stale(cluster: &Path) -> Result<(), PostgresError> {
    let pid_file = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&pid_file) else {
        return Ok(());
    };
    let pid = text
        .lines()
        .next()
        .and_then(|line| line.trim().parse::<i32>().ok());
    let Some(pid) = pid.filter(|pid| *pid > 1) else {
        return Ok(());
    };
    if !is_postmaster_of(pid, cluster) {
        // The id may belong to somebody else by now, and PostgreSQL would refuse to start.
        let _ = fs::remove_file(&pid_file);
        return Ok(());
    }
    tracing::info!(pid, cluster = %cluster.display(), "stopping the PostgreSQL of a killed run");
    for (signal, limit) in [
        (Signal::SIGINT, FAST_STOP_LIMIT),
        (Signal::SIGQUIT, IMMEDIATE_STOP_LIMIT),
    ] {
        send(pid, signal);
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if !is_postmaster_of(pid, cluster) {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    Err(PostgresError::StaleServer {
        pid,
        path: cluster.to_owned(),
    })
}

fn send(pid: i32, signal: Signal) {
    // A signal that did not arrive is noticed by the wait for the end of the process.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// Whether the process is the server of this very cluster: a postmaster works in its cluster's
/// directory. Without `/proc`, the command line says so, as we always pass `-D`.
fn is_postmaster_of(pid: i32, cluster: &Path) -> bool {
    if Path::new("/proc/self/cwd").exists() {
        return fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path == cluster);
    }
    let listed = Command::new("ps")
        .args(["-o", "command=", "-p", &pid.to_string()])
        .output();
    listed.is_ok_and(|listed| {
        String::from_utf8_lossy(&listed.stdout).contains(&*cluster.to_string_lossy())
    })
}

//! What goes wrong meanwhile.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::RngExt as _;
use tokio::process::Child;

use super::{Nemesis, REPLICAS, WORKERS, replica};
use crate::support::hostile_s3::Behaviour;
use crate::support::own_postgres::Stop;

/// A worker is stopped for longer than its lease (1.5 s).
const STOPPED: Duration = Duration::from_millis(2_200);

impl Nemesis {
    pub async fn disturb(&mut self) {
        match self.random.random_range(0..100) {
            0..12 => {
                self.did("worker killed");
                let at = self.random.random_range(0..WORKERS);
                self.workers[at].kill().await.unwrap();
                self.workers[at] = self.start_worker();
            }
            12..20 => {
                self.did("worker rolled");
                let at = self.random.random_range(0..WORKERS);
                signal(&self.workers[at], Signal::SIGTERM);
                let next = self.start_worker();
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
                let at = self.any_sample();
                let key = self.samples[at].keys[0].clone();
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
            82..94 => {
                self.did("answer spoilt");
                let spoilt = [
                    Behaviour::LeaveOut,
                    Behaviour::CutBody,
                    Behaviour::BreakBody,
                    Behaviour::EmptyResult,
                    Behaviour::NoBody,
                    Behaviour::Garbage,
                    Behaviour::Drop,
                ];
                let which = self.random.random_range(0..spoilt.len());
                self.world.s3.next_requests(spoilt[which].clone(), Some(2));
            }
            94..95 => {
                self.did("PostgreSQL silent");
                self.proxy.vanish();
                let silence = self.random.random_range(200..3_000);
                tokio::time::sleep(Duration::from_millis(silence)).await;
                self.proxy.come_back();
            }
            _ => {
                self.did("store slow");
                let delay = Behaviour::Delay(Duration::from_millis(300));
                self.world.s3.next_requests(delay, Some(4));
            }
        }
    }
}

fn signal(process: &Child, signal: Signal) {
    let pid = i32::try_from(process.id().unwrap()).unwrap();
    kill(Pid::from_raw(pid), signal).unwrap();
}

//! What people, Clerk and admins ask for while it goes on.

use std::time::Duration;

use rand::RngExt as _;
use reqwest::Method;
use uuid::Uuid;

use super::application::{Fate, Sample, is_bystander, name};
use super::{Nemesis, REPLICAS};
use crate::support::service::ADMIN_TOKEN;

/// A request that takes longer is given up, and may have been done.
const REQUEST_LIMIT: Duration = Duration::from_secs(4);

impl Nemesis {
    async fn ask(&mut self, method: Method, path: &str) -> Option<u16> {
        let replica = self.random.random_range(0..REPLICAS);
        let request = self.replicas[replica].request(method, path, ADMIN_TOKEN);
        let answer = request.timeout(REQUEST_LIMIT).send().await.ok()?;
        Some(answer.status().as_u16())
    }

    pub async fn operate(&mut self) {
        match self.random.random_range(0..100) {
            0..25 => self.delete_sample().await,
            25..38 => self.restore_sample().await,
            38..50 => self.send_event().await,
            50..54 => self.erase_as_admin().await,
            54..74 => self.add_image().await,
            74..86 => self.sign_up().await,
            86..90 => self.mark_sample().await,
            90..96 => self.hold_a_row().await,
            _ => {
                self.did("retry of all dead");
                self.retry_dead().await;
            }
        }
    }

    async fn delete_sample(&mut self) {
        self.did("delete sample");
        let at = self.any_sample();
        let Sample { id, user, .. } = self.samples[at];
        if is_bystander(user) {
            return;
        }
        let fate = match self.ask(Method::DELETE, &format!("/samples/{id}")).await {
            Some(202) => Fate::Gone,
            Some(404 | 503) => return,
            Some(500) | None => Fate::Unknown,
            Some(other) => panic!("DELETE /samples/{id}: {other}"),
        };
        self.samples[at].fate = fate;
    }

    async fn restore_sample(&mut self) {
        self.did("restore sample");
        let at = self.any_sample();
        let id = self.samples[at].id;
        let fate = match self
            .ask(Method::POST, &format!("/samples/{id}/restore"))
            .await
        {
            Some(200) => Fate::Live,
            Some(404 | 409 | 503) => return,
            Some(500) | None => Fate::Unknown,
            Some(other) => panic!("restore of {id}: {other}"),
        };
        let sample = &mut self.samples[at];
        // A lost answer to a restore of what lives changes nothing.
        if fate == Fate::Live || sample.fate != Fate::Live {
            sample.fate = fate;
        }
        if fate == Fate::Live {
            self.expect_restored(at).await;
        }
    }

    async fn send_event(&mut self) {
        self.did("webhook");
        let user = self.any_victim();
        let fresh = format!("msg_{}", Uuid::from_u128(self.random.random()).simple());
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
        let at = self.any_sample();
        let id = self.samples[at].id;
        let key = format!("late/{}", Uuid::from_u128(self.random.random()).simple());
        let s3 = &self.world.s3;
        s3.put(&key);
        let added = async {
            let mut tx = self.world.pool.begin().await?;
            sqlx::query("insert into sample_images (sample_id, object_key) values ($1, $2)")
                .bind(id)
                .bind(&key)
                .execute(&mut *tx)
                .await?;
            tx.commit().await
        };
        let added: Result<(), sqlx::Error> = added.await;
        if added.is_ok() {
            self.samples[at].keys.push(key);
        } else {
            self.ambiguous.insert(key);
        }
    }

    pub async fn retry_dead(&mut self) -> Option<u16> {
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
}

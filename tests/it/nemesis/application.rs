//! The application beside Lethe: its users, samples and objects, and what is known of their fate.

use rand::RngExt as _;
use uuid::Uuid;

use super::Nemesis;
use super::hostile::PLACEHOLDER;

/// Users with a number divisible by this are never deleted: what is theirs must stay.
const BYSTANDER: usize = 3;
/// Operations choose among so many of the latest, so that they go on meeting what lives.
const LATEST_USERS: usize = 100;
const LATEST_SAMPLES: usize = 250;
/// Images of a user with many: two parts of an erasure.
const MANY: usize = 1_200;
/// Images of a sample with many.
const MANY_OF_SAMPLE: usize = 120;

/// What became of a wish. A lost answer leaves it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Live,
    Gone,
    Unknown,
}

pub struct Sample {
    pub id: Uuid,
    pub user: usize,
    pub keys: Vec<String>,
    pub fate: Fate,
}

pub fn name(user: usize) -> String {
    format!("user_{user}")
}

pub fn is_bystander(user: usize) -> bool {
    user.is_multiple_of(BYSTANDER)
}

/// An object that a bystander has too.
fn shared_key(user: usize) -> String {
    format!("shared/{}", user / BYSTANDER)
}

impl Nemesis {
    /// A user with samples, and now and then with many. It is there when this returns.
    pub async fn sign_up(&mut self) {
        self.did("sign-up");
        let user = self.users.len();
        let mut of_user = Vec::new();
        if !is_bystander(user) && self.random.random_bool(0.03) {
            self.did("sign-up with many images");
            let keys = (0..MANY).map(|n| format!("{user}/many/{n}")).collect();
            of_user.push(self.new_sample(user, keys));
        }
        for nth in 0..self.random.random_range(1..=4) {
            let images = match self.random.random_range(0..100) {
                0..4 => MANY_OF_SAMPLE,
                _ => self.random.random_range(1..=3),
            };
            let mut keys: Vec<String> = (0..images)
                .map(|image| format!("{user}/{nth}/{image}"))
                .collect();
            if self.random.random_bool(0.3) {
                keys.push(shared_key(user));
            }
            if self.random.random_bool(0.2) {
                keys.push(PLACEHOLDER.to_owned());
            }
            of_user.push(self.new_sample(user, keys));
        }
        if is_bystander(user) {
            let keys = vec![shared_key(user), PLACEHOLDER.to_owned()];
            of_user.push(self.new_sample(user, keys));
        }
        for key in of_user.iter().flat_map(|sample| &sample.keys) {
            self.world.s3.put(key);
        }
        while self.insert(user, &of_user).await.is_err() && !self.is_there(user).await {}
        self.users.push(Fate::Live);
        self.samples.extend(of_user);
    }

    fn new_sample(&mut self, user: usize, keys: Vec<String>) -> Sample {
        let id = Uuid::from_u128(self.random.random());
        let fate = Fate::Live;
        Sample {
            id,
            user,
            keys,
            fate,
        }
    }

    async fn insert(&self, user: usize, samples: &[Sample]) -> Result<(), sqlx::Error> {
        let mut tx = self.world.pool.begin().await?;
        sqlx::query("insert into users (id, email) values ($1, $1 || '@example.com')")
            .bind(name(user))
            .execute(&mut *tx)
            .await?;
        sqlx::query("insert into collections (user_id, name) values ($1, 'c')")
            .bind(name(user))
            .execute(&mut *tx)
            .await?;
        for sample in samples {
            sqlx::query("insert into samples (id, user_id, name) values ($1, $2, 's')")
                .bind(sample.id)
                .bind(name(user))
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "insert into sample_images (sample_id, object_key) select $1, unnest($2::text[])",
            )
            .bind(sample.id)
            .bind(&sample.keys)
            .execute(&mut *tx)
            .await?;
        }
        tx.commit().await
    }

    async fn is_there(&self, user: usize) -> bool {
        loop {
            let found = sqlx::query_scalar("select exists (select from users where id = $1)")
                .bind(name(user))
                .fetch_one(&self.world.pool)
                .await;
            if let Ok(found) = found {
                return found;
            }
        }
    }

    pub fn any_sample(&mut self) -> usize {
        let count = self.samples.len();
        self.random
            .random_range(count.saturating_sub(LATEST_SAMPLES)..count)
    }

    /// One that may be deleted.
    pub fn any_victim(&mut self) -> usize {
        let count = self.users.len();
        loop {
            let user = self
                .random
                .random_range(count.saturating_sub(LATEST_USERS)..count);
            if !is_bystander(user) {
                return user;
            }
        }
    }
}

//! The application: its own tables beside Lethe's, and what it does to Lethe's rows. Each fault is switched on by
//! the test that wants it.

use std::ops::Deref;
use std::time::{Duration, Instant};

use lethe::worker::Cleanup;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use uuid::Uuid;

use crate::check::role_with_listed_rights;
use crate::support::world::{RunningWorker, World, quick};

/// How soon an erasure must be done that has nothing to do with the fault beside it.
pub const UNRELATED_LIMIT: Duration = Duration::from_secs(5);
/// How soon everything must be done that a fault leaves possible, on a busy machine.
pub const DONE_LIMIT: Duration = Duration::from_secs(25);
/// Samples of one image each that fill every slot of a worker: 8 requests of 1,000 keys, and some more.
pub const FILLS_EVERY_SLOT: i32 = 8_500;

/// The tables of the built-in map.
pub const TABLES: [&str; 4] = ["users", "collections", "samples", "sample_images"];

/// The application's own tables. No foreign key has an index.
const OWN_TABLES: &str = "
    create table public.comments (body text, sample_id uuid);
    create table public.likes (image_id uuid);
    create table public.boards (collection_id uuid);
    create table public.logins (user_id text);
    insert into public.users (id) values ('user_keep');
    insert into public.collections (user_id, name) values ('user_keep', 'keep');
    insert into public.samples (user_id, collection_id, name) select 'user_keep', id, 'keep' from public.collections;
    insert into public.sample_images (sample_id, object_key) select id, 'keep/1' from public.samples;
    insert into public.comments select 'nice', id from public.samples, generate_series(1, 2000);
    insert into public.likes select id from public.sample_images, generate_series(1, 2000);
    insert into public.boards select id from public.collections, generate_series(1, 2000);
    insert into public.logins select 'user_keep' from generate_series(1, 2000);
    alter table public.comments add constraint comments_sample_id_fkey foreign key (sample_id) references public.samples;
    alter table public.likes add constraint likes_image_id_fkey foreign key (image_id) references public.sample_images;
    alter table public.boards add constraint boards_collection_id_fkey foreign key (collection_id) references public.collections;
    alter table public.logins add constraint logins_user_id_fkey foreign key (user_id) references public.users;";

/// Finished tasks too. Where the schema has no such view, every task stands in `cleanup_tasks`.
const TASKS_VIEW: &str = "do $$ begin
    if to_regclass('lethe.tasks') is null then
        create view lethe.tasks as select * from lethe.cleanup_tasks;
    end if;
end $$";

/// What a trigger of the application does for each row that is deleted.
#[derive(Clone, Copy, Debug)]
pub enum Mischief {
    /// Takes this many seconds.
    Sleep(f64),
    /// Refuses, with an error.
    Raise,
    /// Refuses, without a word: the row stays.
    ReturnNull,
}

/// The role of Lethe's processes.
#[derive(Clone, Copy, Debug)]
pub enum Role {
    /// Exactly the rights that are documented.
    Documented,
    /// The same, and it sees every row.
    BypassesRowSecurity,
    /// It owns every table and function, and is no superuser.
    Owner,
}

pub struct Application {
    world: World,
    /// The superuser's address; `world.url` may become that of a role.
    admin_url: String,
}

impl Deref for Application {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl Application {
    pub async fn new() -> Self {
        let world = World::new().await;
        sqlx::raw_sql(TASKS_VIEW)
            .execute(&world.pool)
            .await
            .unwrap();
        sqlx::raw_sql(OWN_TABLES)
            .execute(&world.pool)
            .await
            .unwrap();
        world.s3.put("keep/1");
        let admin_url = world.url.clone();
        Self { world, admin_url }
    }

    /// So many comments on the sample that stays.
    pub async fn comments(&self, count: i32) {
        self.execute("alter table comments drop constraint comments_sample_id_fkey")
            .await;
        self.execute(&format!(
            "insert into comments select 'more', id from samples where name = 'keep' union all
             select 'more', s.id from samples s, generate_series(2, {count}) where s.name = 'keep'"
        ))
        .await;
        self.execute(
            "alter table comments add constraint comments_sample_id_fkey foreign key (sample_id) references samples",
        )
        .await;
    }

    /// A trigger before the deletion of each row of a table for which `condition` (on `old`) holds.
    pub async fn mischief(&self, table: &str, mischief: Mischief, condition: &str) {
        let body = match mischief {
            Mischief::Sleep(seconds) => format!("perform pg_sleep({seconds}); return old;"),
            Mischief::Raise => {
                "raise exception 'the application keeps % of %', old.id, tg_table_name;".to_owned()
            }
            Mischief::ReturnNull => "return null;".to_owned(),
        };
        for sql in [
            format!(
                "create or replace function public.mischief_{table}() returns trigger language plpgsql as $$ begin {body} end $$"
            ),
            format!(
                "create trigger mischief before delete on public.{table} for each row when ({condition}) execute function public.mischief_{table}()"
            ),
        ] {
            self.execute(&sql).await;
        }
    }

    pub async fn no_more_mischief(&self, table: &str) {
        self.execute(&format!("drop trigger mischief on public.{table}"))
            .await;
    }

    /// One key in so many rows of images that live, 100 in each sample.
    pub async fn placeholder(&self, key: &str, rows: i32) {
        self.s3.put(key);
        self.execute(&format!(
            "with s as (insert into samples (user_id) select 'user_keep' from generate_series(1, {rows} / 100) returning id)
             insert into sample_images (sample_id, object_key) select id, '{key}' from s, generate_series(1, 100)"
        ))
        .await;
    }

    /// A transaction of another session, which has run this statement and stays open.
    pub async fn hold(&self, sql: &str) -> Held {
        let mut session = PgConnection::connect(&self.admin_url).await.unwrap();
        for statement in ["begin", sql] {
            sqlx::query(AssertSqlSafe(statement.to_owned()))
                .execute(&mut session)
                .await
                .unwrap();
        }
        Held(session)
    }

    /// A session of the superuser.
    pub async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.admin_url).await.unwrap()
    }

    /// Nobody gathers statistics any more, but those of now are gathered first, if wanted.
    pub async fn freeze_statistics(&self, analyze: bool) {
        sqlx::raw_sql(
            "do $$ declare t regclass; begin
                 for t in select oid from pg_class where relkind = 'r'
                     and relnamespace in ('public'::regnamespace, 'lethe'::regnamespace) loop
                     execute format('alter table %s set (autovacuum_enabled = off)', t);
                 end loop; end $$",
        )
        .execute(&self.pool)
        .await
        .unwrap();
        if analyze {
            self.execute("analyze").await;
        }
    }

    /// Policies of an application with a tenant for each user.
    pub async fn row_level_security(&self, force: bool) {
        let own = |column: &str| format!("{column} = current_setting('app.user_id', true)");
        let of_sample = "exists (select from public.samples s where s.id = sample_id)".to_owned();
        let policies = [own("id"), own("user_id"), own("user_id"), of_sample];
        for (table, policy) in TABLES.into_iter().zip(policies) {
            self.execute(&format!(
                "create policy own on public.{table} using ({policy})"
            ))
            .await;
            self.execute(&format!(
                "alter table public.{table} enable row level security"
            ))
            .await;
            if force {
                self.execute(&format!(
                    "alter table public.{table} force row level security"
                ))
                .await;
            }
        }
    }

    /// Lethe's processes have this role from now on. Returns its name.
    pub async fn run_as(&mut self, role: Role) -> String {
        let made = role_with_listed_rights(&self.world).await;
        match role {
            Role::Documented => {}
            Role::BypassesRowSecurity => {
                self.execute(&format!("alter role {} bypassrls", made.name))
                    .await;
            }
            Role::Owner => {
                let sql = "do $$ declare r record; begin
                     for r in select oid::regclass as it from pg_class where relkind in ('r', 'p', 'v')
                         and relnamespace in ('public'::regnamespace, 'lethe'::regnamespace) loop
                         execute format('alter table %s owner to ROLE', r.it);
                     end loop;
                     for r in select oid::regprocedure as it from pg_proc where pronamespace::regnamespace::text in ('lethe', 'lethe_map') loop
                         execute format('alter routine %s owner to ROLE', r.it);
                     end loop;
                     alter schema lethe owner to ROLE; alter schema lethe_map owner to ROLE; end $$";
                sqlx::raw_sql(AssertSqlSafe(sql.replace("ROLE", &made.name)))
                    .execute(&self.pool)
                    .await
                    .unwrap();
            }
        }
        self.world.url = made.url;
        made.name
    }

    /// Another schema stands first in the role's search path, with empty tables of the same names.
    pub async fn shadow_tables(&self, role: &str) {
        self.execute("create schema shadow").await;
        for table in [
            "users",
            "collections",
            "samples",
            "sample_images",
            "user_tombstones",
            "cleanup_tasks",
            "cleanup_audit",
            "cleanup_workers",
            "webhook_events",
            "tasks",
        ] {
            self.execute(&format!("create table shadow.{table} (id text)"))
                .await;
        }
        self.execute(&format!("grant usage, create on schema shadow to {role}"))
            .await;
        self.execute(&format!(
            "grant all on all tables in schema shadow to {role}"
        ))
        .await;
        self.execute(&format!(
            "alter role {role} set search_path = shadow, public"
        ))
        .await;
    }

    /// A worker of one slot: whatever holds the slot, holds all.
    pub async fn worker_of_one_slot(&self) -> RunningWorker {
        let mut cleanup: Cleanup = quick();
        cleanup.concurrency = 1;
        self.worker_with(cleanup).await
    }

    /// The status of a task that may be finished.
    pub async fn status_of(&self, task: i64) -> String {
        self.one(&format!("select status from lethe.tasks where id = {task}"))
            .await
    }

    /// Waits until `select <sql>` is true, for `limit` at most. Returns how long that took.
    pub async fn within(&self, limit: Duration, sql: &str) -> Duration {
        let began = Instant::now();
        while !self
            .one::<bool>(&format!("select coalesce(({sql}), false)"))
            .await
        {
            assert!(
                began.elapsed() < limit,
                "after {limit:?} not so: {sql}\ntasks: {:#?}",
                self.open_tasks().await
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        began.elapsed()
    }

    async fn open_tasks(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select row(count(*), kind, status, error_class, left(last_error, 300), max(attempts))::text from lethe.tasks
             group by kind, status, error_class, left(last_error, 300) order by count(*) desc limit 20",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// A user and a sample that nobody else has anything to do with are erased within the limit.
    pub async fn unrelated_erasures_are_done(&self) {
        let user = format!("user_{}", Uuid::new_v4().simple());
        self.user(&user).await;
        let keys = [
            format!("{user}/1"),
            format!("{user}/2"),
            format!("{user}/3"),
        ];
        self.sample(&user, &[&keys[0], &keys[1]]).await;
        let other = format!("{user}_other");
        self.user(&other).await;
        let sample = self.sample(&other, &[&keys[2]]).await;
        let (root, task) = (
            self.delete_user(&user).await,
            self.delete_sample(sample).await,
        );
        let took = self
            .within(
                UNRELATED_LIMIT,
                &format!("(select count(*) = 2 from lethe.tasks where id in ({root}, {task}) and status = 'completed')"),
            )
            .await;
        println!("an unrelated user and sample: erased within {took:?}");
        for key in &keys {
            assert!(!self.s3.contains(key), "{key} is still there");
        }
        self.expect_nothing_left(&user).await;
    }

    /// A superuser sees no row of a user whose erasure is completed.
    pub async fn expect_nothing_left(&self, user: &str) {
        self.expect_rows(&format!("users where id = '{user}'"), 0)
            .await;
        for table in ["collections", "samples"] {
            self.expect_rows(&format!("{table} where user_id = '{user}'"), 0)
                .await;
        }
        self.expect_rows(
            &format!("sample_images where object_key like '{user}/%' or sample_id not in (select id from samples)"),
            0,
        )
        .await;
        let root = format!(
            "lethe.tasks where user_id = '{user}' and kind = 'user-delete' and status = 'completed'"
        );
        self.expect_rows(&root, 1).await;
    }

    /// A restored sample lives, with so many images, and each image's object is there.
    pub async fn expect_restored(&self, sample: Uuid, images: i64) {
        self.expect_rows(
            &format!("samples where id = '{sample}' and deleted_at is null"),
            1,
        )
        .await;
        self.expect_rows(
            &format!("sample_images where sample_id = '{sample}' and deleted_at is null"),
            images,
        )
        .await;
        let keys: Vec<String> = sqlx::query_scalar(
            "select object_key from sample_images where sample_id = $1 and deleted_at is null",
        )
        .bind(sample)
        .fetch_all(&self.pool)
        .await
        .unwrap();
        for key in keys {
            assert!(self.s3.contains(&key), "{key} of a restored sample is gone");
        }
    }

    /// What nobody asked to delete is all there.
    pub async fn expect_bystander(&self) {
        self.expect_rows("users where id = 'user_keep' and deleted_at is null", 1)
            .await;
        self.expect_rows(
            "sample_images i join samples s on s.id = i.sample_id
             where i.object_key = 'keep/1' and i.deleted_at is null and s.deleted_at is null and s.collection_id is not null",
            1,
        )
        .await;
        assert!(self.s3.contains("keep/1"), "the bystander's object is gone");
    }
}

/// A transaction of another session.
pub struct Held(PgConnection);

impl Held {
    pub async fn release(mut self) {
        sqlx::query("rollback").execute(&mut self.0).await.unwrap();
    }

    pub async fn commit(mut self) {
        sqlx::query("commit").execute(&mut self.0).await.unwrap();
    }
}

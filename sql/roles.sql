-- The roles of the database, each with the least rights for its work. Run it with psql as a role that may create roles,
-- connected to the application's database, after `lethe migrate`, and again after each upgrade:
--
--   psql "$DATABASE_URL" -v ON_ERROR_STOP=1 -f sql/roles.sql
--
-- Nobody can log in with these roles. Make a role for each process that can, and grant it one of them:
--
--   create role my_serve login password '…' in role lethe_serve;
--   create role my_worker login password '…' in role lethe_worker;
--   grant lethe_application to my_app;
--
-- | role                | for                                                                                   |
-- |---------------------|---------------------------------------------------------------------------------------|
-- | `lethe_owner`       | `lethe migrate`; it owns schema `lethe`, and its functions run with this role's rights |
-- | `lethe_serve`       | `lethe serve`, and the terminal (`lethe tasks`, `pause`, `resume`, `erasures`)         |
-- | `lethe_worker`      | `lethe worker`, `lethe reconcile` and `lethe receipts replay`                          |
-- | `lethe_application` | the application's own SQL, which calls `lethe.delete_user` and the like                |
-- | `lethe_reader`      | dashboards and auditors                                                               |
--
-- For a map of your own tables, paste what `lethe map grants` prints instead: it has the rights on these tables too.
--
-- `lethe check --role serve` and `lethe check --role worker` name what is missing, and what is more than needed.

do $$
declare
    name text;
begin
    foreach name in array array['lethe_owner', 'lethe_serve', 'lethe_worker', 'lethe_application', 'lethe_reader'] loop
        if not exists (select from pg_roles where rolname = name) then
            execute format('create role %I nologin', name);
        end if;
    end loop;
end
$$;

-- Nobody has a right that is not granted below.
revoke all on schema lethe from public;
revoke all on all tables in schema lethe from public, lethe_serve, lethe_worker, lethe_application, lethe_reader;
revoke all on all sequences in schema lethe from public, lethe_serve, lethe_worker, lethe_application, lethe_reader;
-- The functions of schema lethe_map run with the rights of their caller, so the right to use the schema is enough.
revoke all on schema lethe_map from public;
revoke all on all functions in schema lethe from public, lethe_serve, lethe_worker, lethe_application, lethe_reader;
revoke all on public.users, public.collections, public.samples, public.sample_images
    from lethe_serve, lethe_worker, lethe_reader;

-- The owner: what its functions do with the application's tables. A role that owns these tables needs no grant.
grant usage on schema public to lethe_owner;
grant select, update, delete, references, trigger
    on public.users, public.collections, public.samples, public.sample_images to lethe_owner;

-- The API.
grant usage on schema lethe, lethe_map, public to lethe_serve;
grant select on public.users, public.collections to lethe_serve;
grant select, update (deleted_at, deleted_by) on public.samples, public.sample_images to lethe_serve;
grant select on
    lethe._sqlx_migrations, lethe.maps, lethe.map_drift, lethe.user_tombstones, lethe.finished_tasks, lethe.tasks, lethe.cleanup_workers, lethe.audit,
    lethe.receipts, lethe.receipt_public_keys, lethe.cleanup_reconciliations, lethe.settings, lethe.process_settings,
    lethe.erasure_slots, lethe.notices, lethe.notice_settings to lethe_serve;
grant select, update, delete on lethe.cleanup_tasks to lethe_serve;
grant select, insert on lethe.cleanup_audit, lethe.webhook_events to lethe_serve;
grant execute on function
    lethe.lock_user (text, boolean), lethe.delete_user (text, text), lethe.delete_user (text, text, text),
    lethe.delete_sample (uuid, text, interval),
    lethe.delete_image (uuid, text, interval), lethe.delete (text, text, text, interval), lethe.removed_since (text, timestamptz), lethe.configure (text, int, interval, text), lethe.pause (text, text),
    lethe.resume (text, text, int), lethe.cancel_task (bigint), lethe.cancel_erasure (text, text, text), lethe.may_name_any_actor (),
    lethe.retry_notices (uuid[]), lethe.is_map_incomplete (timestamptz), lethe.application_path () to lethe_serve;

-- The workers.
grant usage on schema lethe, lethe_map, public to lethe_worker;
grant select, update (deleted_at, deleted_by), delete
    on public.users, public.collections, public.samples, public.sample_images to lethe_worker;
grant update (collection_id) on public.samples to lethe_worker;
grant select on
    lethe._sqlx_migrations, lethe.maps, lethe.map_drift, lethe.user_tombstones, lethe.finished_tasks, lethe.tasks, lethe.receipts, lethe.receipt_public_keys,
    lethe.settings, lethe.process_settings, lethe.erasure_slots, lethe.notice_settings to lethe_worker;
grant select, update, delete on lethe.notices to lethe_worker;
grant select, insert, update, delete on lethe.cleanup_tasks, lethe.cleanup_workers to lethe_worker;
grant select, insert on lethe.cleanup_audit to lethe_worker;
grant select, update on lethe.cleanup_reconciliations to lethe_worker;
grant select, delete on lethe.webhook_events to lethe_worker;
grant execute on function
    lethe.lock_user (text, boolean), lethe.delete_user (text, text), lethe.delete_user (text, text, text),
    lethe.delete_sample (uuid, text, interval),
    lethe.delete_image (uuid, text, interval), lethe.delete (text, text, text, interval),
    lethe.application_path (), lethe.adopt (bigint[], bigint), lethe.is_touched (lethe.cleanup_tasks),
    lethe.is_going_user (text, text), lethe.is_resting_user (text, text), lethe.is_going_entity (text, text),
    lethe.is_resting_entity (text, text),
    lethe.finish_tasks (text, bigint[], bigint[], jsonb[], bigint[], text[]), lethe.removed_since (text, timestamptz),
    lethe.audit_progress (text, lethe.cleanup_tasks, text[], text[], jsonb),
    lethe.make_partitions (int),
    lethe.drop_partitions (int), lethe.configure (text, int, interval, text), lethe.may_name_any_actor (),
    lethe.keys_digest (text, timestamptz, timestamptz), lethe.add_receipt_key (text, bytea, bytea, bytea),
    lethe.receipt_signing_key (), lethe.receipt_subject_keys (), lethe.seal_receipt (bigint, text, bytea, bytea, text),
    lethe.configure_notices (bytea), lethe.disable_notices (bytea),
    lethe.is_map_incomplete (timestamptz), lethe.note_drift (bigint, text[])
    to lethe_worker;

-- The application: it asks for deletions, in its own transactions, and in no other name than its own. Its rights on its
-- own tables are its own matter.
grant usage on schema lethe to lethe_application;
grant execute on function
    lethe.delete_user (text, text), lethe.delete_user (text, text, text), lethe.delete_sample (uuid, text, interval),
    lethe.delete_image (uuid, text, interval),
    lethe.delete (text, text, text, interval)
    to lethe_application;

-- Dashboards and auditors: everything of Lethe's own, and nothing of the application's.
grant usage on schema lethe to lethe_reader;
grant select on
    lethe.cleanup_tasks, lethe.tasks, lethe.audit, lethe.cleanup_audit, lethe.cleanup_workers, lethe.receipts,
    lethe.receipt_public_keys, lethe.user_tombstones, lethe.maps, lethe.map_drift,
    lethe.cleanup_reconciliations, lethe.settings, lethe.process_settings, lethe.notices, lethe.notice_settings to lethe_reader;

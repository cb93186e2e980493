-- What was asked, what was deleted, by whom and when. Append-only: receipts are read from it.

create table lethe.cleanup_audit (
    id             bigint generated always as identity primary key,
    at             timestamptz not null default now(),
    event          text not null,
    -- Who asked: `clerk:user.deleted`, `user:<id>`, `admin:<name>`, what SQL passed, or null for a worker's own acts.
    actor          text,
    worker         text,
    task_id        bigint,
    kind           text,
    entity_type    text,
    entity_id      text,
    user_id        text,
    attempt        int,
    -- Objects that the store confirmed to be gone, and objects kept because a live image names them.
    object_keys    text[] not null default '{}',
    kept_keys      text[] not null default '{}',
    -- Rows removed, by id.
    image_ids      uuid[] not null default '{}',
    sample_ids     uuid[] not null default '{}',
    collection_ids uuid[] not null default '{}',
    user_rows      int not null default 0,
    error_class    text,
    -- An error, a reason that an admin gave.
    detail         text,
    objects_deleted     int generated always as (cardinality(object_keys)) stored,
    objects_kept        int generated always as (cardinality(kept_keys)) stored,
    images_deleted      int generated always as (cardinality(image_ids)) stored,
    samples_deleted     int generated always as (cardinality(sample_ids)) stored,
    collections_deleted int generated always as (cardinality(collection_ids)) stored,
    constraint cleanup_audit_event_known check (event in (
        'user-deletion-requested', 'sample-deletion-requested', 'image-deletion-requested', 'sample-restored',
        'task-completed', 'task-continued', 'task-failed', 'task-dead', 'task-retried', 'user-erased'))
);

create index cleanup_audit_task_id_idx on lethe.cleanup_audit (task_id, id) where task_id is not null;
create index cleanup_audit_user_id_idx on lethe.cleanup_audit (user_id, id) where user_id is not null;
-- The tasks of a sample or an image, finished ones too.
create index cleanup_audit_entity_idx on lethe.cleanup_audit (entity_id, task_id)
    where event in ('sample-deletion-requested', 'image-deletion-requested');

create function lethe.refuse_audit_change() returns trigger
language plpgsql set search_path = lethe, pg_temp as $$
begin
    -- Retention is a decision of its own, taken by a role of its own.
    if tg_op = 'DELETE' and current_user = 'lethe_retention' then
        return old;
    end if;
    raise exception 'cleanup_audit is append-only'
        using errcode = 'insufficient_privilege',
              hint = 'Old rows are removed by the role lethe_retention alone.';
end
$$;

create trigger cleanup_audit_append_only before update or delete on lethe.cleanup_audit
    for each row execute function lethe.refuse_audit_change();
create trigger cleanup_audit_no_truncate before truncate on lethe.cleanup_audit
    for each statement execute function lethe.refuse_audit_change();

-- Svix ids that were seen, so that a repeat changes nothing, with a digest of the body they came with.
create table lethe.webhook_events (
    svix_id     text primary key,
    body_sha256 bytea not null,
    event_type  text,
    user_id     text,
    received_at timestamptz not null default now()
);
create index webhook_events_received_at_idx on lethe.webhook_events (received_at);

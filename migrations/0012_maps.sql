-- The erasure maps that were applied. The newest row is the map that holds; its functions stand in schema lethe_map.
create table lethe.maps (
    id            bigint generated always as identity primary key,
    -- The file, byte for byte, and its SHA-256 in hexadecimal.
    map           text not null,
    digest        text not null,
    -- The SHA-256 of the script that was run. Another version of Lethe may compile the same file into another script.
    script_digest text not null,
    -- Whether the gate found references without a rule when the map was applied. Then every receipt says so.
    is_incomplete boolean not null default false,
    applied_at    timestamptz not null default now(),
    applied_by    text not null default session_user
);
comment on table lethe.maps is 'The erasure maps that were applied; the newest row holds.';

create function lethe.refuse_map_change() returns trigger
language plpgsql set search_path = lethe, pg_temp as $$
begin
    raise exception 'maps is append-only' using errcode = 'insufficient_privilege',
        hint = 'Apply another map with `lethe map apply`.';
end
$$;
create trigger maps_append_only before update or delete on lethe.maps
    for each row execute function lethe.refuse_map_change();
revoke execute on function lethe.refuse_map_change () from public;

-- The functions that every map has. Until the first map is applied they refuse to work. A map replaces their bodies and
-- never their signatures.
do $$
declare
    signature text;
begin
    foreach signature in array array[
        -- The user's own id in the application, where it is another than Clerk's.
        'user_key(user_id text) returns text',
        -- Why this id may not be erased; null if it may.
        'refusal(user_id text) returns text',
        -- The names of the buckets that the map gives; null if tasks hold plain keys of the one bucket.
        'buckets() returns text[]',
        -- Locks the row of a user, and says whether there is one. Without `is_patient` a held row is not waited for.
        'lock_user(user_id text, is_patient boolean) returns boolean',
        'has_user(user_id text) returns boolean',
        -- Whether a row that names this user is left: the user's own, or one that a reference finds by the user's id.
        'has_rows(user_id text) returns boolean',
        -- Rows of a user by type, deleted or not.
        'count_rows(user_id text) returns table (type text, rows bigint)',
        -- When the row of a user was soft-deleted; null if it was not.
        'user_deleted_at(user_id text) returns timestamptz',
        -- The types of the map in the order of lists: their tables, their names in counts of rows, and whether a row may
        -- be deleted alone.
        'types() returns table (type text, relation text, plural text, is_api boolean)',
        -- The ids of the users who have a row, in their order.
        'user_ids(after_id text, max_rows int) returns setof text',
        -- Whether the row of a user is live and was created before a time.
        'is_live_user(user_id text, created_before timestamptz) returns boolean',
        -- Marks and plans the next rows of a deletion.
        'plan_user(root_id bigint, max_rows int) returns void',
        -- Makes the rows live again that this task soft-deleted.
        'unmark(root lethe.cleanup_tasks) returns void',
        -- Which of these keys must not be deleted.
        'protected_keys(keys text[], owners text[]) returns setof text',
        -- The keys that these rows name now, and whether all of the rows are there.
        'read_keys(of_user text, row_type text, row_ids text[], out keys text[], out is_whole boolean)',
        'settle_tasks(worker text, task_ids bigint[], kept_tasks bigint[], kept_keys text[], careful boolean)
             returns table (task_id bigint, result text, error text, row_type text, named_rows int, other_rows jsonb)',
        'settle_partly(task_ids bigint[], answered text[]) returns table (task_id bigint, row_id text)',
        'step_erasure(worker text, root_id bigint, careful boolean)
             returns table (result text, error text, other_rows jsonb)',
        -- Whose row it is that may be deleted alone; null if there is none.
        'owner_of(of_type text, of_id text) returns text',
        -- The same row, locked.
        'entity(of_type text, of_id text)
             returns table (id text, user_id text, deleted_at timestamptz, deleted_by text, details jsonb)',
        -- Deletes such a row with what hangs on it; null if there is none.
        'delete_entity(of_type text, of_id text, deleted_by text, grace interval) returns bigint',
        -- Takes back what the task of such a deletion soft-deleted.
        'restore_entity(of_type text, of_id text, task_id bigint) returns void',
        -- A page of soft-deleted rows, newest first; null does not filter.
        'list_deleted(of_type text, of_id text, of_user text, by_whom text, since timestamptz, until timestamptz,
             before_at timestamptz, before_type text, before_id text, max_rows int)
             returns table (entity_type text, id text, user_id text, container_id text, deleted_at timestamptz,
                            deleted_by text)',
        -- The next soft-deleted rows of a type without a task, in the order of time and id, and the last one looked at.
        'soft_deleted(of_type text, after_at timestamptz, after_id text, max_rows int,
             out last_at timestamptz, out last_id text, out ids text[], out user_ids text[])',
        -- The next users in the order of their ids: of these the live ones that were created before a time.
        'live_users(after_id text, created_before timestamptz, max_rows int,
             out last_id text, out live text[], out too_young bigint)',
        'plan(user_id text) returns jsonb',
        'leftovers(user_id text, user_key text default null) returns table (type text, action text, rows bigint)'
    ] loop
        execute format(
            'create function lethe_map.%s language plpgsql set search_path = lethe, pg_temp as $f$
             begin
                 raise exception ''no erasure map is applied'' using errcode = ''object_not_in_prerequisite_state'',
                     hint = ''Run `lethe migrate`.'';
             end $f$', signature);
    end loop;
end
$$;

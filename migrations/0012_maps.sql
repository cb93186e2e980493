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

-- What in the database a running process found that its map does not speak of. Each change of what is found is a row, so
-- that a receipt can say what held when its erasure ended.
create table lethe.map_drift (
    id       bigint generated always as identity primary key,
    map_id   bigint not null references lethe.maps (id),
    -- The tables and columns; empty when nothing is missing any more.
    places   text[] not null,
    found_at timestamptz not null default now(),
    found_by text not null default session_user
);
create index map_drift_map_id_idx on lethe.map_drift (map_id, id);
comment on table lethe.map_drift is
    'Tables and columns that the applied erasure map does not speak of, as running processes found them.';

create function lethe.refuse_map_change() returns trigger
language plpgsql set search_path = lethe, pg_temp as $$
begin
    raise exception '% is append-only', tg_table_name using errcode = 'insufficient_privilege',
        hint = 'Apply another map with `lethe map apply`.';
end
$$;
create trigger maps_append_only before update or delete on lethe.maps
    for each row execute function lethe.refuse_map_change();
create trigger map_drift_append_only before update or delete on lethe.map_drift
    for each row execute function lethe.refuse_map_change();
revoke execute on function lethe.refuse_map_change () from public;

-- Records what a process found that the newest map does not speak of. False if that is known, or if another map was
-- applied meanwhile, of which the finding says nothing.
create function lethe.note_drift(map_id bigint, places text[]) returns boolean
language plpgsql security definer set search_path = lethe, pg_temp as $$
#variable_conflict use_variable
begin
    insert into lethe.map_drift (map_id, places)
    select map_id, places
    where map_id = (select max(m.id) from lethe.maps m)
      and places is distinct from coalesce((select d.places from lethe.map_drift d where d.map_id = note_drift.map_id
                                            order by d.id desc limit 1), '{}');
    return found;
end
$$;
revoke execute on function lethe.note_drift (bigint, text[]) from public;

-- Whether the map that held at this time left a reference without a rule, by what `lethe map apply` found or by what
-- came into the database later.
create function lethe.is_map_incomplete(at timestamptz) returns boolean
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return coalesce(
        (select m.is_incomplete or coalesce(
                    (select cardinality(d.places) > 0 from lethe.map_drift d
                     where d.map_id = m.id and d.found_at <= is_map_incomplete.at order by d.id desc limit 1), false)
         from lethe.maps m
         where m.id = coalesce(
             (select max(a.id) from lethe.maps a where a.applied_at <= is_map_incomplete.at),
             (select min(a.id) from lethe.maps a))), false);
end
$$;
revoke execute on function lethe.is_map_incomplete (timestamptz) from public;

-- The functions that every map has. Until the first map is applied they refuse to work. A map replaces their bodies and
-- never their signatures.
do $$
declare
    signature text;
begin
    foreach signature in array array[
        -- The user's own id in the application, where it is another than Clerk's.
        'user_key(user_id text) returns text',
        -- Whether this has the form of a Clerk id.
        'is_user_id(user_id text) returns boolean',
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
        -- How tasks name these objects, without the marks of those that something else allows to be deleted.
        'unmarked(refs text[], allowed text[]) returns text[]',
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

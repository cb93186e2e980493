-- The use cases as functions, so that the webhook, the API and the application's own SQL are the same code, in
-- whatever transaction they are called. Every step has a bounded size. What the application calls runs with the rights
-- of the schema's owner, and with settings that make the planner go by index from short lists of ids, because the
-- statistics of a queue and of tables that shrink are always stale.

-- The search path with which the application's triggers run when Lethe writes its tables: what `alter database … set
-- search_path` says, or public. Their names need not be qualified. A client cannot change it.
create function lethe.application_path() returns text
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return coalesce(
        (select substr(c.setting, length('search_path=') + 1)
         from pg_catalog.pg_db_role_setting s cross join unnest(s.setconfig) as c (setting)
         where s.setrole = 0 and s.setdatabase = (select d.oid from pg_catalog.pg_database d where d.datname = current_database())
           and c.setting like 'search\_path=%'),
        'public') || ', pg_temp';
end
$$;

-- Soft-deletes rows, as of `at_time`. A row that is marked already stays as it is, unless its time lies in the future:
-- that is a plan of the application. All writes of soft deletes stand here, because they run triggers of the
-- application, with its search path.
create function lethe.mark(
    user_ids text[], collection_ids uuid[], sample_ids uuid[], image_ids uuid[], at_time timestamptz, by_whom text) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    perform set_config('search_path', lethe.application_path(), true);
    if cardinality(user_ids) > 0 then
        update public.users u set deleted_at = at_time, deleted_by = by_whom
        where u.id = any (user_ids) and (u.deleted_at is null or u.deleted_at > now());
    end if;
    if cardinality(collection_ids) > 0 then
        update public.collections c set deleted_at = at_time, deleted_by = by_whom
        where c.id = any (collection_ids) and (c.deleted_at is null or c.deleted_at > now());
    end if;
    if cardinality(sample_ids) > 0 then
        update public.samples s set deleted_at = at_time, deleted_by = by_whom
        where s.id = any (sample_ids) and (s.deleted_at is null or s.deleted_at > now());
    end if;
    if cardinality(image_ids) > 0 then
        update public.sample_images i set deleted_at = at_time, deleted_by = by_whom
        where i.id = any (image_ids) and (i.deleted_at is null or i.deleted_at > now());
    end if;
end
$$;

-- Marks and plans the next rows of an erasure: at most `max_rows` samples and `max_rows` images. A small erasure is
-- planned at once: then the root itself names all rows (phase `rows`). A larger one gets parts of at most 1,000 rows
-- each, step by step; `plan_cursor` is the last sample and image that were planned, or the last collection that was
-- marked. All rows bear the time of the root task, by which lethe.cancel_erasure knows them. At the end of a pass the
-- phase is `parts`. Repeating a pass is harmless: it finds what came since. Rows that another transaction holds are
-- skipped; a later pass finds them.
create function lethe.plan_user(root_id bigint, max_rows int) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
    part_size constant int := 1000;
    root       lethe.cleanup_tasks;
    asked_by   text;
    choice     record;
    is_first   boolean;
    is_last    boolean;
begin
    select * into strict root from lethe.cleanup_tasks where id = root_id and kind = 'user-delete';
    select deleted_by into asked_by from lethe.user_tombstones where user_id = root.user_id;
    is_first := root.plan_cursor is null;
    if is_first or root.plan_cursor[1] = 'collection' then
        perform lethe.mark(
            array(select u.id from public.users u
                  where u.id = root.user_id and (u.deleted_at is null or u.deleted_at > now())
                  for no key update skip locked),
            null, null, null, root.created_at, asked_by);
        if not lethe.mark_collections(root, asked_by, max_rows) then
            return;
        end if;
        root.plan_cursor := null;
    end if;

    choice := lethe.choose_rows(root.user_id, root_id, root.plan_cursor[2]::uuid, root.plan_cursor[3]::uuid, max_rows);
    perform lethe.mark(null, null, choice.sample_ids, choice.image_ids, root.created_at, asked_by);
    -- An image with an open deletion of its own loses what is left of its grace.
    perform lethe.adopt(choice.image_ids::text[], 'image-delete', root_id);
    is_last := choice.pass_ends;
    if is_first and is_last and coalesce(cardinality(choice.image_ids), 0) <= part_size then
        update lethe.cleanup_tasks
        set phase = 'rows', plan_cursor = null, row_type = 'sample-image',
            row_ids = coalesce(choice.image_ids::text[], '{}'),
            object_keys = coalesce((select array_agg(distinct key) from unnest(choice.keys) as key), '{}')
        where id = root_id;
        return;
    end if;
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, lane, parent_id,
        scheduled_at, held_reason)
    select 'user-delete-part', 'user', root.user_id, root.user_id, array_agg(distinct i.key), 'sample-image',
           array_agg(i.id::text), 1, root_id, greatest(root.scheduled_at, clock_timestamp()), root.held_reason
    from unnest(choice.image_ids, choice.keys) with ordinality as i (id, key, place)
    group by (i.place - 1) / part_size order by (i.place - 1) / part_size;
    -- A large erasure goes to the bulk lane, so that it does not make small work wait.
    update lethe.cleanup_tasks
    set phase = case when is_last then 'parts' else 'plan' end, lane = 1,
        plan_cursor = case when not is_last then array['sample', choice.last_sample::text, choice.last_image::text] end
    where id = root_id;
end
$$;

-- Soft-deletes the next collections of an erasure, in the order of their ids. True when there are no more.
create function lethe.mark_collections(root lethe.cleanup_tasks, asked_by text, max_rows int) returns boolean
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
declare
    nil      constant uuid := '00000000-0000-0000-0000-000000000000';
    after    uuid := case when root.plan_cursor[1] = 'collection' then root.plan_cursor[2]::uuid end;
    next_ids uuid[];
begin
    next_ids := array(
        select c.id from public.collections c
        where c.user_id = root.user_id and c.id >= coalesce(after, nil) and c.id is distinct from after
          and (c.deleted_at is null or c.deleted_at > now())
        order by c.id limit max_rows for no key update skip locked);
    perform lethe.mark(null, next_ids, null, null, root.created_at, asked_by);
    if cardinality(next_ids) < max_rows then
        return true;
    end if;
    update lethe.cleanup_tasks
    set phase = 'plan', lane = 1, plan_cursor = array['collection', next_ids[cardinality(next_ids)]::text]
    where id = root.id;
    return false;
end
$$;

-- Chooses the next samples of a user and their images, from the given places on (null: from the beginning): at most
-- `max_rows` of each. Samples with an open deletion of their own keep it, without its grace, as parts of this
-- erasure; their images are not chosen. Each image is read once, by index, in the order of samples and images.
create function lethe.choose_rows(
    of_user text, root_id bigint, after_sample uuid, after_image uuid, max_rows int,
    out sample_ids uuid[], out image_ids uuid[], out keys text[], out last_sample uuid, out last_image uuid,
    out pass_ends boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_variable
declare
    -- The smallest id: a condition on it can always be looked up in an index, with or without a cursor.
    nil     constant uuid := '00000000-0000-0000-0000-000000000000';
    adopted uuid[];
begin
    sample_ids := array(
        select s.id from public.samples s
        where s.user_id = of_user and s.id >= coalesce(after_sample, nil)
        order by s.id limit max_rows
        for no key update skip locked);
    pass_ends := cardinality(sample_ids) < max_rows;
    last_sample := sample_ids[cardinality(sample_ids)];

    adopted := array(
        select t.entity_id::uuid from lethe.cleanup_tasks t
        where t.entity_id = any (sample_ids::text[]) and t.kind = 'sample-delete');
    if cardinality(adopted) > 0 then
        perform lethe.adopt(adopted::text[], 'sample-delete', root_id);
    end if;

    select array_agg(i.id), array_agg(i.object_key) into image_ids, keys
    from (
        select i.id, i.object_key
        from unnest(sample_ids) as s (id)
        cross join lateral (
            select i.id, i.object_key from public.sample_images i
            where i.sample_id = s.id
              and i.id >= case when s.id = after_sample then coalesce(after_image, nil) else nil end
              and (s.id is distinct from after_sample or i.id is distinct from after_image)
            order by i.id limit max_rows
        ) i
        where cardinality(adopted) = 0 or s.id <> all (adopted)
        limit max_rows
    ) i;
    if cardinality(image_ids) = max_rows then
        -- The images of the last sample may not all be chosen. Later samples are not marked yet.
        pass_ends := false;
        last_image := image_ids[max_rows];
        select i.sample_id into last_sample from public.sample_images i where i.id = last_image;
        sample_ids := array(select s.id from unnest(sample_ids) as s (id) where s.id <= last_sample);
    elsif not pass_ends then
        -- Larger than any image of the last sample, so that the next step begins after it.
        last_image := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    end if;
end
$$;

-- Makes open tasks of these entities parts of an erasure, and due now. While the erasure may not begin (it is held or
-- delayed), they stay as they are.
create function lethe.adopt(entity_ids text[], of_kind text, root_id bigint) returns void
language plpgsql set search_path = lethe, pg_temp as $$
begin
    update lethe.cleanup_tasks t
    set parent_id = root_id, updated_at = now(),
        scheduled_at = case when t.status = 'pending' then least(t.scheduled_at, clock_timestamp())
                            else t.scheduled_at end
    where t.entity_id = any (entity_ids) and t.kind = of_kind and t.kind <> 'user-delete-part'
      and t.parent_id is distinct from root_id
      and exists (select from lethe.cleanup_tasks r
                  where r.id = root_id and r.held_reason is null and r.scheduled_at <= clock_timestamp());
end
$$;

-- Erases a user: tombstone, root task and audit, and the first step of the plan, in the caller's transaction. Returns
-- the root task's id, the same one when repeated. A user that Lethe never saw gets a tombstone and a root task too.
-- If the first step fails (a table was changed, or is busy), the worker makes it; the request is accepted.
create function lethe.delete_user(user_id text, deleted_by text) returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    -- The caller waits for this step, so it is smaller than a worker's.
    max_rows constant int := 1000;
    -- The time that the rows of this erasure bear. No other transaction writes the same.
    asked_at timestamptz := clock_timestamp();
    root     bigint;
begin
    if coalesce(delete_user.user_id, '') = '' then
        raise exception 'user_id must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    if coalesce(delete_user.deleted_by, '') = '' then
        raise exception 'deleted_by must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    perform lethe.check_actor(delete_user.deleted_by);
    -- A row that somebody holds is not waited for: it is there, so nobody creates it at this moment.
    perform from public.users u where u.id = delete_user.user_id for no key update skip locked;
    if not found and not exists (select from public.users u where u.id = delete_user.user_id) then
        perform lethe.lock_user(delete_user.user_id, true);
    end if;
    -- A repetition waits here for the one before it.
    insert into lethe.user_tombstones (user_id, deleted_by)
    values (delete_user.user_id, delete_user.deleted_by)
    on conflict do nothing;
    if not found then
        root := lethe.erasure_of(delete_user.user_id);
        if root is not null then
            return root;
        end if;
    end if;

    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, phase, created_at, scheduled_at, held_reason)
    values ('user-delete', 'user', delete_user.user_id, delete_user.user_id, 'plan', asked_at,
            clock_timestamp() + lethe.erasure_delay(), lethe.hold_reason())
    on conflict (entity_id, kind) where kind <> 'user-delete-part' do nothing
    returning id into root;
    if root is null then
        return lethe.erasure_of(delete_user.user_id);
    end if;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('user-deletion-requested', delete_user.deleted_by, root, 'user-delete', 'user',
            delete_user.user_id, delete_user.user_id);
    begin
        perform lethe.plan_user(root, max_rows);
    exception when query_canceled or others then
        -- A time limit ends the step only. A person who cancels ends the request.
        if sqlstate = '57014' and clock_timestamp() - statement_timestamp()
                < coalesce(nullif(current_setting('statement_timeout'), '0')::interval, '1000 years') then
            raise;
        end if;
        raise warning 'the first step of the erasure of user % failed and is left to the worker: % (%)',
            delete_user.user_id, sqlerrm, sqlstate;
    end;
    return root;
end
$$;

-- The erasure that a repeated request means: an open one, or the last that was completed, unless a row of the user is
-- there again (a database that was restored from a backup).
create function lethe.erasure_of(of_user text) returns bigint
language sql stable set search_path = lethe, pg_temp set row_security = off as $$
    select coalesce(
        (select t.id from lethe.cleanup_tasks t where t.entity_id = of_user and t.kind = 'user-delete'),
        (select r.task_id from lethe.receipts r
         where r.user_id = of_user and not exists (select from public.users u where u.id = of_user)
         order by r.id desc limit 1))
$$;

-- Deletes one sample: soft delete of it and its images, and its task, in the caller's transaction.
-- `grace` is how long it can be restored. Returns the task's id, the same one when repeated; null when
-- there is no such sample. For the sample of a user who is being erased it is the erasure's task.
create function lethe.delete_sample(sample_id uuid, deleted_by text, grace interval default interval '0')
returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    -- What a task takes up at once; more images are taken up when these are gone.
    max_images constant int := 10000;
    sample     public.samples;
    task       bigint;
    image_ids  uuid[];
    keys       text[];
begin
    if coalesce(delete_sample.deleted_by, '') = '' then
        raise exception 'deleted_by must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    perform lethe.check_actor(delete_sample.deleted_by);
    select * into sample from public.samples where id = delete_sample.sample_id for no key update;
    if not found then
        return null;
    end if;
    select t.id into task from lethe.cleanup_tasks t
    where t.entity_id = any (array[sample.id::text, sample.user_id])
      and t.kind = case when t.entity_id = sample.user_id then 'user-delete' else 'sample-delete' end
      and t.kind <> 'user-delete-part'
    order by t.kind limit 1;
    if found then
        return task;
    end if;

    -- An image with an open deletion of its own keeps it.
    select array_agg(i.id), array_agg(distinct i.object_key) into image_ids, keys from (
        select i.id, i.object_key from public.sample_images i
        where i.sample_id = sample.id
          and (select t.id from lethe.cleanup_tasks t
               where t.entity_id = i.id::text and t.kind = 'image-delete' limit 1) is null
        order by i.id limit max_images
    ) i;
    if sample.deleted_at is null or sample.deleted_at > now() then
        sample.deleted_at := now();
        sample.deleted_by := delete_sample.deleted_by;
    end if;
    -- The application may have marked the sample before: its images bear the same time, and a restore finds them.
    perform lethe.mark(null, null, array[sample.id], image_ids, sample.deleted_at, sample.deleted_by);

    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, lane, scheduled_at)
    values ('sample-delete', 'sample', sample.id::text, sample.user_id, coalesce(keys, '{}'), 'sample-image',
            coalesce(image_ids::text[], '{}'), case when cardinality(keys) > 100 then 1 else 0 end,
            clock_timestamp() + grace)
    returning id into task;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('sample-deletion-requested', delete_sample.deleted_by, task, 'sample-delete', 'sample',
            sample.id::text, sample.user_id);
    return task;
end
$$;

-- Deletes one image of a sample that stays: soft delete and its task, in the caller's transaction. Returns
-- the task's id, the same one when repeated; null when there is no such image. For an image whose sample or
-- user is being deleted it is that task.
create function lethe.delete_image(image_id uuid, deleted_by text, grace interval default '0')
returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off set enable_seqscan = off set enable_bitmapscan = off
set plan_cache_mode = force_generic_plan set jit = off as $$
#variable_conflict use_column
declare
    image public.sample_images;
    owner text;
    task  bigint;
begin
    if coalesce(delete_image.deleted_by, '') = '' then
        raise exception 'deleted_by must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    perform lethe.check_actor(delete_image.deleted_by);
    -- The sample first, as everybody locks who deletes.
    select s.user_id into owner
    from public.samples s join public.sample_images i on i.sample_id = s.id
    where i.id = delete_image.image_id
    for no key update of s;
    select * into image from public.sample_images where id = delete_image.image_id for no key update;
    if not found then
        return null;
    end if;
    select t.id into task from lethe.cleanup_tasks t
    where t.entity_id = any (array[image.id::text, image.sample_id::text, owner])
      and t.kind = case t.entity_id when owner then 'user-delete' when image.id::text then 'image-delete'
                                    else 'sample-delete' end
      and t.kind <> 'user-delete-part'
    order by t.kind limit 1;
    if found then
        return task;
    end if;
    perform lethe.mark(null, null, null, array[image.id], now(), delete_image.deleted_by);
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, scheduled_at)
    values ('image-delete', 'sample-image', image.id::text, owner, array[image.object_key], 'sample-image',
            array[image.id::text], clock_timestamp() + grace)
    returning id into task;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('image-deletion-requested', delete_image.deleted_by, task, 'image-delete', 'sample-image',
            image.id::text, owner);
    return task;
end
$$;

-- Of these keys, which must not be deleted? Those that a live image of a live sample names, and those that an
-- image names which a restore would bring back: one without a deletion of its own, of a sample whose deletion
-- was never claimed, or of a user whose erasure can still be cancelled. A time of deletion that lies in the future is a plan; the row is live until then. No key is kept
-- for ever: the deletion of the other row has the key too, and once it is claimed it protects nothing. Two tasks that
-- are claimed together protect nothing from each other, so both delete the key. `owners` says for each key the entity
-- that is being deleted: a row of that sample protects nothing.
--
-- Asked before every request to the store, for 1,000 keys: each is looked up by index, whatever the statistics
-- say (scalar subselects with a limit, no sequential scan, one plan).
create function lethe.protected_keys(keys text[], owners text[]) returns setof text
language plpgsql stable set search_path = lethe, pg_temp set row_security = off
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
    return query
    select k.key
    from unnest(keys, owners) as k (key, owner)
    where (
        select i.id from public.sample_images i
        where i.object_key = k.key
          and (
              ((i.deleted_at is null or i.deleted_at > now())
               and (select s.id from public.samples s
                    where s.id = i.sample_id and (s.deleted_at is null or s.deleted_at > now()) limit 1) is not null)
              or (i.sample_id::text is distinct from k.owner
                  and (select t.id from lethe.cleanup_tasks t
                       where t.entity_id = i.sample_id::text and t.kind = 'sample-delete'
                         and t.status = 'pending' and t.lease_token = 0 and t.parent_id is null limit 1) is not null
                  and (select t.id from lethe.cleanup_tasks t
                       where t.entity_id = i.id::text and t.kind = 'image-delete' limit 1) is null)
              or (select t.id from public.samples s join lethe.cleanup_tasks t on t.entity_id = s.user_id
                  where s.id = i.sample_id and t.kind = 'user-delete' and t.status = 'pending' and t.lease_token = 0
                    and t.created_at = i.deleted_at and not lethe.is_touched(t) limit 1) is not null)
        limit 1) is not null;
end
$$;

comment on function lethe.delete_user (text, text) is 'Erases a user and all that is theirs. Returns the task that says how far it is.';
comment on function lethe.delete_sample (uuid, text, interval) is 'Deletes a sample and its objects. Returns the task that says how far it is.';
comment on function lethe.delete_image (uuid, text, interval) is 'Deletes one image of a sample that stays, and its object. Returns the task that says how far it is.';

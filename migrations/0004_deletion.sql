-- The use cases as functions, so that the webhook, the API and the application's own SQL are the same
-- code, in whatever transaction they are called. Every step has a bounded size.

-- What the functions below remember as their search path; see 0001.

-- The next step of a user's plan: soft-deletes the next samples (at most 5,000) and their images (at
-- most 5,000) and writes their parts (at most 1,000 keys each, a DeleteObjects request's limit).
-- Returns the number of tasks that were written or adopted; `plan_cursor` is null when the pass is at
-- its end. Repeating a pass is harmless: it finds what came since.
create function lethe.plan_user(root_id bigint) returns int
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_column
declare
    max_samples constant int := 5000;
    max_images  constant int := 5000;
    part_size   constant int := 1000;
    root          lethe.cleanup_tasks;
    asked_by      text;
    after_sample  uuid;
    after_image   uuid;
    sample_ids    uuid[];
    image_ids     uuid[];
    keys          text[];
    last_sample   uuid;
    last_image    uuid;
    first_step    boolean;
    may_begin     boolean;
    pass_ends     boolean;
    adopted       int;
    written       int := 0;
begin
    select * into strict root from lethe.cleanup_tasks where id = root_id and kind = 'user-delete';
    select deleted_by into asked_by from lethe.user_tombstones where user_id = root.user_id;
    first_step := root.plan_cursor is null;
    may_begin := root.held_reason is null and root.scheduled_at <= clock_timestamp();
    after_sample := coalesce(root.plan_cursor[1], '00000000-0000-0000-0000-000000000000');
    after_image  := coalesce(root.plan_cursor[2], '00000000-0000-0000-0000-000000000000');

    -- A sample that somebody else holds is passed over: the root looks again at the end.
    select array_agg(s.id order by s.id) into sample_ids from (
        select id from public.samples
        where user_id = root.user_id and id >= after_sample
        order by id limit max_samples
        for no key update skip locked
    ) s;
    if sample_ids is null then
        update lethe.cleanup_tasks set plan_cursor = null where id = root_id;
        return 0;
    end if;

    -- Samples with an open deletion of their own keep it, without its grace, as a part of this erasure. While the erasure
    -- may not begin, they keep their grace too.
    update lethe.cleanup_tasks t
    set parent_id = root_id, updated_at = now(),
        scheduled_at = case when t.status = 'pending' then least(t.scheduled_at, clock_timestamp())
                            else t.scheduled_at end
    where may_begin and t.kind = 'sample-delete' and t.entity_id = any (sample_ids::text[])
      and t.finished_at is null and t.parent_id is distinct from root_id;
    get diagnostics adopted = row_count;

    select array_agg(i.id order by i.sample_id, i.id), array_agg(i.object_key order by i.sample_id, i.id)
    into image_ids, keys
    from (
        select i.id, i.sample_id, i.object_key
        from unnest(sample_ids) s (id)
        cross join lateral (
            select id, sample_id, object_key from public.sample_images
            where sample_id = s.id and (s.id > after_sample or id > after_image)
            order by id limit max_images
        ) i
        where not exists (
            select from lethe.cleanup_tasks t
            where t.entity_id = s.id::text and t.kind = 'sample-delete'
              and t.finished_at is null)
        order by i.sample_id, i.id limit max_images
    ) i;

    if cardinality(image_ids) = max_images then
        last_image := image_ids[max_images];
        select sample_id into last_sample from public.sample_images where id = last_image;
        pass_ends := false;
    else
        last_sample := sample_ids[cardinality(sample_ids)];
        last_image := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
        -- Fewer than asked for may also mean that some were passed over; the look at the end finds them.
        pass_ends := not exists (
            select from public.samples where user_id = root.user_id and id > last_sample);
    end if;

    update public.samples set deleted_at = root.created_at, deleted_by = asked_by
    where id = any (sample_ids) and id <= last_sample and deleted_at is null;
    update public.sample_images set deleted_at = root.created_at, deleted_by = asked_by
    where id = any (image_ids) and deleted_at is null;

    if image_ids is not null then
        -- An image's own deletion too: what is left of its grace ends here.
        update lethe.cleanup_tasks t
        set parent_id = root_id, updated_at = now(),
            scheduled_at = case when t.status = 'pending' then least(t.scheduled_at, clock_timestamp())
                                else t.scheduled_at end
        where may_begin and t.kind = 'image-delete' and t.entity_id = any (image_ids::text[])
          and t.finished_at is null and t.parent_id is distinct from root_id;
        insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, scheduled_at, held_reason, lane, parent_id)
        select 'user-delete-part', 'user', root.user_id, root.user_id, array_agg(k.key),
               greatest(root.scheduled_at, clock_timestamp()), root.held_reason,
               -- A small user's parts are small work; a giant's must not make others wait.
               case when first_step and pass_ends and cardinality(keys) <= part_size then 0 else 1 end,
               root_id
        from (select key, (row_number() over () - 1) / part_size as part
              from (select distinct unnest(keys) as key) d) k
        group by k.part order by k.part;
        get diagnostics written = row_count;
    end if;

    update lethe.cleanup_tasks
    set plan_cursor = case when pass_ends then null else array[last_sample, last_image] end,
        lane = case when pass_ends then lane else 1 end
    where id = root_id;
    return written + adopted;
end
$$;

-- Erases a user: tombstone, soft delete, the root task and the first step of its plan, in the caller's
-- transaction. Returns the root task's id, the same one when repeated. A user that Lethe never saw gets
-- a tombstone and a root task too.
create function lethe.delete_user(user_id text, deleted_by text) returns bigint
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_column
declare
    -- The rows that are marked now bear the root's time, by which lethe.cancel_erasure knows them.
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
    perform lethe.lock_user(delete_user.user_id, true);
    insert into lethe.user_tombstones (user_id, deleted_by)
    values (delete_user.user_id, delete_user.deleted_by)
    on conflict do nothing;

    -- An open erasure is this erasure; a finished one too, unless a row of the user is there again
    -- (a database that was restored from a backup).
    select id into root from lethe.cleanup_tasks t
    where t.user_id = delete_user.user_id and t.kind = 'user-delete' and t.status <> 'cancelled'
      and (t.status <> 'completed'
           or not exists (select from public.users u where u.id = delete_user.user_id))
    order by id desc limit 1;
    if found then
        return root;
    end if;

    update public.users u set deleted_at = asked_at, deleted_by = delete_user.deleted_by
    where u.id = delete_user.user_id and u.deleted_at is null;
    update public.collections c set deleted_at = asked_at, deleted_by = delete_user.deleted_by
    where c.deleted_at is null and c.id in (
        select id from public.collections
        where user_id = delete_user.user_id and deleted_at is null
        order by id limit 5000 for no key update skip locked);

    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, created_at, scheduled_at, held_reason)
    values ('user-delete', 'user', delete_user.user_id, delete_user.user_id, asked_at,
            clock_timestamp() + lethe.erasure_delay(), lethe.hold_reason())
    returning id into root;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('user-deletion-requested', delete_user.deleted_by, root, 'user-delete', 'user',
            delete_user.user_id, delete_user.user_id);
    perform lethe.plan_user(root);
    return root;
end
$$;

-- Deletes one sample: soft delete of it and its images, and its task, in the caller's transaction.
-- `grace` is how long it can be restored. Returns the task's id, the same one when repeated; null when
-- there is no such sample. For the sample of a user who is being erased it is the erasure's task.
create function lethe.delete_sample(sample_id uuid, deleted_by text, grace interval default interval '0')
returns bigint
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
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
    select id into task from lethe.cleanup_tasks t
    where t.entity_id = sample.id::text and t.kind = 'sample-delete'
      and t.finished_at is null;
    if found then
        return task;
    end if;
    select t.id into task from lethe.cleanup_tasks t
    where t.entity_id = sample.user_id and t.kind = 'user-delete'
      and t.finished_at is null;
    if found then
        return task;
    end if;

    select array_agg(i.id), array_agg(distinct i.object_key) into image_ids, keys from (
        select id, object_key from public.sample_images
        where sample_id = sample.id order by id limit max_images
    ) i;
    update public.samples set deleted_at = now(), deleted_by = delete_sample.deleted_by
    where id = sample.id and deleted_at is null;
    -- The application may have marked the sample before: its images bear the same time, and a restore finds them.
    update public.sample_images
    set deleted_at = coalesce(sample.deleted_at, now()),
        deleted_by = coalesce(sample.deleted_by, delete_sample.deleted_by)
    where id = any (image_ids) and deleted_at is null;

    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, lane, scheduled_at)
    values ('sample-delete', 'sample', sample.id::text, sample.user_id, coalesce(keys, '{}'),
            case when cardinality(keys) > 100 then 1 else 0 end, clock_timestamp() + grace)
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
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
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
    where t.finished_at is null
      and ((t.entity_id = image.id::text and t.kind = 'image-delete')
           or (t.entity_id = image.sample_id::text and t.kind = 'sample-delete')
           or (t.entity_id = owner and t.kind = 'user-delete'))
    order by t.kind limit 1;
    if found then
        return task;
    end if;
    update public.sample_images set deleted_at = now(), deleted_by = delete_image.deleted_by
    where id = image.id and deleted_at is null;
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, scheduled_at)
    values ('image-delete', 'sample-image', image.id::text, owner, array[image.object_key], clock_timestamp() + grace)
    returning id into task;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('image-deletion-requested', delete_image.deleted_by, task, 'image-delete', 'sample-image',
            image.id::text, owner);
    return task;
end
$$;

-- Of these keys, which must not be deleted? Those that a live image of a live sample names, and those that an
-- image names which a restore would bring back: one without a deletion of its own, of a sample whose deletion
-- was never claimed, or of a user whose erasure can still be cancelled. No key is kept for ever: that deletion has the key too, and once it is claimed it protects
-- nothing. Two tasks that are claimed together protect nothing from each other, so both delete the key.
--
-- Asked before every request to the store, for 1,000 keys: each is looked up by index, whatever the statistics
-- say (scalar subselects with a limit, no sequential scan, one plan).
create function lethe.protected_keys(keys text[]) returns setof text
language plpgsql stable set search_path = lethe, pg_temp set row_security = off
set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
begin
    return query
    select k.key
    from unnest(keys) as k (key)
    where (
        select i.id from public.sample_images i
        where i.object_key = k.key
          and (
              (i.deleted_at is null
               and (select s.id from public.samples s where s.id = i.sample_id and s.deleted_at is null limit 1) is not null)
              or ((select t.id from lethe.cleanup_tasks t
                   where t.entity_id = i.sample_id::text and t.kind = 'sample-delete' and t.finished_at is null
                     and t.status = 'pending' and t.lease_token = 0 and t.parent_id is null limit 1) is not null
                  and (select t.id from lethe.cleanup_tasks t
                       where t.entity_id = i.id::text and t.kind = 'image-delete' and t.finished_at is null
                       limit 1) is null)
              or lethe.is_revived_by_cancel(i.sample_id, i.deleted_at))
        limit 1) is not null;
end
$$;

comment on function lethe.delete_user (text, text) is 'Erases a user and all that is theirs. Returns the task that says how far it is.';
comment on function lethe.delete_sample (uuid, text, interval) is 'Deletes a sample and its objects. Returns the task that says how far it is.';
comment on function lethe.delete_image (uuid, text, interval) is 'Deletes one image of a sample that stays, and its object. Returns the task that says how far it is.';

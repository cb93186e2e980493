create trigger users_not_tombstoned before insert or update of id on public.users
    for each row execute function lethe.refuse_tombstoned_user('id');

-- Locks the row of a user, and says whether there is one. Without `is_patient` a row that somebody holds is not waited
-- for: it is there.
create or replace function lethe_map.lock_user(user_id text, is_patient boolean) returns boolean
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    if is_patient then
        perform from public.users u where u.id = lock_user.user_id for no key update;
    else
        perform from public.users u where u.id = lock_user.user_id for no key update skip locked;
    end if;
    return found or exists (select from public.users u where u.id = lock_user.user_id);
end
$$;

create or replace function lethe_map.has_user(user_id text) returns boolean
language sql stable set search_path = lethe, pg_temp set row_security = off as $$
    select exists (select from public.users u where u.id = user_id)
$$;

-- Soft-deletes rows, as of `at_time`. A row that is marked already stays as it is, unless its time lies in the future:
-- that is a plan of the application. All writes of soft deletes stand here, because they run triggers of the
-- application, with its search path.
create or replace function lethe_map.mark(
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

-- Makes the rows live again that this erasure soft-deleted. It runs triggers of the application, with its search path.
create or replace function lethe_map.unmark(root lethe.cleanup_tasks) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    perform set_config('search_path', lethe.application_path(), true);
    update public.sample_images i set deleted_at = null, deleted_by = null
    from public.samples s
    where s.user_id = root.user_id and i.sample_id = s.id and i.deleted_at = root.created_at;
    update public.samples s set deleted_at = null, deleted_by = null
    where s.user_id = root.user_id and s.deleted_at = root.created_at;
    update public.collections c set deleted_at = null, deleted_by = null
    where c.user_id = root.user_id and c.deleted_at = root.created_at;
    update public.users u set deleted_at = null, deleted_by = null
    where u.id = root.user_id and u.deleted_at = root.created_at;
end
$$;

-- Marks and plans the next rows of an erasure: at most `max_rows` samples and `max_rows` images. A small erasure is
-- planned at once: then the root itself names all rows (phase `rows`). A larger one gets parts of at most 1,000 rows
-- each, step by step; `plan_cursor` is the last sample and image that were planned, or the last collection that was
-- marked. All rows bear the time of the root task, by which lethe.cancel_erasure knows them. At the end of a pass the
-- phase is `parts`. Repeating a pass is harmless: it finds what came since. Rows that another transaction holds are
-- skipped; a later pass finds them.
create or replace function lethe_map.plan_user(root_id bigint, max_rows int) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off set lock_timeout = '1s' as $$
#variable_conflict use_column
declare
    part_size constant int := 1000;
    root       lethe.cleanup_tasks;
    asked_by   text;
    user_ids   text[];
    collection_ids uuid[];
    choice     record;
    tasks      bigint[];
    is_first   boolean;
    is_last    boolean;
begin
    select * into strict root from lethe.cleanup_tasks where id = root_id;
    select deleted_by into asked_by from lethe.user_tombstones where user_id = root.user_id;
    is_first := root.plan_cursor is null;
    if is_first or root.plan_cursor[1] = 'collection' then
        user_ids := array(
            select u.id from public.users u
            where u.id = root.user_id and (u.deleted_at is null or u.deleted_at > now())
            for no key update skip locked);
        collection_ids := lethe_map.next_collections(root, max_rows);
        if cardinality(collection_ids) = max_rows then
            perform lethe_map.mark(user_ids, collection_ids, null, null, root.created_at, asked_by);
            update lethe.cleanup_tasks
            set phase = 'plan', lane = greatest(lane, 1), plan_cursor = array['collection', collection_ids[max_rows]::text]
            where id = root_id;
            return;
        end if;
        root.plan_cursor := null;
    end if;

    choice := lethe_map.choose_rows(root.user_id, root_id, root.plan_cursor[2]::uuid, root.plan_cursor[3]::uuid, max_rows);
    perform lethe_map.mark(user_ids, collection_ids, choice.sample_ids, choice.image_ids, root.created_at, asked_by);
    -- An image with an open deletion of its own loses what is left of its grace.
    tasks := array(
        select t.id from lethe.cleanup_tasks t
        where t.entity_id = any (choice.image_ids::text[]) and t.kind = 'image-delete');
    if cardinality(tasks) > 0 then
        perform lethe.adopt(tasks, root_id);
    end if;
    is_last := choice.pass_ends;
    if is_first and is_last and coalesce(cardinality(choice.image_ids), 0) <= part_size then
        update lethe.cleanup_tasks
        set phase = 'rows', plan_cursor = null, row_type = 'sample-image',
            row_ids = coalesce(choice.image_ids::text[], '{}'),
            object_keys = coalesce((select array_agg(distinct key) from unnest(choice.keys) as key where key is not null), '{}')
        where id = root_id;
        return;
    end if;
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, lane, parent_id,
        scheduled_at, held_reason)
    select 'user-delete-part', 'user', root.user_id, root.user_id,
           coalesce(array_agg(distinct i.key) filter (where i.key is not null), '{}'), 'sample-image',
           array_agg(i.id::text), 1, root_id, greatest(root.scheduled_at, clock_timestamp()), root.held_reason
    from unnest(choice.image_ids, choice.keys) with ordinality as i (id, key, place)
    group by (i.place - 1) / part_size order by (i.place - 1) / part_size;
    -- A large erasure goes to the bulk lane, so that it does not make small work wait. One in quarantine stays there.
    update lethe.cleanup_tasks
    set phase = case when is_last then 'parts' else 'plan' end, lane = greatest(lane, 1),
        plan_cursor = case when not is_last then array['sample', choice.last_sample::text, choice.last_image::text] end
    where id = root_id;
end
$$;

-- Locks the next collections of an erasure that are to be soft-deleted, in the order of their ids. Fewer than `max_rows`
-- are the last.
create or replace function lethe_map.next_collections(root lethe.cleanup_tasks, max_rows int) returns uuid[]
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
declare
    nil   constant uuid := '00000000-0000-0000-0000-000000000000';
    after uuid := case when root.plan_cursor[1] = 'collection' then root.plan_cursor[2]::uuid end;
begin
    return array(
        select c.id from public.collections c
        where c.user_id = root.user_id and c.id >= coalesce(after, nil) and c.id is distinct from after
          and (c.deleted_at is null or c.deleted_at > now())
        order by c.id limit max_rows for no key update skip locked);
end
$$;

-- Chooses the next samples of a user and their images, from the given places on (null: from the beginning): at most
-- `max_rows` of each. Samples with an open deletion of their own keep it, without its grace, as parts of this
-- erasure; their images are not chosen. Each image is read once, by index, in the order of samples and images.
create or replace function lethe_map.choose_rows(
    of_user text, root_id bigint, after_sample uuid, after_image uuid, max_rows int,
    out sample_ids uuid[], out image_ids uuid[], out keys text[], out last_sample uuid, out last_image uuid,
    out pass_ends boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_variable
declare
    -- The smallest id: a condition on it can always be looked up in an index, with or without a cursor.
    nil     constant uuid := '00000000-0000-0000-0000-000000000000';
    adopted uuid[];
    tasks   bigint[];
begin
    sample_ids := array(
        select s.id from public.samples s
        where s.user_id = of_user and s.id >= coalesce(after_sample, nil)
        order by s.id limit max_rows
        for no key update skip locked);
    pass_ends := cardinality(sample_ids) < max_rows;
    last_sample := sample_ids[cardinality(sample_ids)];

    select coalesce(array_agg(t.entity_id::uuid), '{}'), array_agg(t.id) into adopted, tasks
    from lethe.cleanup_tasks t
    where t.entity_id = any (sample_ids::text[]) and t.kind = 'sample-delete';
    if cardinality(adopted) > 0 then
        perform lethe.adopt(tasks, root_id);
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

-- Settles tasks whose every key was answered for: removes their rows, and ends those that have nothing left. The
-- caller holds their locks and has checked the fence. Of each task it returns what was removed and one of these
-- results: `completed`; `more`: the task goes on with the rows that it names now; `held`: another transaction holds a
-- row; `stays`: a row is still there though its DELETE was not refused and nobody holds it (a trigger keeps it);
-- `parts`: an erasure waits for its parts. `error` is the table of that row.
create or replace function lethe_map.settle_tasks(
    worker text, task_ids bigint[], kept_tasks bigint[], kept_keys text[], careful boolean)
returns table (task_id bigint, result text, error text, row_type text, named_rows int, other_rows jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = off as $$
#variable_conflict use_variable
declare
    -- A settle removes at most so many rows of one table beside those that its tasks name.
    max_rows  constant int := 20000;
    named     record;
    gone      record;
    removed   uuid[];
    upwards   record;
    more      record;
    open_ids  bigint[];
    done_ids  bigint[];
    results   text[] := '{}';
    errors    text[] := '{}';
    task      lethe.cleanup_tasks;
    rest      record;
    place     int;
begin
    -- The rows that the tasks name.
    select array_agg(r.id::uuid) as ids, array_agg(t.id) as tasks,
           array_agg(case when t.kind in ('user-delete', 'user-delete-part') then t.user_id end) as users
    into named
    from unnest(task_ids) as x (id)
    cross join lateral (select c.id, c.kind, c.user_id, c.row_ids from lethe.cleanup_tasks c where c.id = x.id offset 0) t
    cross join lateral unnest(t.row_ids) as r (id);
    select array_agg(g.task_id) as tasks, array_agg(g.sample_id) as samples
    into gone
    from lethe_map.remove_images(
        named.ids, named.tasks, named.users,
        array(select k.key from lethe.cleanup_tasks c cross join lateral unnest(c.object_keys) as k (key)
              where c.id = any (task_ids)),
        careful) g;

    -- Samples that may be empty now: those of the tasks, and those of the images that parts of erasures named.
    removed := array(
        select s.sample_id
        from lethe_map.remove_samples(array(
            select c.entity_id::uuid from lethe.cleanup_tasks c where c.id = any (task_ids) and c.kind = 'sample-delete'
            union
            select g.sample from unnest(gone.tasks, gone.samples) as g (task, sample)
            join (select c.id from lethe.cleanup_tasks c
                  where c.id = any (task_ids) and c.kind = 'user-delete-part') p on p.id = g.task), careful) s);
    upwards := lethe_map.remove_upwards(
        array(select c.user_id from lethe.cleanup_tasks c where c.id = any (task_ids) and c.kind = 'user-delete'),
        null, max_rows, careful);

    -- Removed rows beside those that the tasks name, by task.
    select array_agg(m.task) as tasks, array_agg(m.rows) as rows, array_agg(m.counts) as counts into more
    from (
        select e.task, jsonb_object_agg(e.type, e.ids) as rows, jsonb_object_agg(e.type, jsonb_array_length(e.ids)) as counts
        from (
            select r.task, r.type, jsonb_agg(r.id) as ids
            from (
                select c.id as task, 'sample' as type, c.entity_id as id
                from lethe.cleanup_tasks c
                where c.id = any (task_ids) and c.kind = 'sample-delete'
                  and (c.entity_id not in (select r.id::text from unnest(removed) as r (id))) is false
                union all
                select max(g.task), 'sample', g.sample::text
                from unnest(gone.tasks, gone.samples) as g (task, sample)
                join (select c.id from lethe.cleanup_tasks c
                      where c.id = any (task_ids) and c.kind = 'user-delete-part') p on p.id = g.task
                where (g.sample not in (select r.id from unnest(removed) as r (id))) is false
                group by g.sample
                union all
                select c.id, u.type, u.id
                from (
                    select 'sample' as type, s.id::text as id, s.user_id
                    from unnest(upwards.sample_ids, upwards.sample_users) as s (id, user_id)
                    union all
                    select 'collection', s.id::text, s.user_id
                    from unnest(upwards.collection_ids, upwards.collection_users) as s (id, user_id)
                    union all
                    select 'user', s.id, s.id from unnest(upwards.user_ids) as s (id)
                ) u
                join (select c.id, c.user_id from lethe.cleanup_tasks c
                      where c.id = any (task_ids) and c.kind = 'user-delete') c on c.user_id = u.user_id
            ) r
            group by r.task, r.type
        ) e
        group by e.task
    ) m;

    -- The tasks of which something may be left, one by one.
    for task in
        select c.*
        from unnest(task_ids) as x (id)
        cross join lateral (select c.* from lethe.cleanup_tasks c where c.id = x.id offset 0) c
        left join (select g.task, count(*) as n from unnest(gone.tasks) as g (task) group by g.task) g on g.task = c.id
        where cardinality(c.row_ids) > coalesce(g.n, 0)
           or (c.kind = 'sample-delete' and c.entity_id not in (select r.id::text from unnest(removed) as r (id)))
           or (c.kind = 'user-delete' and c.user_id not in (select u.id from unnest(upwards.user_ids) as u (id)))
    loop
        rest := lethe_map.keep_rest(task);
        place := array_position(more.tasks, task.id);
        if task.kind = 'user-delete' and rest.result in ('completed', 'more') then
            rest := lethe_map.keep_root(task.id, task.user_id, place is not null or coalesce(task.id = any (gone.tasks), false));
        end if;
        continue when rest.result = 'completed';
        perform lethe.audit_progress(
            worker, task,
            array(select k.key from unnest(task.object_keys) as k (key)
                  where k.key <> all (array(select o.key from lethe.cleanup_tasks c cross join lateral unnest(c.object_keys) as o (key)
                                            where c.id = task.id))
                    and k.key <> all (array(select p.key from unnest(kept_tasks, kept_keys) as p (task, key) where p.task = task.id))),
            array(select p.key from unnest(kept_tasks, kept_keys) as p (task, key) where p.task = task.id),
            lethe_map.removed_rows(task, more.rows[place]));
        open_ids := open_ids || task.id;
        results := results || rest.result;
        errors := errors || rest.error;
    end loop;

    done_ids := array(select x.id from unnest(task_ids) as x (id)
                      where x.id not in (select o.id from unnest(open_ids) as o (id)));
    perform lethe.finish_tasks(worker, done_ids, more.tasks, more.rows, kept_tasks, kept_keys);

    return query
    select x.id, coalesce(o.result, 'completed'), o.error, 'sample-image', coalesce(g.n, 0)::int, m.counts
    from unnest(task_ids) as x (id)
    left join unnest(open_ids, results, errors) as o (id, result, error) on o.id = x.id
    left join (select g.task, count(*) as n from unnest(gone.tasks) as g (task) group by g.task) g on g.task = x.id
    left join unnest(more.tasks, more.counts) as m (task, counts) on m.task = x.id;
end
$$;

-- What is left of a task whose keys were answered for: the images that it names and that are still there, and for a
-- sample's task the images that came since. The task keeps these and nothing else. The results are those of
-- lethe_map.settle_tasks; `completed` when nothing is left.
create or replace function lethe_map.keep_rest(task lethe.cleanup_tasks, out result text, out error text)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_variable
declare
    -- So many images are added to a sample's task at once; the others are added when these are gone.
    max_late constant int := 1000;
    rest    record;
    sample  public.samples;
    late    uuid[];
begin
    -- A row that is live again, or was given to another user, is no longer the task's.
    select coalesce(array_agg(l.id), '{}') as ids,
           coalesce(array_agg(distinct l.object_key), '{}') as keys,
           coalesce(bool_or(l.object_key <> all (task.object_keys)), false) as has_new_keys,
           coalesce(bool_or(not l.is_free), false) as is_held
    into rest
    from (
        select i.id, i.object_key,
               (select f.id from public.sample_images f where f.id = i.id for update skip locked) is not null as is_free
        from public.sample_images i join public.samples s on s.id = i.sample_id
        where i.id = any (task.row_ids::uuid[])
          and (i.deleted_at is not null or s.deleted_at is not null)
          and (task.kind not in ('user-delete', 'user-delete-part') or s.user_id = task.user_id)
    ) l;
    if task.kind = 'sample-delete' then
        select * into sample from public.samples s where s.id = task.entity_id::uuid;
        if sample.deleted_at is not null then
            late := array(
                select i.id from public.sample_images i
                where i.sample_id = sample.id and i.id <> all (task.row_ids::uuid[])
                order by i.id limit max_late);
            perform lethe_map.mark(null, null, null, late, sample.deleted_at, sample.deleted_by);
        end if;
    end if;
    if cardinality(late) > 0 or rest.has_new_keys then
        update lethe.cleanup_tasks t
        set row_type = 'sample-image', row_ids = (rest.ids || late)::text[],
            object_keys = array(select distinct i.object_key from public.sample_images i where i.id = any (rest.ids || late))
        where t.id = task.id;
        result := 'more';
        return;
    end if;
    if rest.ids <> '{}' then
        update lethe.cleanup_tasks t set row_ids = rest.ids::text[], object_keys = rest.keys where t.id = task.id;
        result := case when rest.is_held then 'held' else 'stays' end;
        error := 'sample_images';
    elsif sample.deleted_at is not null then
        perform from public.samples s where s.id = sample.id for update skip locked;
        result := case when found then 'stays' else 'held' end;
        error := 'samples';
    else
        -- Of the named rows, the record has those that are gone.
        update lethe.cleanup_tasks t
        set row_ids = array(select r.id from unnest(task.row_ids) as r (id)
                            where (select i.id from public.sample_images i where i.id = r.id::uuid) is null)
        where t.id = task.id;
        result := 'completed';
    end if;
end
$$;

-- What is left of an erasure whose rows were removed. An open part is waited for. Otherwise the erasure is planned
-- again, at once if this attempt removed anything, and later if not.
create or replace function lethe_map.keep_root(root_id bigint, of_user text, has_progress boolean, out result text, out error text)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
declare
    leftover record;
begin
    if exists (select from lethe.cleanup_tasks p where p.parent_id = root_id) then
        update lethe.cleanup_tasks set phase = 'parts', plan_cursor = null, object_keys = '{}', row_ids = '{}' where id = root_id;
        result := 'parts';
        return;
    end if;
    leftover := lethe_map.leftover(of_user);
    if leftover.what is null then
        result := 'completed';
        return;
    end if;
    update lethe.cleanup_tasks set phase = 'plan', plan_cursor = null, object_keys = '{}', row_ids = '{}' where id = root_id;
    result := case when has_progress then 'more' when leftover.is_held then 'held' else 'stays' end;
    error := leftover.what;
end
$$;

-- The rows that an unfinished task has removed: those of its named rows that it does not keep, and others.
create or replace function lethe_map.removed_rows(before lethe.cleanup_tasks, more_rows jsonb) returns jsonb
language sql set search_path = lethe, pg_temp as $$
    select nullif(jsonb_strip_nulls(jsonb_build_object(coalesce(before.row_type, 'sample-image'), r.ids)) || coalesce(more_rows, '{}'), '{}')
    from (
        select jsonb_agg(n.id) as ids from unnest(before.row_ids) as n (id)
        where n.id <> all (array(select o.id from lethe.cleanup_tasks c cross join lateral unnest(c.row_ids) as o (id)
                                 where c.id = before.id))
          and (select i.id from public.sample_images i where i.id = n.id::uuid) is null
    ) r
$$;

-- Removes the rows of tasks of which keys remain: those whose key is one of `answered`. Each task keeps its other
-- rows. Returns what went.
create or replace function lethe_map.settle_partly(task_ids bigint[], answered text[]) returns table (task_id bigint, row_id text)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_variable
declare
    named record;
    gone  record;
begin
    select array_agg(r.id::uuid) as ids, array_agg(c.id) as tasks,
           array_agg(case when c.kind in ('user-delete', 'user-delete-part') then c.user_id end) as users
    into named
    from lethe.cleanup_tasks c cross join lateral unnest(c.row_ids) as r (id)
    where c.id = any (task_ids);
    select array_agg(g.task_id) as tasks, array_agg(g.image_id::text) as images
    into gone from lethe_map.remove_images(named.ids, named.tasks, named.users, answered, true) g;
    update lethe.cleanup_tasks c
    set row_ids = array(select r.id from unnest(c.row_ids) as r (id) where r.id <> all (gone.images))
    where c.id = any (task_ids) and c.id = any (gone.tasks);
    return query select g.task, g.image from unnest(gone.tasks, gone.images) as g (task, image);
end
$$;

-- The next step of an erasure that does not fit into one task: it plans the next rows, waits for its parts, or removes
-- the next rows that name no object. The result is one of those of lethe_map.settle_tasks.
create or replace function lethe_map.step_erasure(worker text, root_id bigint, careful boolean)
returns table (result text, error text, other_rows jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_variable
declare
    max_rows constant int := 5000;
    root    lethe.cleanup_tasks;
    upwards record;
    rows_removed jsonb;
begin
    select * into strict root from lethe.cleanup_tasks c where c.id = root_id;
    if root.phase = 'plan' then
        perform lethe_map.plan_user(root_id, max_rows);
        return query select 'more', null::text, null::jsonb;
        return;
    end if;
    if root.phase = 'parts' then
        if exists (select from lethe.cleanup_tasks p where p.parent_id = root_id) then
            return query select 'parts', null::text, null::jsonb;
            return;
        end if;
        root.plan_cursor := null;
    end if;
    upwards := lethe_map.remove_upwards(array[root.user_id], root.plan_cursor[2]::uuid, max_rows, careful);
    rows_removed := nullif(jsonb_strip_nulls(jsonb_build_object(
        'sample', to_jsonb(upwards.sample_ids), 'collection', to_jsonb(upwards.collection_ids),
        'user', to_jsonb(upwards.user_ids))), '{}');
    if upwards.has_more then
        result := 'more';
        update lethe.cleanup_tasks c
        set phase = 'remove',
            plan_cursor = case when upwards.last_sample is not null then array['sample', upwards.last_sample::text] end
        where c.id = root_id;
    else
        select k.result, k.error into result, error
        from lethe_map.keep_root(root_id, root.user_id, rows_removed is not null) k;
    end if;
    if result = 'completed' then
        perform lethe.finish_tasks(worker, array[root_id], array[root_id], array[rows_removed], null, null);
    else
        perform lethe.audit_progress(worker, root, '{}', '{}', rows_removed);
    end if;
    other_rows := jsonb_build_object(
        'sample', cardinality(upwards.sample_ids), 'collection', cardinality(upwards.collection_ids),
        'user', cardinality(upwards.user_ids));
    return next;
end
$$;

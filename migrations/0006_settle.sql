-- What a worker writes when the objects of its tasks were answered for: it removes the rows that the tasks name, by
-- primary key, and ends the tasks. Each DELETE checks in the same statement that its row is still to go: it is
-- soft-deleted (or its sample is), it names no key that was not answered for, and it has no child. `careful`: rows
-- that another transaction holds are skipped instead of waited for. `(deleted_at is null) is false` keeps the planner from
-- the partial index of deleted rows, which holds everybody's. The functions that write tables of the application
-- run its triggers, with its search path.

-- Removes those of the images `ids` whose key is one of `answered`. `tasks` and `users` stand at the same places: the
-- task that names the image, and for a part of an erasure its user; a row that was given to another user stays.
create function lethe.remove_images(
    ids uuid[], tasks bigint[], users text[], answered text[], careful boolean)
returns table (task_id bigint, image_id uuid, sample_id uuid)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_column
declare
    free uuid[];
begin
    perform set_config('search_path', lethe.application_path(), true);
    if careful then
        free := array(select i.id from public.sample_images i where i.id = any (ids) order by i.id for update skip locked);
    end if;
    return query
    delete from public.sample_images i
    using unnest(ids, tasks, users) as n (id, task, user_id)
    where i.id = n.id
      and (free is null or n.id = any (free))
      -- Written so that the keys are hashed once, whatever the planner believes of their number.
      and (i.object_key not in (select a.key from unnest(answered) as a (key))) is false
      and ((i.deleted_at is null) is false
           or (select s.deleted_at from public.samples s where s.id = i.sample_id) is not null)
      and (n.user_id is null
           or (select s.user_id from public.samples s where s.id = i.sample_id) = n.user_id)
    returning n.task, i.id, i.sample_id;
end
$$;

-- Removes those of these samples that are soft-deleted and have no image.
create function lethe.remove_samples(ids uuid[], careful boolean)
returns table (sample_id uuid, user_id text)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_column
begin
    perform set_config('search_path', lethe.application_path(), true);
    if careful then
        ids := array(select s.id from public.samples s where s.id = any (ids) order by s.id for update skip locked);
    end if;
    return query
    delete from public.samples s
    where s.id = any (ids) and (s.deleted_at is null) is false
      and (select i.id from public.sample_images i where i.sample_id = s.id limit 1) is null
    returning s.id, s.user_id;
end
$$;

-- Removes the rows of erased users that name no object, children before parents: samples without images, then
-- collections without samples, then the users. Samples of others leave the collections and stay. At most `max_rows` of
-- each table; for a single user the samples after `after`, in the order of their ids.
create function lethe.remove_upwards(
    users text[], after uuid, max_rows int, careful boolean,
    out sample_ids uuid[], out sample_users text[], out collection_ids uuid[], out collection_users text[],
    out user_ids text[], out last_sample uuid, out has_more boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
#variable_conflict use_variable
declare
    nil constant uuid := '00000000-0000-0000-0000-000000000000';
    chosen uuid[];
    others int;
begin
    has_more := false;
    if cardinality(users) = 0 then
        return;
    end if;
    perform set_config('search_path', lethe.application_path(), true);
    if cardinality(users) = 1 then
        chosen := array(select s.id from public.samples s
                        where s.user_id = users[1] and s.id >= coalesce(after, nil) and s.id is distinct from after
                        order by s.id limit max_rows);
        last_sample := chosen[cardinality(chosen)];
    else
        chosen := array(select s.id from public.samples s where s.user_id = any (users) limit max_rows);
    end if;
    has_more := cardinality(chosen) = max_rows;
    select array_agg(r.sample_id), array_agg(r.user_id) into sample_ids, sample_users
    from lethe.remove_samples(chosen, careful) r;
    if has_more then
        return;
    end if;

    chosen := array(select c.id from public.collections c where c.user_id = any (users) limit max_rows);
    has_more := cardinality(chosen) = max_rows;
    if cardinality(chosen) > 0 then
        update public.samples s set collection_id = null
        where s.id = any (array(select o.id from public.samples o where o.collection_id = any (chosen)
                                limit max_rows for no key update skip locked));
        get diagnostics others = row_count;
        has_more := has_more or others = max_rows;
        if careful then
            chosen := array(select c.id from public.collections c where c.id = any (chosen) order by c.id for update skip locked);
        end if;
        with gone as (
            delete from public.collections c
            where c.id = any (chosen) and (c.deleted_at is null) is false
              and (select s.id from public.samples s where s.collection_id = c.id limit 1) is null
            returning c.id, c.user_id
        )
        select array_agg(gone.id), array_agg(gone.user_id) into collection_ids, collection_users from gone;
    end if;
    if has_more then
        return;
    end if;

    if careful then
        users := array(select u.id from public.users u where u.id = any (users) order by u.id for update skip locked);
    end if;
    with gone as (
        delete from public.users u
        where u.id = any (users) and (u.deleted_at is null) is false
          and (select s.id from public.samples s where s.user_id = u.id limit 1) is null
          and (select c.id from public.collections c where c.user_id = u.id limit 1) is null
        returning u.id
    )
    select array_agg(gone.id) into user_ids from gone;
end
$$;

-- Why a row of an erased user is still there, the first that is found; null when nothing is left. `is_held`: another
-- transaction holds it, or it has a child that will be planned; otherwise the database keeps it though nobody holds it.
create function lethe.leftover(of_user text, out what text, out is_held boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
begin
    if exists (select from public.samples s where s.user_id = of_user) then
        what := 'samples';
        is_held := not exists (
            select from (select s.id, s.deleted_at from public.samples s where s.user_id = of_user
                         order by s.id limit 1000 for update skip locked) free
            where free.deleted_at is not null
              and (select i.id from public.sample_images i where i.sample_id = free.id limit 1) is null);
    elsif exists (select from public.collections c where c.user_id = of_user) then
        what := 'collections';
        is_held := not exists (
            select from (select c.id, c.deleted_at from public.collections c where c.user_id = of_user
                         order by c.id limit 1000 for update skip locked) free
            where free.deleted_at is not null
              and (select s.id from public.samples s where s.collection_id = free.id limit 1) is null);
    elsif exists (select from public.users u where u.id = of_user) then
        what := 'users';
        is_held := not exists (
            select from (select u.deleted_at from public.users u where u.id = of_user for update skip locked) free
            where free.deleted_at is not null);
    end if;
end
$$;

-- Ends tasks that have nothing left: each becomes a record in lethe.finished_tasks. `kept`: keys that stayed, because
-- another row names them, each with its task at the same place. `more_rows`: removed rows beside those that the task
-- names, each with its task in `more_tasks`. A completed erasure gets its receipt. Records are written with the rights of
-- the schema's owner, so that a worker's role cannot write others.
create function lethe.finish_tasks(
    worker text, tasks bigint[], more_tasks bigint[], more_rows jsonb[], kept_tasks bigint[], kept_keys text[]) returns void
language plpgsql security definer set search_path = lethe, pg_temp set enable_nestloop = off as $$
#variable_conflict use_variable
declare
    roots bigint[];
begin
    with done as (
        delete from lethe.cleanup_tasks t where t.id = any (tasks) returning t.*
    ), kept as (
        select k.task, array_agg(k.key) as keys from unnest(kept_tasks, kept_keys) as k (task, key) group by k.task
    ), recorded as (
        insert into lethe.finished_tasks (id, kind, entity_type, entity_id, user_id, parent_id, status, attempts,
            scheduled_at, created_at, worker, object_keys, kept_keys, row_type, row_ids, more_rows)
        select d.id, d.kind, d.entity_type, d.entity_id, d.user_id, d.parent_id, 'completed', d.attempts,
            d.scheduled_at, d.created_at, worker,
            case when k.keys is null then d.object_keys
                 else array(select o.key from unnest(d.object_keys) as o (key) where o.key <> all (k.keys)) end,
            coalesce(k.keys, '{}'), d.row_type, d.row_ids, m.rows
        from done d
        left join kept k on k.task = d.id
        left join unnest(more_tasks, more_rows) as m (task, rows) on m.task = d.id
        returning id, kind
    )
    select array_agg(r.id) into roots from recorded r where r.kind = 'user-delete';
    if roots is not null then
        perform lethe.write_receipts(roots);
    end if;
end
$$;

-- Ends a task whose work has not begun: it becomes a cancelled record, which keeps its keys. False when it has begun.
create function lethe.cancel_task(task_id bigint) returns boolean
language plpgsql security definer set search_path = lethe, pg_temp as $$
begin
    with taken as (
        delete from lethe.cleanup_tasks where id = task_id and status = 'pending' and lease_token = 0 returning *
    )
    insert into lethe.finished_tasks (id, kind, entity_type, entity_id, user_id, parent_id, status, attempts,
        scheduled_at, created_at, object_keys, kept_keys, row_type, row_ids)
    select id, kind, entity_type, entity_id, user_id, parent_id, 'cancelled', attempts, scheduled_at, created_at, '{}',
        object_keys, row_type, '{}'
    from taken;
    return found;
end
$$;

-- What each erasure removed: the records of the user's tasks from the request on, and what unfinished attempts did.
create function lethe.removed_since(of_user text, since timestamptz,
    out objects_deleted bigint, out objects_kept bigint, out rows_deleted jsonb)
language sql stable set search_path = lethe, pg_temp as $$
    with records as materialized (
        select cardinality(f.object_keys) as deleted, cardinality(f.kept_keys) as kept, f.row_type,
               cardinality(f.row_ids) as row_count, f.more_rows
        from lethe.finished_tasks f
        where f.user_id = of_user and f.finished_at >= since and f.status = 'completed'
        union all
        select cardinality(a.object_keys), cardinality(a.kept_keys), null, 0, a.rows_removed
        from lethe.cleanup_audit a
        where a.user_id = of_user and a.at >= since
    ), counted as (
        select r.row_type as type, r.row_count as rows from records r where r.row_count > 0
        union all
        select e.key, jsonb_array_length(e.value) from records r cross join lateral jsonb_each(r.more_rows) e
        where r.more_rows is not null
    )
    select coalesce(sum(r.deleted), 0), coalesce(sum(r.kept), 0),
           (select coalesce(jsonb_object_agg(c.type, c.rows), '{}')
            from (select c.type, sum(c.rows) as rows from counted c group by c.type) c)
    from records r
$$;

-- Writes the receipts of these completed erasures.
create function lethe.write_receipts(roots bigint[]) returns void
language plpgsql set search_path = lethe, pg_temp set enable_nestloop = on as $$
begin
    insert into lethe.receipts (user_id, task_id, requested_at, requested_by, objects_deleted, objects_kept, rows_deleted)
    select b.user_id, f.id, b.deleted_at, b.deleted_by, r.objects_deleted, r.objects_kept, r.rows_deleted
    from lethe.finished_tasks f
    -- One by one: a join could read the tombstones of everybody.
    cross join lateral (select * from lethe.user_tombstones o where o.user_id = f.user_id offset 0) b
    cross join lateral lethe.removed_since(b.user_id, b.deleted_at) r
    where f.id = any (roots) and f.finished_at >= now()
    on conflict (task_id) do nothing;
end
$$;

-- Records in the audit trail what an unfinished task has done so far, if it has done anything.
create function lethe.audit_progress(
    worker text, task lethe.cleanup_tasks, object_keys text[], kept_keys text[], rows_removed jsonb) returns void
language sql security definer set search_path = lethe, pg_temp as $$
    insert into lethe.cleanup_audit (event, worker, task_id, kind, entity_type, entity_id, user_id, attempt,
        object_keys, kept_keys, rows_removed)
    select 'task-continued', worker, task.id, task.kind, task.entity_type, task.entity_id, task.user_id, task.attempts,
        object_keys, kept_keys, rows_removed
    where object_keys <> '{}' or rows_removed is not null
$$;

-- What is left of a task whose keys were answered for: the images that it names and that are still there, and for a
-- sample's task the images that came since. The task keeps these and nothing else. The results are those of
-- lethe.settle_tasks; `completed` when nothing is left.
create function lethe.keep_rest(task lethe.cleanup_tasks, out result text, out error text)
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
            perform lethe.mark(null, null, null, late, sample.deleted_at, sample.deleted_by);
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
create function lethe.keep_root(root_id bigint, of_user text, has_progress boolean, out result text, out error text)
language plpgsql set search_path = lethe, pg_temp set row_security = off set enable_nestloop = on as $$
declare
    leftover record;
begin
    if exists (select from lethe.cleanup_tasks p where p.parent_id = root_id) then
        update lethe.cleanup_tasks set phase = 'parts', plan_cursor = null, object_keys = '{}', row_ids = '{}' where id = root_id;
        result := 'parts';
        return;
    end if;
    leftover := lethe.leftover(of_user);
    if leftover.what is null then
        result := 'completed';
        return;
    end if;
    update lethe.cleanup_tasks set phase = 'plan', plan_cursor = null, object_keys = '{}', row_ids = '{}' where id = root_id;
    result := case when has_progress then 'more' when leftover.is_held then 'held' else 'stays' end;
    error := leftover.what;
end
$$;

-- Settles tasks whose every key was answered for: removes their rows, and ends those that have nothing left. The
-- caller holds their locks and has checked the fence. Of each task it returns what was removed and one of these
-- results: `completed`; `more`: the task goes on with the rows that it names now; `held`: another transaction holds a
-- row; `stays`: a row is still there though its DELETE was not refused and nobody holds it (a trigger keeps it);
-- `parts`: an erasure waits for its parts. `error` is the table of that row.
create function lethe.settle_tasks(
    worker text, task_ids bigint[], kept_tasks bigint[], kept_keys text[], careful boolean)
returns table (task_id bigint, result text, error text, images int, samples int, collections int, users int)
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
    from lethe.remove_images(
        named.ids, named.tasks, named.users,
        array(select k.key from lethe.cleanup_tasks c cross join lateral unnest(c.object_keys) as k (key)
              where c.id = any (task_ids)),
        careful) g;

    -- Samples that may be empty now: those of the tasks, and those of the images that parts of erasures named.
    removed := array(
        select s.sample_id
        from lethe.remove_samples(array(
            select c.entity_id::uuid from lethe.cleanup_tasks c where c.id = any (task_ids) and c.kind = 'sample-delete'
            union
            select g.sample from unnest(gone.tasks, gone.samples) as g (task, sample)
            join (select c.id from lethe.cleanup_tasks c
                  where c.id = any (task_ids) and c.kind = 'user-delete-part') p on p.id = g.task), careful) s);
    upwards := lethe.remove_upwards(
        array(select c.user_id from lethe.cleanup_tasks c where c.id = any (task_ids) and c.kind = 'user-delete'),
        null, max_rows, careful);

    -- Removed rows beside those that the tasks name, by task.
    select array_agg(m.task) as tasks, array_agg(m.rows) as rows into more
    from (
        select e.task, jsonb_object_agg(e.type, e.ids) as rows
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
        rest := lethe.keep_rest(task);
        place := array_position(more.tasks, task.id);
        if task.kind = 'user-delete' and rest.result in ('completed', 'more') then
            rest := lethe.keep_root(task.id, task.user_id, place is not null or coalesce(task.id = any (gone.tasks), false));
        end if;
        continue when rest.result = 'completed';
        perform lethe.audit_progress(
            worker, task,
            array(select k.key from unnest(task.object_keys) as k (key)
                  where k.key <> all (array(select o.key from lethe.cleanup_tasks c cross join lateral unnest(c.object_keys) as o (key)
                                            where c.id = task.id))
                    and k.key <> all (array(select p.key from unnest(kept_tasks, kept_keys) as p (task, key) where p.task = task.id))),
            array(select p.key from unnest(kept_tasks, kept_keys) as p (task, key) where p.task = task.id),
            lethe.removed_rows(task, more.rows[place]));
        open_ids := open_ids || task.id;
        results := results || rest.result;
        errors := errors || rest.error;
    end loop;

    done_ids := array(select x.id from unnest(task_ids) as x (id)
                      where x.id not in (select o.id from unnest(open_ids) as o (id)));
    perform lethe.finish_tasks(worker, done_ids, more.tasks, more.rows, kept_tasks, kept_keys);

    return query
    select x.id, coalesce(o.result, 'completed'), o.error, coalesce(g.n, 0)::int,
           coalesce(jsonb_array_length(m.rows -> 'sample'), 0), coalesce(jsonb_array_length(m.rows -> 'collection'), 0),
           coalesce(jsonb_array_length(m.rows -> 'user'), 0)
    from unnest(task_ids) as x (id)
    left join unnest(open_ids, results, errors) as o (id, result, error) on o.id = x.id
    left join (select g.task, count(*) as n from unnest(gone.tasks) as g (task) group by g.task) g on g.task = x.id
    left join unnest(more.tasks, more.rows) as m (task, rows) on m.task = x.id;
end
$$;

-- The rows that an unfinished task has removed: those of its named rows that it does not keep, and others.
create function lethe.removed_rows(before lethe.cleanup_tasks, more_rows jsonb) returns jsonb
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
create function lethe.settle_partly(task_ids bigint[], answered text[]) returns table (task_id bigint, row_id text)
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
    into gone from lethe.remove_images(named.ids, named.tasks, named.users, answered, true) g;
    update lethe.cleanup_tasks c
    set row_ids = array(select r.id from unnest(c.row_ids) as r (id) where r.id <> all (gone.images))
    where c.id = any (task_ids) and c.id = any (gone.tasks);
    return query select g.task, g.image from unnest(gone.tasks, gone.images) as g (task, image);
end
$$;

-- The next step of an erasure that does not fit into one task: it plans the next rows, waits for its parts, or removes
-- the next rows that name no object. The result is one of those of lethe.settle_tasks.
create function lethe.step_erasure(worker text, root_id bigint, careful boolean)
returns table (result text, error text, samples int, collections int, users int)
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
        perform lethe.plan_user(root_id, max_rows);
        return query select 'more', null::text, 0, 0, 0;
        return;
    end if;
    if root.phase = 'parts' then
        if exists (select from lethe.cleanup_tasks p where p.parent_id = root_id) then
            return query select 'parts', null::text, 0, 0, 0;
            return;
        end if;
        root.plan_cursor := null;
    end if;
    upwards := lethe.remove_upwards(array[root.user_id], root.plan_cursor[2]::uuid, max_rows, careful);
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
        from lethe.keep_root(root_id, root.user_id, rows_removed is not null) k;
    end if;
    if result = 'completed' then
        perform lethe.finish_tasks(worker, array[root_id], array[root_id], array[rows_removed], null, null);
    else
        perform lethe.audit_progress(worker, root, '{}', '{}', rows_removed);
    end if;
    samples := coalesce(cardinality(upwards.sample_ids), 0);
    collections := coalesce(cardinality(upwards.collection_ids), 0);
    users := coalesce(cardinality(upwards.user_ids), 0);
    return next;
end
$$;

-- Nobody calls these functions without a grant.
revoke execute on all functions in schema lethe from public;

-- What a worker writes when the objects of its tasks were answered for: it removes the rows that the tasks name, by
-- primary key, and ends the tasks. Each DELETE checks in the same statement that its row is still to go: it is
-- soft-deleted (or its sample is), it names no key that was not answered for, and it has no child. `careful`: rows
-- that another transaction holds are skipped instead of waited for. `(deleted_at is null) is false` keeps the planner from
-- the partial index of deleted rows, which holds everybody's. The functions that write tables of the application
-- run its triggers, with its search path.

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
            scheduled_at, created_at, worker, object_keys, kept_keys, row_type, row_ids, more_rows, kept_rows)
        select d.id, d.kind, d.entity_type, d.entity_id, d.user_id, d.parent_id, 'completed', d.attempts,
            d.scheduled_at, d.created_at, worker,
            case when k.keys is null then d.object_keys
                 else array(select o.key from unnest(d.object_keys) as o (key) where o.key <> all (k.keys)) end,
            coalesce(k.keys, '{}'), d.row_type, d.row_ids, m.rows, d.kept_rows
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

-- What each erasure removed: the records of the user's tasks from the request on, and what unfinished attempts did. In
-- PL/pgSQL, which keeps the plan.
create function lethe.removed_since(of_user text, since timestamptz,
    out objects_deleted bigint, out objects_kept bigint, out rows_deleted jsonb)
language plpgsql stable set search_path = lethe, pg_temp as $$
#variable_conflict use_column
begin
    with records as materialized (
        select f.object_keys, f.kept_keys, f.row_type,
               cardinality(f.row_ids) as row_count, f.more_rows
        from lethe.finished_tasks f
        where f.user_id = of_user and f.finished_at >= since and f.status = 'completed'
        union all
        select a.object_keys, a.kept_keys, null, 0, a.rows_removed
        from lethe.cleanup_audit a
        where a.user_id = of_user and a.at >= since
    ), objects as (
        -- Several tasks may have named an object, and one may have kept what a later one deleted.
        select count(*) filter (where k.is_deleted) as deleted, count(*) filter (where not k.is_deleted) as kept
        from (
            select n.key, bool_or(n.is_deleted) as is_deleted
            from records r
            cross join lateral (select unnest(r.object_keys), true union all select unnest(r.kept_keys), false) n (key, is_deleted)
            group by n.key
        ) k
    ), counted as (
        select r.row_type as type, r.row_count as rows from records r where r.row_count > 0
        union all
        select e.key, jsonb_array_length(e.value) from records r cross join lateral jsonb_each(r.more_rows) e
        where r.more_rows is not null
    )
    select o.deleted, o.kept,
           (select coalesce(jsonb_object_agg(c.type, c.rows), '{}')
            from (select c.type, sum(c.rows) as rows from counted c group by c.type) c)
    into objects_deleted, objects_kept, rows_deleted
    from objects o;
end
$$;

-- Writes the receipts of these completed erasures.
create function lethe.write_receipts(roots bigint[]) returns void
language plpgsql set search_path = lethe, pg_temp set enable_nestloop = on as $$
begin
    insert into lethe.receipts (user_id, task_id, requested_at, requested_by, objects_deleted, objects_kept, rows_deleted, rows_kept)
    select b.user_id, f.id, b.deleted_at, b.deleted_by, r.objects_deleted, r.objects_kept, r.rows_deleted,
           coalesce(f.kept_rows, '[]')
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

-- Nobody calls these functions without a grant.
revoke execute on all functions in schema lethe from public;

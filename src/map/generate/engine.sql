-- The steps of a deletion, for any map. The functions below do not know a table; what they call does. A root is the task
-- of a user's erasure, or of one row that is deleted alone.

-- Marks and plans the next rows of a deletion. A small one is planned at once: then the root itself holds all keys (phase
-- `rows`). A larger one gets parts of about 1,000 keys each; the rows of a part have nothing below them that goes along.
-- A row that names an object outside of what the map allows gets a part of its own, which waits for a person.
create or replace function lethe_map.plan_user(root_id bigint, max_rows int) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off set lock_timeout = '1s' as $lethe$
#variable_conflict use_variable
declare
    part_size constant int := 1000;
    root      lethe.cleanup_tasks;
    tombstone record;
    of_type   text;
    asked_by  text;
    kinds     int[];
    parts     oid[];
    places    tid[];
    marks     jsonb;
    is_full   boolean;
    named     record;
    refs      text[];
    keys      text[];
    has_parts boolean;
    made      int;
begin
    select * into strict root from lethe.cleanup_tasks t where t.id = root_id;
    select b.user_key, b.deleted_by into tombstone from lethe.user_tombstones b where b.user_id = root.user_id;
    of_type := case when root.kind <> 'user-delete' then root.entity_type end;
    asked_by := coalesce(
        (select a.actor from lethe.cleanup_audit a where a.task_id = root_id and a.actor is not null order by a.id limit 1),
        tombstone.deleted_by, 'unknown');
    if of_type is null then
        -- A deletion that was asked for by itself becomes a part, and loses what is left of its grace.
        perform lethe.adopt(
            array(select t.id from lethe.cleanup_tasks t where t.user_id = root.user_id and t.kind = 'entity-delete'), root_id);
    end if;

    select array_agg(c.kind), array_agg(c.part), array_agg(c.place) into kinds, parts, places
    from lethe_map.choose(root.user_id, tombstone.user_key, of_type, root.entity_id, max_rows) c;
    is_full := exists (select from unnest(kinds) k (kind) group by k.kind having count(*) >= max_rows);
    has_parts := exists (select from lethe.cleanup_tasks p where p.parent_id = root_id);
    select array_agg(k.type) as types, array_agg(k.id) as ids, array_agg(k.ref) as refs, array_agg(k.is_leaf) as leaves
    into named
    from lethe_map.keys_of(kinds, parts, places, root.user_id, tombstone.user_key, max_rows) k;
    refs := named.refs;
    if exists (select from unnest(refs) n (ref) where n.ref like 'outside:%') then
        -- An object that several columns name goes if one of them allows it, now or in a part that is over.
        refs := lethe_map.unmarked(refs, refs || array(
            select k.key from lethe.finished_tasks f cross join unnest(f.object_keys || f.kept_keys) k (key)
            where f.user_id = root.user_id and f.parent_id = root.id and f.finished_at >= root.created_at));
    end if;

    marks := lethe_map.mark_rows(kinds, parts, places, root.created_at, asked_by);
    if root.lease_token = 0 and marks <> '{}' then
        update lethe.cleanup_tasks t set marked = coalesce(t.marked, '{}') || marks where t.id = root_id;
    end if;

    keys := array(select distinct n.ref from unnest(refs) n (ref));
    if not is_full and not has_parts and cardinality(keys) <= part_size
       and not exists (select from unnest(keys) k (ref) where k.ref like 'outside:%') then
        update lethe.cleanup_tasks t
        set phase = 'rows', plan_cursor = null, object_keys = keys, row_type = null, row_ids = '{}'
        where t.id = root_id;
        return;
    end if;

    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, object_keys, row_type, row_ids, lane, parent_id,
        scheduled_at, held_reason)
    select 'user-delete-part', root.entity_type, root.entity_id, root.user_id, array_agg(distinct r.ref), r.type,
           array_agg(distinct r.id), 1, root_id, greatest(root.scheduled_at, clock_timestamp()), root.held_reason
    from (
        select p.type, p.id, p.ref, w.is_outside,
               (dense_rank() over (partition by p.type, w.is_outside order by p.id) - 1) / w.rows_in_part as part
        from unnest(named.types, named.ids, refs, named.leaves) p (type, id, ref, is_leaf)
        join (
            -- As many rows as name 1,000 keys when each has as many as the one with the most.
            select f.type, f.id, bool_or(f.ref like 'outside:%') as is_outside,
                   greatest(part_size / max(count(*)) over (partition by f.type), 1) as rows_in_part
            from unnest(named.types, named.ids, refs) f (type, id, ref) group by f.type, f.id
        ) w on w.type = p.type and w.id = p.id
        where p.is_leaf
          and not exists (
              select from lethe.cleanup_tasks o where o.parent_id = root_id and o.row_type = p.type and o.row_ids @> array[p.id])
    ) r
    group by r.type, r.is_outside, r.part
    order by r.type, r.is_outside, r.part;
    get diagnostics made = row_count;
    -- A large deletion goes to the bulk lane, so that it does not make small work wait. One in quarantine stays there.
    update lethe.cleanup_tasks t
    set phase = case when made > 0 then 'parts' else 'remove' end, lane = greatest(t.lane, 1), object_keys = '{}', row_ids = '{}',
        plan_cursor = array[lethe_map.removed_by_parts(root)::text]
    where t.id = root_id;
end
$lethe$;

-- How many rows the finished parts of a root have removed.
create or replace function lethe_map.removed_by_parts(root lethe.cleanup_tasks) returns bigint
language sql stable set search_path = lethe, pg_temp as $lethe$
    select coalesce(sum(cardinality(f.row_ids)), 0) from lethe.finished_tasks f
    where f.user_id = root.user_id and f.parent_id = root.id and f.finished_at >= root.created_at
$lethe$;

-- The keys that the finished parts of a root were answered for, as far as rows may still be there that name them.
create or replace function lethe_map.answered_by_parts(root lethe.cleanup_tasks) returns text[]
language plpgsql stable set search_path = lethe, pg_temp as $lethe$
begin
    if not lethe_map.keeps_answers() then
        return '{}';
    end if;
    return array(
        select k.key from lethe.finished_tasks f cross join unnest(f.object_keys || f.kept_keys) k (key)
        where f.user_id = root.user_id and f.parent_id = root.id and f.finished_at >= root.created_at);
end
$lethe$;

-- Makes the rows live again that this deletion soft-deleted.
create or replace function lethe_map.unmark(root lethe.cleanup_tasks) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
begin
    if root.marked is not null then
        perform lethe_map.revive(root.marked);
    end if;
end
$lethe$;

-- What is left of a deletion: a table of which a row is still there, and whether somebody holds it; null if nothing is.
create or replace function lethe_map.leftover(root lethe.cleanup_tasks, out what text, out is_held boolean)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
#variable_conflict use_variable
declare
    user_key text;
    rows_left bigint;
    rows_free bigint;
begin
    select b.user_key into user_key from lethe.user_tombstones b where b.user_id = root.user_id;
    if root.kind = 'user-delete' then
        select min(l.type), sum(l.rows) into what, rows_left from lethe_map.leftovers(root.user_id, user_key) l;
    elsif lethe_map.owner_of(root.entity_type, root.entity_id) is not null then
        what := root.entity_type;
        rows_left := 1;
    end if;
    if what is null then
        is_held := false;
        return;
    end if;
    select count(*) into rows_free
    from lethe_map.choose(
        root.user_id, user_key, case when root.kind <> 'user-delete' then root.entity_type end, root.entity_id, 1000) c;
    is_held := rows_free < least(rows_left, 1000);
end
$lethe$;

-- Ends a root of which nothing is left, or says what it waits for: the results are those of lethe_map.settle_tasks.
create or replace function lethe_map.end_root(root lethe.cleanup_tasks, has_progress boolean, out result text, out error text)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
#variable_conflict use_variable
declare
    leftover record;
    user_key text;
    kept     jsonb;
begin
    if not has_progress and exists (select from lethe.cleanup_tasks p where p.parent_id = root.id) then
        update lethe.cleanup_tasks t set phase = 'parts', object_keys = '{}', row_ids = '{}' where t.id = root.id;
        result := 'parts';
        return;
    end if;
    leftover := lethe_map.leftover(root);
    if leftover.what is null then
        if exists (select from lethe.cleanup_tasks p where p.parent_id = root.id) then
            update lethe.cleanup_tasks t set phase = 'parts', object_keys = '{}', row_ids = '{}' where t.id = root.id;
            result := 'parts';
            return;
        end if;
        select b.user_key into user_key from lethe.user_tombstones b where b.user_id = root.user_id;
        if root.kind = 'user-delete' then
            kept := lethe_map.kept_at_end(root.user_id, user_key);
            update lethe.cleanup_tasks t
            set kept_rows = nullif((
                select coalesce(jsonb_agg(jsonb_build_object('type', k.type, 'rows', k.rows, 'why', k.why) order by k.type, k.why), '[]')
                from (
                    select e.value ->> 'type' as type, e.value ->> 'why' as why, sum((e.value ->> 'rows')::bigint) as rows
                    from jsonb_array_elements(coalesce(t.kept_rows, '[]') || kept) e (value)
                    group by 1, 2
                ) k), '[]')
            where t.id = root.id;
        end if;
        result := 'completed';
        return;
    end if;
    update lethe.cleanup_tasks t set phase = 'plan', object_keys = '{}', row_ids = '{}' where t.id = root.id;
    result := case when has_progress then 'more' when leftover.is_held then 'held' else 'stays' end;
    error := leftover.what;
end
$lethe$;

-- One step of removing the rows of a root, whose objects `answered` were answered for.
create or replace function lethe_map.remove_step(
    root lethe.cleanup_tasks, answered text[], max_rows int, out removed jsonb, out changed int)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
#variable_conflict use_variable
declare
    user_key text;
    step     record;
begin
    select b.user_key into user_key from lethe.user_tombstones b where b.user_id = root.user_id;
    step := lethe_map.remove_rows(
        root.user_id, user_key, case when root.kind <> 'user-delete' then root.entity_type end, root.entity_id, answered, max_rows);
    if step.kept <> '[]' then
        update lethe.cleanup_tasks t set kept_rows = coalesce(t.kept_rows, '[]') || step.kept where t.id = root.id;
    end if;
    removed := nullif(step.removed, '{}');
    changed := step.changed;
end
$lethe$;

-- Ends tasks of which every key was answered for. The results: `completed`; `parts`: the task waits for its parts; `more`:
-- it goes on; `held`: another transaction holds a row; `stays`: nothing could be removed. `named_rows` are the removed ones
-- of those that the task names, `other_rows` the numbers of others by type. Held rows are always skipped, so `careful`,
-- which the functions of the built-in map need, changes nothing.
create or replace function lethe_map.settle_tasks(
    worker text, task_ids bigint[], kept_tasks bigint[], kept_keys text[], careful boolean)
returns table (task_id bigint, result text, error text, row_type text, named_rows int, other_rows jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
#variable_conflict use_variable
declare
    max_rows constant int := 5000;
    task      lethe.cleanup_tasks;
    same_type record;
    entity    record;
    step      record;
    rest      record;
    gone      text[];
    removed   jsonb;
    -- What lethe_map.remove_entities removed for tasks that it did not end, by task.
    earlier   jsonb := '{}';
    done      bigint[] := '{}';
    more      bigint[] := '{}';
    rows      jsonb[] := '{}';
begin
    for same_type in
        select t.entity_type as type, array_agg(t.id order by t.id) as tasks, array_agg(t.entity_id order by t.id) as ids
        from lethe.cleanup_tasks t
        where t.id = any (task_ids) and t.kind = 'entity-delete' and t.phase = 'rows'
        group by t.entity_type
    loop
        for entity in select e.* from lethe_map.remove_entities(same_type.type, same_type.tasks, same_type.ids, max_rows) e loop
            if not entity.is_gone then
                earlier := earlier || jsonb_strip_nulls(jsonb_build_object(entity.task, entity.rows));
                continue;
            end if;
            -- A root in phase `rows` has no parts.
            done := done || entity.task;
            if entity.rows is not null then
                more := more || entity.task;
                rows := rows || entity.rows;
            end if;
            task_id := entity.task;
            result := 'completed';
            error := null;
            row_type := null;
            named_rows := 0;
            other_rows := lethe_map.lengths(entity.rows);
            return next;
        end loop;
    end loop;

    for task in
        select t.* from lethe.cleanup_tasks t
        where t.id = any (task_ids) and t.id not in (select d.id from unnest(done) d (id))
        order by t.id
    loop
        task_id := task.id;
        error := null;
        if task.kind = 'user-delete-part' then
            gone := array(select r from lethe_map.remove_named(task.user_id, task.row_type, task.row_ids, task.object_keys) r);
            -- The root deals with the rows that stay. The record has only those of the named rows that are gone.
            update lethe.cleanup_tasks t set row_ids = gone where t.id = task.id;
            done := done || task.id;
            result := 'completed';
            row_type := task.row_type;
            named_rows := cardinality(gone);
            other_rows := null;
            return next;
            continue;
        end if;
        step := lethe_map.remove_step(task, task.object_keys, max_rows);
        removed := lethe_map.joined(earlier -> task.id::text, step.removed);
        -- The step may have added to kept_rows. The keys are needed as they are before end_root forgets them.
        select * into task from lethe.cleanup_tasks t where t.id = task.id;
        rest := lethe_map.end_root(task, step.changed > 0 or removed is not null);
        if rest.result = 'completed' then
            done := done || task.id;
            if removed is not null then
                more := more || task.id;
                rows := rows || removed;
            end if;
        else
            perform lethe.audit_progress(
                worker, task,
                array(select k.key from unnest(task.object_keys) k (key)
                      where k.key <> all (array(select p.key from unnest(kept_tasks, kept_keys) p (task, key) where p.task = task.id))),
                array(select p.key from unnest(kept_tasks, kept_keys) p (task, key) where p.task = task.id),
                removed);
        end if;
        result := rest.result;
        error := rest.error;
        row_type := null;
        named_rows := 0;
        other_rows := lethe_map.lengths(removed);
        return next;
    end loop;
    perform lethe.finish_tasks(worker, done, more, rows, kept_tasks, kept_keys);
end
$lethe$;

-- Joins two maps from types to ids.
create or replace function lethe_map.joined(first jsonb, second jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $lethe$
    select case when first is null then second when second is null then first else first || (
        select coalesce(jsonb_object_agg(e.key, coalesce(first -> e.key, '[]') || e.value), '{}') from jsonb_each(second) e) end
$lethe$;

-- Numbers of rows by type, from their ids by type.
create or replace function lethe_map.lengths(ids jsonb) returns jsonb
language sql immutable set search_path = pg_catalog, pg_temp as $lethe$
    select jsonb_object_agg(e.key, jsonb_array_length(e.value)) from jsonb_each(lengths.ids) e
$lethe$;

create or replace function lethe_map.settle_partly(task_ids bigint[], answered text[]) returns table (task_id bigint, row_id text)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
#variable_conflict use_variable
declare
    max_rows constant int := 5000;
    task lethe.cleanup_tasks;
    step record;
    gone text[];
begin
    for task in select t.* from lethe.cleanup_tasks t where t.id = any (task_ids) order by t.id loop
        if task.row_type is null then
            step := lethe_map.remove_step(task, answered, max_rows);
            perform lethe.audit_progress(task.lease_owner, task, '{}', '{}', step.removed);
            continue;
        end if;
        gone := array(select r from lethe_map.remove_named(task.user_id, task.row_type, task.row_ids, answered) r);
        if cardinality(gone) > 0 then
            update lethe.cleanup_tasks t
            set row_ids = array(select r.id from unnest(t.row_ids) r (id) where r.id <> all (gone)) where t.id = task.id;
            return query select task.id, g.id from unnest(gone) g (id);
        end if;
    end loop;
end
$lethe$;

create or replace function lethe_map.step_erasure(worker text, root_id bigint, careful boolean)
returns table (result text, error text, other_rows jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
#variable_conflict use_variable
declare
    max_rows constant int := 5000;
    root     lethe.cleanup_tasks;
    step     record;
    rest     record;
begin
    select * into strict root from lethe.cleanup_tasks t where t.id = root_id;
    if root.phase = 'plan' then
        perform lethe_map.plan_user(root_id, max_rows);
        return query select 'more', null::text, null::jsonb;
        return;
    end if;
    if root.phase = 'parts' and exists (
        select from lethe.cleanup_tasks p where p.parent_id = root_id and p.status in ('pending', 'running')) then
        return query select 'parts', null::text, null::jsonb;
        return;
    end if;
    step := lethe_map.remove_step(root, lethe_map.answered_by_parts(root), max_rows);
    select * into root from lethe.cleanup_tasks t where t.id = root_id;
    rest := lethe_map.end_root(
        root, step.changed > 0 or lethe_map.removed_by_parts(root) > coalesce(root.plan_cursor[1]::bigint, 0));
    if rest.result = 'completed' then
        perform lethe.finish_tasks(
            worker, array[root_id], case when step.removed is not null then array[root_id] end,
            case when step.removed is not null then array[step.removed] end, null, null);
    else
        perform lethe.audit_progress(worker, root, '{}', '{}', step.removed);
    end if;
    result := rest.result;
    error := rest.error;
    other_rows := lethe_map.lengths(step.removed);
    return next;
end
$lethe$;

-- Deletes one row with what hangs on it: soft delete and task, in the caller's transaction.
create or replace function lethe_map.delete_entity(of_type text, of_id text, deleted_by text, grace interval) returns bigint
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
#variable_conflict use_variable
declare
    max_rows constant int := 1000;
    entity   record;
    task     bigint;
begin
    select * into entity from lethe_map.entity(of_type, of_id) e;
    if entity.id is null then
        return null;
    end if;
    select t.id into task from lethe.cleanup_tasks t
    where (t.entity_id = entity.id and t.entity_type = of_type and t.kind = 'entity-delete')
       or (t.entity_id = entity.user_id and t.kind = 'user-delete')
    order by t.kind = 'entity-delete' limit 1;
    if task is not null then
        return task;
    end if;
    insert into lethe.cleanup_tasks (kind, entity_type, entity_id, user_id, phase, created_at, scheduled_at)
    values ('entity-delete', of_type, entity.id, entity.user_id, 'plan', clock_timestamp(),
            clock_timestamp() + case when entity.deleted_at is null and not lethe_map.has_grace(of_type) then interval '0' else grace end)
    returning id into task;
    insert into lethe.cleanup_audit (event, actor, task_id, kind, entity_type, entity_id, user_id)
    values ('entity-deletion-requested', deleted_by, task, 'entity-delete', of_type, entity.id, entity.user_id);
    perform lethe_map.plan_user(task, max_rows);
    return task;
end
$lethe$;

create or replace function lethe_map.restore_entity(of_type text, of_id text, task_id bigint) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $lethe$
declare
    task lethe.cleanup_tasks;
begin
    select * into strict task from lethe.cleanup_tasks t where t.id = restore_entity.task_id;
    perform lethe_map.unmark(task);
end
$lethe$;

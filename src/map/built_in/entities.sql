-- Deletes one sample: soft delete of it and its images, and its task, in the caller's transaction.
-- `grace` is how long it can be restored. Returns the task's id, the same one when repeated; null when
-- there is no such sample. For the sample of a user who is being erased it is the erasure's task.
create or replace function lethe.delete_sample(sample_id uuid, deleted_by text, grace interval default interval '0')
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
    select array_agg(i.id), array_agg(distinct i.object_key) filter (where i.object_key is not null)
    into image_ids, keys from (
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
    perform lethe_map.mark(null, null, array[sample.id], image_ids, sample.deleted_at, sample.deleted_by);

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
create or replace function lethe.delete_image(image_id uuid, deleted_by text, grace interval default '0')
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
    perform lethe_map.mark(null, null, null, array[image.id], now(), delete_image.deleted_by);
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

create or replace function lethe_map.owner_of(of_type text, of_id text) returns text
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
begin
    return case of_type
        when 'sample' then (select s.user_id from public.samples s where s.id = of_id::uuid)
        when 'sample-image' then (select s.user_id from public.samples s join public.sample_images i on i.sample_id = s.id
                                  where i.id = of_id::uuid)
    end;
exception when invalid_text_representation then
    return null;
end
$$;

-- A sample or an image, locked: the sample first, as everybody locks who deletes.
create or replace function lethe_map.entity(of_type text, of_id text)
returns table (id text, user_id text, deleted_at timestamptz, deleted_by text, details jsonb)
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
declare
    entity uuid;
begin
    begin
        entity := of_id::uuid;
    exception when invalid_text_representation then
        return;
    end;
    if of_type = 'sample' then
        return query
        select s.id::text, s.user_id, s.deleted_at, s.deleted_by,
               jsonb_build_object('collection_id', s.collection_id, 'name', s.name, 'created_at', s.created_at)
        from public.samples s where s.id = entity for no key update of s;
    elsif of_type = 'sample-image' then
        return query
        select i.id::text, s.user_id, i.deleted_at, i.deleted_by, '{}'::jsonb
        from public.samples s join public.sample_images i on i.sample_id = s.id
        where i.id = entity for no key update of s;
    end if;
end
$$;

create or replace function lethe_map.delete_entity(of_type text, of_id text, deleted_by text, grace interval) returns bigint
language plpgsql set search_path = lethe, pg_temp as $$
begin
    return case of_type when 'sample' then lethe.delete_sample(of_id::uuid, deleted_by, grace)
                        when 'sample-image' then lethe.delete_image(of_id::uuid, deleted_by, grace) end;
exception when invalid_text_representation then
    return null;
end
$$;

-- The images that went with a sample are live again: of those that its task names, the ones that were marked with
-- the sample or later. If the sample was marked before its task was written, the application did it, and may have
-- marked the images first; then all of them come back.
create or replace function lethe_map.restore_entity(of_type text, of_id text, task_id bigint) returns void
language plpgsql set search_path = lethe, pg_temp set row_security = off as $$
begin
    if of_type = 'sample' then
        update public.sample_images i
        set deleted_at = null, deleted_by = null
        from public.samples s, lethe.cleanup_tasks task
        where s.id = of_id::uuid and task.id = task_id and i.id = any (task.row_ids::uuid[]) and i.sample_id = s.id
          and i.deleted_at is not null
          and (i.deleted_at >= s.deleted_at or s.deleted_at <> task.created_at);
        update public.samples s set deleted_at = null, deleted_by = null where s.id = of_id::uuid;
    elsif of_type = 'sample-image' then
        update public.sample_images i set deleted_at = null, deleted_by = null where i.id = of_id::uuid;
    end if;
end
$$;

comment on function lethe.delete_sample (uuid, text, interval) is 'Deletes a sample and its objects. Returns the task that says how far it is.';
comment on function lethe.delete_image (uuid, text, interval) is 'Deletes one image of a sample that stays, and its object. Returns the task that says how far it is.';
revoke execute on function lethe.delete_sample (uuid, text, interval), lethe.delete_image (uuid, text, interval) from public;

-- What lists, receipts and reconciliation ask of the built-in tables.

create or replace function lethe_map.user_key(user_id text) returns text
language plpgsql immutable set search_path = lethe, pg_temp as 'begin return null; end';

create or replace function lethe_map.is_user_id(user_id text) returns boolean
language plpgsql immutable set search_path = lethe, pg_temp as 'begin return is_user_id.user_id ~ ''^user_''; end';

create or replace function lethe_map.refusal(user_id text) returns text
language plpgsql immutable set search_path = lethe, pg_temp as $$
begin
    return case when refusal.user_id !~ '^user_' then 'it does not match ^user_' end;
end
$$;

create or replace function lethe_map.buckets() returns text[]
language sql immutable set search_path = lethe, pg_temp as 'select null::text[]';

create or replace function lethe_map.has_rows(user_id text) returns boolean
language sql stable set search_path = lethe, pg_temp as $$
    select exists (select from public.users u where u.id = has_rows.user_id)
        or exists (select from public.samples s where s.user_id = has_rows.user_id)
        or exists (select from public.collections c where c.user_id = has_rows.user_id)
$$;

create or replace function lethe_map.count_rows(user_id text) returns table (type text, rows bigint)
language sql stable set search_path = lethe, pg_temp as $$
    select 'user', (select count(*) from public.users u where u.id = count_rows.user_id)
    union all
    select 'collection', (select count(*) from public.collections c where c.user_id = count_rows.user_id)
    union all
    select 'sample', (select count(*) from public.samples s where s.user_id = count_rows.user_id)
    union all
    select 'sample-image', (select count(*) from public.samples s join public.sample_images i on i.sample_id = s.id
                            where s.user_id = count_rows.user_id)
$$;

create or replace function lethe_map.user_deleted_at(user_id text) returns timestamptz
language sql stable set search_path = lethe, pg_temp as $$
    select u.deleted_at from public.users u where u.id = user_deleted_at.user_id
$$;

create or replace function lethe_map.types() returns table (type text, relation text, plural text, is_api boolean)
language sql immutable set search_path = lethe, pg_temp as $$
    values ('user', 'public.users', 'users', false), ('collection', 'public.collections', 'collections', false),
           ('sample', 'public.samples', 'samples', true), ('sample-image', 'public.sample_images', 'sampleImages', true)
$$;

create or replace function lethe_map.user_ids(after_id text, max_rows int) returns setof text
language sql stable set search_path = lethe, pg_temp set row_security = off as $$
    select u.id from public.users u where u.id > after_id order by u.id limit max_rows
$$;

-- In PL/pgSQL, because users need have no created_at as long as nobody compares them with Clerk.
create or replace function lethe_map.is_live_user(user_id text, created_before timestamptz) returns boolean
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
begin
    return exists (select from public.users u
                   where u.id = is_live_user.user_id and u.deleted_at is null and u.created_at < created_before);
end
$$;

-- Each table reads no more than a page from its own index. Of the rows of one time, users come first, then collections,
-- samples and images; those from `before_id` on were shown already, and so were those of the types before it.
create or replace function lethe_map.list_deleted(
    of_type text, of_id text, of_user text, by_whom text, since timestamptz, until timestamptz,
    before_at timestamptz, before_type text, before_id text, max_rows int)
returns table (entity_type text, id text, user_id text, container_id text, deleted_at timestamptz, deleted_by text)
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
#variable_conflict use_column
declare
    nil     constant uuid := '00000000-0000-0000-0000-000000000000';
    most    constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    rank    constant int := array_position(array['user', 'collection', 'sample', 'sample-image'], before_type);
    -- Below which id the rows of the last time are still to be shown: the least means none, the greatest means all.
    users   constant text := case when rank = 1 then before_id else '' end;
    groups  constant uuid := case when rank = 2 then before_id::uuid when rank > 2 then nil else most end;
    samples constant uuid := case when rank = 3 then before_id::uuid when rank > 3 then nil else most end;
    images  constant uuid := case when rank = 4 then before_id::uuid else most end;
    entity  uuid;
begin
    begin
        entity := of_id::uuid;
    exception when invalid_text_representation then
        entity := null;
    end;
    return query
    select found.entity_type, found.id, found.user_id, found.container_id, found.deleted_at, found.deleted_by
    from (
        (select 0 as rank, 'user' as entity_type, u.id, u.id as user_id, null::text as container_id, u.deleted_at, u.deleted_by
         from public.users u
         where (of_type is null or of_type = 'user')
           and u.deleted_at is not null
           and (before_at is null or (u.deleted_at, u.id) < (before_at, users))
           and (by_whom is null or u.deleted_by = by_whom) and (of_user is null or u.id = of_user)
           and (of_id is null or u.id = of_id)
           and (since is null or u.deleted_at >= since) and (until is null or u.deleted_at < until)
         order by u.deleted_at desc, u.id desc limit max_rows)
        union all
        (select 1, 'collection', c.id::text, c.user_id, null, c.deleted_at, c.deleted_by
         from public.collections c
         where (of_type is null or of_type = 'collection')
           and c.deleted_at is not null
           and (before_at is null or (c.deleted_at, c.id) < (before_at, groups))
           and (by_whom is null or c.deleted_by = by_whom) and (of_user is null or c.user_id = of_user)
           and (of_id is null or c.id = entity)
           and (since is null or c.deleted_at >= since) and (until is null or c.deleted_at < until)
         order by c.deleted_at desc, c.id desc limit max_rows)
        union all
        (select 2, 'sample', s.id::text, s.user_id, null, s.deleted_at, s.deleted_by
         from public.samples s
         where (of_type is null or of_type = 'sample')
           and s.deleted_at is not null
           and (before_at is null or (s.deleted_at, s.id) < (before_at, samples))
           and (by_whom is null or s.deleted_by = by_whom) and (of_user is null or s.user_id = of_user)
           and (of_id is null or s.id = entity)
           and (since is null or s.deleted_at >= since) and (until is null or s.deleted_at < until)
         order by s.deleted_at desc, s.id desc limit max_rows)
        union all
        (select 3, 'sample-image', i.id::text, s.user_id, s.id::text, i.deleted_at, i.deleted_by
         from public.sample_images i join public.samples s on s.id = i.sample_id
         where (of_type is null or of_type = 'sample-image')
           and i.deleted_at is not null
           and (before_at is null or (i.deleted_at, i.id) < (before_at, images))
           and (by_whom is null or i.deleted_by = by_whom) and (of_user is null or s.user_id = of_user)
           and (of_id is null or i.id = entity)
           and (since is null or i.deleted_at >= since) and (until is null or i.deleted_at < until)
         order by i.deleted_at desc, i.id desc limit max_rows)
    ) found
    -- Uuids compare as their lower-case text does byte by byte, which is what "C" says.
    order by found.deleted_at desc, found.rank, case when found.rank > 0 then found.id end collate "C" desc,
             case when found.rank = 0 then found.id end desc
    limit max_rows;
end
$$;

-- Tasks are looked up one by one (a scalar subquery with a limit), so that the planner does not read the whole queue.
-- Times in the future are plans, not deletions. An image counts if its sample lives.
create or replace function lethe_map.soft_deleted(
    of_type text, after_at timestamptz, after_id text, max_rows int,
    out last_at timestamptz, out last_id text, out ids text[], out user_ids text[])
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
declare
    least_time constant timestamptz := coalesce(after_at, '-infinity');
    least_id   constant uuid := case when of_type <> 'user' then coalesce(after_id, '00000000-0000-0000-0000-000000000000') end;
begin
    if of_type = 'user' then
        with batch as materialized (
            select u.id, u.deleted_at from public.users u
            where u.deleted_at is not null and u.deleted_at <= now() and (u.deleted_at, u.id) > (least_time, coalesce(after_id, ''))
            order by u.deleted_at, u.id limit max_rows
        ), checked as materialized (
            select b.id, b.deleted_at,
                   (select t.id from lethe.cleanup_tasks t
                    where t.entity_id = b.id and t.kind = 'user-delete' limit 1) is null as is_due
            from batch b
        )
        select max(c.deleted_at), (array_agg(c.id order by c.deleted_at desc, c.id desc))[1],
               array_agg(c.id order by c.deleted_at, c.id) filter (where c.is_due)
        into last_at, last_id, ids from checked c;
        user_ids := ids;
    elsif of_type = 'sample' then
        with batch as materialized (
            select s.id, s.deleted_at from public.samples s
            where s.deleted_at is not null and s.deleted_at <= now() and (s.deleted_at, s.id) > (least_time, least_id)
            order by s.deleted_at, s.id limit max_rows
        ), without_own_task as materialized (
            select b.id, b.deleted_at, case when (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.id::text and t.kind = 'sample-delete' limit 1
                   ) is null then (select s.user_id from public.samples s where s.id = b.id) end as user_id
            from batch b
        ), checked as materialized (
            select b.id, b.deleted_at, case when (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.user_id and t.kind = 'user-delete' limit 1
                   ) is null then b.user_id end as user_id
            from without_own_task b
        )
        select max(c.deleted_at), (array_agg(c.id::text order by c.deleted_at desc, c.id desc))[1],
               array_agg(c.id::text order by c.deleted_at, c.id) filter (where c.user_id is not null),
               array_agg(c.user_id order by c.deleted_at, c.id) filter (where c.user_id is not null)
        into last_at, last_id, ids, user_ids from checked c;
    elsif of_type = 'sample-image' then
        with batch as materialized (
            select i.id, i.sample_id, i.deleted_at from public.sample_images i
            where i.deleted_at is not null and i.deleted_at <= now() and (i.deleted_at, i.id) > (least_time, least_id)
            order by i.deleted_at, i.id limit max_rows
        ), of_live_sample as materialized (
            select b.id, b.deleted_at,
                   (select s.user_id from public.samples s where s.id = b.sample_id and s.deleted_at is null) as user_id
            from batch b
        ), checked as materialized (
            select b.id, b.deleted_at, case when b.user_id is not null and (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.id::text and t.kind = 'image-delete' limit 1
                   ) is null and (
                       select t.id from lethe.cleanup_tasks t
                       where t.entity_id = b.user_id and t.kind = 'user-delete' limit 1
                   ) is null then b.user_id end as user_id
            from of_live_sample b
        )
        select max(c.deleted_at), (array_agg(c.id::text order by c.deleted_at desc, c.id desc))[1],
               array_agg(c.id::text order by c.deleted_at, c.id) filter (where c.user_id is not null),
               array_agg(c.user_id order by c.deleted_at, c.id) filter (where c.user_id is not null)
        into last_at, last_id, ids, user_ids from checked c;
    end if;
    ids := coalesce(ids, '{}');
    user_ids := coalesce(user_ids, '{}');
end
$$;

create or replace function lethe_map.live_users(
    after_id text, created_before timestamptz, max_rows int, out last_id text, out live text[], out too_young bigint)
language plpgsql stable set search_path = lethe, pg_temp set row_security = off as $$
begin
    with batch as materialized (
        select u.id, u.deleted_at, u.created_at from public.users u where u.id > after_id order by u.id limit max_rows
    )
    select max(b.id),
           coalesce(array_agg(b.id order by b.id) filter (where
               b.deleted_at is null and b.created_at < created_before
               and not exists (select from lethe.user_tombstones t where t.user_id = b.id)), '{}'),
           count(*) filter (where b.deleted_at is null and b.created_at >= created_before)
    into last_id, live, too_young from batch b;
end
$$;

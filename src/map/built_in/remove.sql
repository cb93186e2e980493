-- Removes those of the images `ids` whose key is one of `answered`, or that name no key. `tasks` and `users` stand at the same places: the
-- task that names the image, and for a part of an erasure its user; a row that was given to another user stays.
create or replace function lethe_map.remove_images(
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
      and (i.object_key is null or (i.object_key not in (select a.key from unnest(answered) as a (key))) is false)
      and ((i.deleted_at is null) is false
           or (select s.deleted_at from public.samples s where s.id = i.sample_id) is not null)
      and (n.user_id is null
           or (select s.user_id from public.samples s where s.id = i.sample_id) = n.user_id)
    returning n.task, i.id, i.sample_id;
end
$$;

-- Removes those of these samples that are soft-deleted and have no image.
create or replace function lethe_map.remove_samples(ids uuid[], careful boolean)
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
create or replace function lethe_map.remove_upwards(
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
    from lethe_map.remove_samples(chosen, careful) r;
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
        -- If the database keeps each of them and nothing could be detached, the next step would do no more than this one.
        has_more := has_more and (others > 0 or cardinality(collection_ids) > 0);
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
create or replace function lethe_map.leftover(of_user text, out what text, out is_held boolean)
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

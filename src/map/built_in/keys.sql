-- Of these keys, which must not be deleted? Those that a live image of a live sample names, and those that an image names
-- which can be made live again: an image whose own deletion was never claimed, one of a sample whose deletion was never
-- claimed, or one of a user whose erasure can still be cancelled (also an image that is not marked yet, of a sample that
-- is). A time of deletion that lies in the future is a plan; the row is live until then. No key is kept for ever: the
-- deletion of the other row has the key too, and once it is claimed it protects nothing. Two tasks that are claimed together
-- protect nothing from each other, so both delete the key. `owners` says for each key the entity that is being deleted: a
-- row of that sample protects nothing.
--
-- Asked before every request to the store, for 1,000 keys: each is looked up by index, whatever the statistics
-- say (scalar subselects with a limit, no sequential scan, one plan).
create or replace function lethe_map.protected_keys(keys text[], owners text[]) returns setof text
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
              or (select t.id from lethe.cleanup_tasks t
                  where t.entity_id = i.id::text and t.kind = 'image-delete'
                    and t.status = 'pending' and t.lease_token = 0 and t.parent_id is null limit 1) is not null
              or (select t.id from public.samples s join lethe.cleanup_tasks t on t.entity_id = s.user_id
                  where s.id = i.sample_id and t.kind = 'user-delete' and t.status = 'pending' and t.lease_token = 0
                    and t.created_at = coalesce(i.deleted_at, s.deleted_at) and not lethe.is_touched(t)
                  limit 1) is not null)
        limit 1) is not null;
end
$$;

-- The keys that these rows name now, and whether all of the rows are there. A row that is gone cannot say its key.
create or replace function lethe_map.read_keys(of_user text, row_type text, row_ids text[], out keys text[], out is_whole boolean)
language sql stable set search_path = lethe, pg_temp as $$
    select array_agg(distinct i.object_key), count(*) = cardinality(row_ids)
    from public.sample_images i where i.id = any (row_ids::uuid[])
$$;

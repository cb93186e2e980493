-- Rows that are soft-deleted and not yet purged, newest first. Each table reads no more than a page from its own
-- index; a null filter does not filter. `$6` is the last time shown, and `$7` to `$10` the ids (one a table)
-- from which on the rows of that time were shown already. `$12` is the id of an entity, `$13` the same as a UUID.
with page as (
    select * from (
        (select 0 as rank, 'user' as entity_type, id, id as user_id, null::text as sample_id, deleted_at, deleted_by
         from public.users
         where ($1::text is null or $1 = 'user')
           and deleted_at is not null
           and ($6::timestamptz is null or (deleted_at, id) < ($6, $7::text))
           and ($2::text is null or deleted_by = $2) and ($3::text is null or id = $3)
           and ($12::text is null or id = $12)
           and ($4::timestamptz is null or deleted_at >= $4) and ($5::timestamptz is null or deleted_at < $5)
         order by deleted_at desc, users.id desc limit $11)
        union all
        (select 1, 'collection', id::text, user_id, null, deleted_at, deleted_by
         from public.collections
         where ($1::text is null or $1 = 'collection')
           and deleted_at is not null
           and ($6::timestamptz is null or (deleted_at, id) < ($6, $8::uuid))
           and ($2::text is null or deleted_by = $2) and ($3::text is null or user_id = $3)
           and ($12::text is null or id = $13::uuid)
           and ($4::timestamptz is null or deleted_at >= $4) and ($5::timestamptz is null or deleted_at < $5)
         order by deleted_at desc, collections.id desc limit $11)
        union all
        (select 2, 'sample', id::text, user_id, id::text, deleted_at, deleted_by
         from public.samples
         where ($1::text is null or $1 = 'sample')
           and deleted_at is not null
           and ($6::timestamptz is null or (deleted_at, id) < ($6, $9::uuid))
           and ($2::text is null or deleted_by = $2) and ($3::text is null or user_id = $3)
           and ($12::text is null or id = $13::uuid)
           and ($4::timestamptz is null or deleted_at >= $4) and ($5::timestamptz is null or deleted_at < $5)
         order by deleted_at desc, samples.id desc limit $11)
        union all
        (select 3, 'sample-image', i.id::text, s.user_id, s.id::text, i.deleted_at, i.deleted_by
         from public.sample_images i join public.samples s on s.id = i.sample_id
         where ($1::text is null or $1 = 'sample-image')
           and i.deleted_at is not null
           and ($6::timestamptz is null or (i.deleted_at, i.id) < ($6, $10::uuid))
           and ($2::text is null or i.deleted_by = $2) and ($3::text is null or s.user_id = $3)
           and ($12::text is null or i.id = $13::uuid)
           and ($4::timestamptz is null or i.deleted_at >= $4) and ($5::timestamptz is null or i.deleted_at < $5)
         order by i.deleted_at desc, i.id desc limit $11)
    ) found
    -- Uuids compare as their lower-case text does byte by byte, which is what "C" says.
    order by deleted_at desc, rank, case when rank > 0 then id end collate "C" desc,
             case when rank = 0 then id end desc
    limit $11
)
select p.entity_type as "entity_type!", p.id as "id!", p.user_id as "user_id!",
       p.deleted_at as "deleted_at!: Timestamp", p.deleted_at as "exact_deleted_at!: ExactTime", p.deleted_by,
       t.id as "task_id?: TaskId", t.scheduled_at as "scheduled_at?: Timestamp"
from page p
left join lateral (
    -- An image's own task before its sample's, and that before its user's.
    select id, scheduled_at from lethe.cleanup_tasks
    where entity_id in (p.id, p.sample_id, p.user_id)
      and ((kind = 'image-delete' and entity_id = p.id) or (kind = 'sample-delete' and entity_id = p.sample_id)
           or (kind = 'user-delete' and entity_id = p.user_id))
    order by kind limit 1
) t on true
order by p.deleted_at desc, p.rank, case when p.rank > 0 then p.id end collate "C" desc,
         case when p.rank = 0 then p.id end desc

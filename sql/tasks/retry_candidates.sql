-- The next tasks that failed or are dead and match a filter, ids ascending from $6 (exclusive), $7 at most. A status that
-- is neither matches none.
select id as "id!: TaskId" from (
    (select id from lethe.cleanup_tasks
     where is_dead and ($1::text is null or $1 = 'dead')
       and ($2::text is null or entity_type = $2) and ($3::text[] is null or entity_id = any ($3))
       and ($4::text is null or user_id = $4) and ($5::text is null or error_class = $5)
       and ($8::text is null or kind = $8) and ($9::bigint is null or parent_id = $9) and id > $6
     order by id limit $7)
    union all
    (select id from lethe.cleanup_tasks
     where status = 'failed' and error_class is not null and ($1::text is null or $1 = 'failed')
       and ($2::text is null or entity_type = $2) and ($3::text[] is null or entity_id = any ($3))
       and ($4::text is null or user_id = $4) and ($5::text is null or error_class = $5)
       and ($8::text is null or kind = $8) and ($9::bigint is null or parent_id = $9) and id > $6
     order by id limit $7)
) candidates
order by id limit $7

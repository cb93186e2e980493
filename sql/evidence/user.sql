-- What is known of a user, and how many rows are theirs, deleted or not, by type.
select lethe_map.has_user($1) as "has_row!",
       lethe_map.user_deleted_at($1) as "deleted_at: Timestamp",
       (select deleted_at from lethe.user_tombstones where user_id = $1) as "requested_at: Timestamp",
       (select deleted_by from lethe.user_tombstones where user_id = $1) as "requested_by",
       (select coalesce(jsonb_object_agg(coalesce(t.plural, c.type), c.rows), '{}')
        from lethe_map.count_rows($1) c left join lethe_map.types() t on t.type = c.type) as "rows!",
       (select count(*) from lethe.cleanup_tasks where user_id = $1) as "open_tasks!"

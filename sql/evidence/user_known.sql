-- Whether there is a row of this user, or was one that an erasure removed: its receipt counts it, or, while the erasure
-- goes on, the audit trail names it.
select lethe_map.has_user($1)
    or exists (select from lethe.receipts where user_id = $1 and (rows_deleted ->> 'user')::bigint > 0)
    or exists (select from lethe.cleanup_audit where user_id = $1 and rows_removed -> 'user' is not null) as "known!"

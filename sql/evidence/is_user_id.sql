-- Whether this can be the id of a user: by the erasure map, or because such a user was erased under an earlier one.
select lethe_map.is_user_id($1)
    or exists (select from lethe.user_tombstones b where b.user_id = $1)
    or exists (select from lethe.receipts r where r.user_id = $1) as "is_user_id!"

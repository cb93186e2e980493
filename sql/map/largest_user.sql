-- Of the first $1 users, the one with the most rows.
select u.id as user_id from lethe_map.user_ids('', $1) u (id)
cross join lateral (select sum(c.rows) as rows from lethe_map.count_rows(u.id) c) n
order by n.rows desc, u.id limit 1

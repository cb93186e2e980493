-- What an erasure of this user would do.
select lethe_map.plan($1) as "plan!"

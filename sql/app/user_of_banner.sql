-- A live user to try an erasure with, other than the owner of the sample, preferably a seeded one.
(select id from public.users where id like 'user\_seed\_%' and deleted_at is null and id is distinct from $1
 order by length(id), id limit 1)
union all
(select id from public.users where deleted_at is null and id is distinct from $1 limit 1)
limit 1

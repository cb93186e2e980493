-- The user's collections that nothing stands in any more, in bites.
delete from collections
where id in (select c.id from collections c
             where c.user_id = $1 and c.deleted_at is not null and not exists (select from samples s where s.collection_id = c.id)
             order by c.id limit $2
             for update skip locked)
returning id

-- Removes a batch of the user's collections that hold no sample any more.
delete from public.collections
where id in (select c.id from public.collections c
             where c.user_id = $1 and c.deleted_at is not null and not exists (select from public.samples s where s.collection_id = c.id)
             order by c.id limit $2
             for update skip locked)
returning id

-- Takes a batch of samples out of the user's collections: those of other users survive them.
update public.samples set collection_id = null
where id in (select s.id from public.collections c join public.samples s on s.collection_id = c.id
             where c.user_id = $1 limit $2
             for no key update of s skip locked)

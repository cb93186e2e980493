-- Locks the soft-deleted samples that may now be empty. A sample that another transaction holds (which adds an
-- image, say) is skipped; its task runs again.
select id from public.samples
where id = any ($1) and deleted_at is not null
order by id
for update skip locked

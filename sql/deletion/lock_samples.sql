-- Locks the soft-deleted samples that may now be empty. One that somebody holds (an image is being
-- added) is passed over; its task looks again.
select id from samples
where id = any ($1) and deleted_at is not null
order by id
for update skip locked

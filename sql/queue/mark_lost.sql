-- Workers whose lease is out are lost: from here on they can renew and claim nothing.
update cleanup_workers set lost_at = now()
where id in (select id from cleanup_workers where lost_at is null and expires_at < now() for update skip locked)

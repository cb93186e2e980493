-- Every delivery is remembered by its Svix id, in the transaction of its effect; a repeat writes nothing.
insert into lethe.webhook_events (svix_id, body_sha256, event_type, user_id)
values ($1, $2, $3, $4)
on conflict do nothing

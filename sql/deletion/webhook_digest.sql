-- Tells a repeat (the same body) from another body under the same Svix id.
select body_sha256 from lethe.webhook_events where svix_id = $1

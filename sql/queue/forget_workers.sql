-- Rows of workers that were rescued an hour ago or earlier and hold nothing.
delete from lethe.cleanup_workers where rescued_at < now() - interval '1 hour'

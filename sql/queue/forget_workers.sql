-- Rows of workers that are long gone and hold nothing.
delete from cleanup_workers where rescued_at < now() - interval '1 hour'

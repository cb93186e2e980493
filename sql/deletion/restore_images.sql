-- Only the images that went with the sample come back, not those deleted before it.
update sample_images set deleted_at = null, deleted_by = null
where sample_id = $1 and deleted_at = $2

-- The keys that turn users' ids into subjects.
select key_id as "key_id!", subject_key as "subject_key!" from lethe.receipt_subject_keys()

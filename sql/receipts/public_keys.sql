-- The keys that receipts were or will be signed with, the newest first.
select key_id as "key_id!", public_key as "public_key!", created_at as "created_at!: Timestamp"
from lethe.receipt_public_keys order by created_at desc, key_id

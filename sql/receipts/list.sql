-- A page of sealed receipts, newest first; with $3 only the one at this place in the chain.
select r.sequence as "sequence!", r.body as "body!", r.hash as "hash!", r.signature as "signature!",
       r.key_id as "key_id!", k.public_key as "public_key!", r.sealed_at as "sealed_at!: Timestamp"
from lethe.receipts r join lethe.receipt_public_keys k on k.key_id = r.key_id
where r.sequence < coalesce($1, 9223372036854775807) and r.sequence = coalesce($3, r.sequence)
order by r.sequence desc limit $2

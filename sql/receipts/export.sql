-- The sealed receipts after $1, in the order of the chain.
select r.sequence as "sequence!", r.body as "body!", r.hash as "hash!", r.signature as "signature!",
       k.public_key as "public_key!"
from lethe.receipts r join lethe.receipt_public_keys k on k.key_id = r.key_id
where r.sequence > $1
order by r.sequence limit $2

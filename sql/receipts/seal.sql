-- The function checks that this is the next receipt of the chain.
select lethe.seal_receipt($1, $2, $3, $4, $5) as "is_sealed!"

-- The last receipt of the chain.
select sequence as "sequence!", hash as "hash!" from lethe.receipts
where sequence is not null order by sequence desc limit 1

-- Whether a receipt waits to be sealed. It reads one entry of a small index.
select exists (select from lethe.receipts where sequence is null) as "has_unsealed!"

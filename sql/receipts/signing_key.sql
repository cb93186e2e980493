-- The newest private key that the database holds.
select lethe.receipt_signing_key() as private_key

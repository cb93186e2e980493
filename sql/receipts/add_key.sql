-- Written with the rights of the schema's owner: nobody else may see the private keys.
select lethe.add_receipt_key($1, $2, $3, $4)

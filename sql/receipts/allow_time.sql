-- The digest of many millions of keys takes longer than the queue's statements may: in this transaction, $1.
select set_config('statement_timeout', $1, true)

-- The tasks of this transaction keep the span of the request that asked for them.
select set_config('lethe.trace_parent', $1, true) as "trace_parent!"

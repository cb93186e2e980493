-- Partitions for the finished tasks of the next days (the function says how).
select lethe.make_partitions($1) as "made!"

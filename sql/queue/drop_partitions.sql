-- Finished tasks past their retention go with their day's partition (the function says which stay).
select lethe.drop_partitions($1) as "dropped!"

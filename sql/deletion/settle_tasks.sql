-- Removes the rows of tasks whose every key was answered for, and ends the tasks (the function says how).
select task_id as "task_id!", result as "result!", error, row_type, named_rows as "named_rows!", other_rows
from lethe_map.settle_tasks($1, $2, $3, $4, $5)

-- Removes the rows of tasks whose every key was answered for, and ends the tasks (the function says how).
select task_id as "task_id!", result as "result!", error, images as "images!", samples as "samples!",
       collections as "collections!", users as "users!"
from lethe.settle_tasks($1, $2, $3, $4, $5)

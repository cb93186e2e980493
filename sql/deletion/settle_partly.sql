-- Removes the rows whose keys are gone of tasks of which other keys remain (the function says how).
select task_id as "task_id!", row_id as "row_id!" from lethe_map.settle_partly($1, $2)

-- A task whose work has not begun becomes a cancelled record, which keeps its keys (the function says how).
select lethe.cancel_task($1) as "cancelled!"

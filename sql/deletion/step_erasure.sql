-- The next step of an erasure (the function says how).
select result as "result!", error, samples as "samples!", collections as "collections!", users as "users!"
from lethe.step_erasure($1, $2, $3)

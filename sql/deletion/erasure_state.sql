-- How far an erasure is: whether a planning pass is open, and whether a part is.
select t.plan_cursor is not null as "planning!",
    exists (select from lethe.cleanup_tasks p where p.parent_id = t.id
            and p.finished_at is null) as "parts_open!"
from lethe.cleanup_tasks t where t.id = $1

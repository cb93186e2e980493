-- The next step of a user's plan (the function says what it does).
select lethe_plan_user($1) as "written!"

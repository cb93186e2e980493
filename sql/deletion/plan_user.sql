-- The next step of a user's plan (the function says what it does).
select lethe.plan_user($1) as "written!"

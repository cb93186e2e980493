-- Which of these tables ($1) show this role only a part of their rows: row level security is on, and the role is
-- neither exempt (superuser, BYPASSRLS) nor an owner who is not forced.
select t.name as "name!" from unnest($1::text[]) t (name)
where row_security_active(to_regclass(t.name))

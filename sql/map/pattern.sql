-- Whether PostgreSQL takes this as a regular expression: it raises an error if not.
select '' ~ $1::text as "matches!"

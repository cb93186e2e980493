-- Any statement that is prepared: behind PgBouncer before 1.21 another server may get it, which does not know it.
select $1::int as "round!"

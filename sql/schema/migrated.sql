-- Whether all of these tables ($1) and functions ($2) are there.
select (not exists (select from unnest($1::text[]) t (name) where to_regclass(name) is null)
        and not exists (select from unnest($2::text[]) f (name) where to_regprocedure(name) is null)) as "is_migrated!"

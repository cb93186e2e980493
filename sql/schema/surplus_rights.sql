-- What this role may do beyond what it needs: on the tables $1, other than the rights $3 on the tables $2 at the same
-- place, and of the functions $4 other than $5. Of somebody who may do everything, only that is said.
with me as (
    select case when r.rolsuper then 'everything: it is a superuser'
                when pg_has_role(n.nspowner, 'member') then 'everything in schema lethe: it owns the schema, or is a member of the owner'
           end as everything
    from pg_roles r cross join pg_namespace n
    where r.rolname = current_user and n.nspname = 'lethe'
)
select me.everything as "surplus!" from me where me.everything is not null
union all
(select p.privilege || ' on ' || t.name
 from me, unnest($1::text[]) t (name)
 cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p (privilege)
 where me.everything is null and has_table_privilege(to_regclass(t.name), p.privilege)
   and not exists (select from unnest($2::text[], $3::text[]) n (name, privilege)
                   where n.name = t.name and n.privilege = p.privilege)
 order by t.name, p.privilege)
union all
(select 'execute on ' || f.name
 from me, unnest($4::text[]) f (name)
 where me.everything is null and has_function_privilege(to_regprocedure(f.name), 'execute') and f.name <> all ($5::text[])
 order by f.name)

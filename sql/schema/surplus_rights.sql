-- What this role may do beyond what it needs: on the tables $1, other than the rights $3 on the tables $2 at the same place,
-- each on the column at the same place of $4 alone if that names one; and of the functions $5 other than $6. Of somebody who
-- may do everything, only that is said.
with me as (
    select case when r.rolsuper then 'everything: it is a superuser'
                when pg_has_role(n.nspowner, 'member') then 'everything in schema lethe: it owns the schema, or is a member of the owner'
           end as everything
    from pg_roles r cross join pg_namespace n
    where r.rolname = current_user and n.nspname = 'lethe'
), needed as (
    select n.name, n.privilege, n.column_name from unnest($2::text[], $3::text[], $4::text[]) n (name, privilege, column_name)
)
select me.everything as "surplus!" from me where me.everything is not null
union all
(select p.privilege || ' on ' || t.name
 from me, unnest($1::text[]) t (name)
 cross join unnest(array['select', 'insert', 'update', 'delete', 'truncate', 'references', 'trigger']) p (privilege)
 where me.everything is null and has_table_privilege(to_regclass(t.name), p.privilege)
   and not exists (select from needed n where n.name = t.name and n.privilege = p.privilege and n.column_name = '')
 order by t.name, p.privilege)
union all
(select 'update (' || quote_ident(a.attname) || ') on ' || t.name
 from me, unnest($1::text[]) t (name)
 join pg_attribute a on a.attrelid = to_regclass(t.name) and a.attnum > 0 and not a.attisdropped
 where me.everything is null and not has_table_privilege(a.attrelid, 'update')
   and has_column_privilege(a.attrelid, a.attnum, 'update')
   and not exists (select from needed n where n.name = t.name and n.privilege = 'update' and n.column_name in ('', a.attname))
 order by t.name, a.attnum)
union all
(select 'execute on ' || f.name
 from me, unnest($5::text[]) f (name)
 where me.everything is null and has_function_privilege(to_regprocedure(f.name), 'execute') and f.name <> all ($6::text[])
 order by f.name)

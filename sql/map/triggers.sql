-- What the application does when a row is deleted: triggers (before = 2, row = 1, delete = 8 in tgtype), rules, and
-- materialised views that hold a copy.
select t.tgrelid::int8 as "table_id!", t.tgname::text as "name!",
       case when t.tgtype & 2 <> 0 then 'before' else 'after' end as "kind!"
from pg_trigger t
where t.tgrelid = any ($1::int8[]::oid[]) and not t.tgisinternal and t.tgparentid = 0
  and t.tgenabled <> 'D' and t.tgtype & 8 <> 0
union all
select r.ev_class::int8, r.rulename::text, 'rule' from pg_rewrite r
where r.ev_class = any ($1::int8[]::oid[]) and r.ev_type = '4' and r.ev_enabled <> 'D'
union all
select distinct d.refobjid::int8, n.nspname || '.' || v.relname, 'copy'
from pg_depend d
join pg_rewrite r on r.oid = d.objid
join pg_class v on v.oid = r.ev_class and v.relkind = 'm'
join pg_namespace n on n.oid = v.relnamespace
where d.classid = 'pg_rewrite'::regclass and d.refclassid = 'pg_class'::regclass
  and d.refobjid = any ($1::int8[]::oid[])
order by 1, 3, 2

-- Who may act in whose name. `deleted_by` is what the audit trail and receipts show, so SQL of the application may not
-- say that an admin, a person at a terminal, Clerk or reconciliation asked. Beside the actor, the audit trail keeps the
-- role that logged in to the database.

-- To execute this function is the right to name such an actor. The schema's owner has it, and the roles of Lethe's own
-- processes (sql/roles.sql).
create function lethe.may_name_any_actor() returns boolean
language sql immutable set search_path = lethe, pg_temp as 'select true';

-- Refuses a reserved actor, unless the role that logged in may name any. It is asked of the session's role, because the
-- functions that call it run with the rights of the schema's owner.
create function lethe.check_actor(actor text) returns void
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    if actor ~* '^\s*((admin|cli|clerk):|reconcile)'
        and not has_function_privilege(session_user, 'lethe.may_name_any_actor()', 'execute')
    then
        raise exception 'deleted_by may not be %: the role % does not belong to Lethe', quote_literal(actor), session_user
            using errcode = 'insufficient_privilege',
                  hint = 'Name the user or the job of your application, such as user:<id> or job:<name>.';
    end if;
end
$$;

-- Rows from before this migration do not say it.
alter table lethe.cleanup_audit add column db_role text;
alter table lethe.cleanup_audit alter column db_role set default session_user;
comment on column lethe.cleanup_audit.db_role is 'The role that logged in to the database.';

-- Nobody calls a function of Lethe's without a grant.
revoke execute on all functions in schema lethe from public;

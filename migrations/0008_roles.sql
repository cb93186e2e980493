-- Roles of the database: beside the actor, the audit trail keeps the role that logged in, and nobody executes a function
-- of Lethe's that was not granted to them (sql/roles.sql).

-- Rows from before this migration do not say it.
alter table lethe.cleanup_audit add column db_role text;
alter table lethe.cleanup_audit alter column db_role set default session_user;
comment on column lethe.cleanup_audit.db_role is 'The role that logged in to the database.';

revoke execute on all functions in schema lethe from public;

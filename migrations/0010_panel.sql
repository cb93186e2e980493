-- For the charts of the panel: the attempts that failed, or did only a part of their work, in the order of time. They
-- are few among the requests in the audit trail. A plain index is enough, because no released version has this table.
create index cleanup_audit_attempts_idx on lethe.cleanup_audit (id)
    where event in ('task-continued', 'task-failed', 'task-dead');

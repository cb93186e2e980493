-- Reconciliation: what is to be erased and has no task is found by a pass of the workers. One row for each
-- source of truth that is compared with; it says whose turn it is and how the last pass went, so that
-- metrics, readiness and `lethe check` of every process tell the same.

create table lethe.cleanup_reconciliations (
    source        text primary key,
    -- When the last pass began; null: one is due now.
    started_at    timestamptz,
    finished_at   timestamptz,
    -- Whose turn it is. A pass that does not renew its claim is given up, and another may begin.
    claimed_by    text,
    claimed_until timestamptz,
    -- The fence: it only grows, one for each turn; every later write of the pass carries it.
    claim_token   bigint not null default 0,
    -- Of the last pass that ended: what it found without a task, and what it wrote tasks for.
    found         bigint not null default 0,
    enqueued      bigint not null default 0,
    -- Why the last pass took nothing: it would have taken too many users at once. Null when it did not.
    stopped       text,
    -- Users that were taken before this do not count against the limit any more: a person has looked since,
    -- and applied a pass by hand.
    counted_from  timestamptz not null default '-infinity',
    -- What the last pass failed with. Null when it did not.
    failed        text,
    constraint cleanup_reconciliations_source_known check (source in ('database', 'clerk')),
    constraint cleanup_reconciliations_claim_whole check ((claimed_by is null) = (claimed_until is null))
);
insert into lethe.cleanup_reconciliations (source) values ('database'), ('clerk');

-- How many users reconciliation took of late: what counts against the limit is not one pass alone. The
-- index has the rows that reconciliation wrote and no others.
create index cleanup_audit_reconciled_idx on lethe.cleanup_audit (at)
    where event = 'user-deletion-requested' and actor in ('reconcile', 'reconcile:clerk');

comment on table lethe.cleanup_reconciliations is 'Whose turn it is to look for what was deleted without a task, and how the last look went.';

-- Receipts that an auditor can check: each completed erasure is sealed once. Its body is signed, and its hash covers
-- the hash of the receipt before, so that none can be changed, left out or put elsewhere unnoticed. A worker seals
-- (src/receipts); receipts written before this migration are sealed too.

-- The keys that sign receipts. `private_key` (PKCS#8) is null for a key that comes from RECEIPT_SIGNING_KEY.
-- `subject_key` turns a user's id into the subject of a receipt. A key is never removed, because old receipts need it.
create table lethe.receipt_keys (
    -- The first 8 bytes of the SHA-256 of the public key, in hex.
    key_id      text primary key,
    public_key  bytea not null,
    private_key bytea,
    subject_key bytea not null,
    created_at  timestamptz not null default now(),
    constraint receipt_keys_key_id_fits check (key_id = left(encode(sha256(public_key), 'hex'), 16)),
    constraint receipt_keys_lengths check (octet_length(public_key) = 32 and octet_length(subject_key) = 32)
);

-- What anybody may know of the keys.
create view lethe.receipt_public_keys as select key_id, public_key, created_at from lethe.receipt_keys;

alter table lethe.receipts
    add column sequence      bigint,
    -- The JSON text that is signed, byte for byte.
    add column body          text,
    add column previous_hash bytea,
    -- SHA-256 of previous_hash and body; the first receipt follows 32 zero bytes.
    add column hash          bytea,
    add column signature     bytea,
    add column key_id        text references lethe.receipt_keys,
    add column sealed_at     timestamptz,
    add constraint receipts_sequence_key unique (sequence),
    add constraint receipts_one_chain unique (previous_hash),
    add constraint receipts_sealed_whole
        check (num_nulls(sequence, body, previous_hash, hash, signature, key_id, sealed_at) in (0, 7));
create index receipts_unsealed_idx on lethe.receipts (id) where sequence is null;

create function lethe.refuse_receipt_change() returns trigger
language plpgsql set search_path = lethe, pg_temp as $$
begin
    if tg_op = 'UPDATE' and old.sequence is null and new.sequence is not null
       and (new.id, new.user_id, new.task_id, new.requested_at, new.requested_by, new.completed_at, new.objects_deleted,
            new.objects_kept, new.rows_deleted, new.rows_kept)
           is not distinct from
           (old.id, old.user_id, old.task_id, old.requested_at, old.requested_by, old.completed_at, old.objects_deleted,
            old.objects_kept, old.rows_deleted, old.rows_kept) then
        return new;
    end if;
    raise exception 'receipts is append-only' using errcode = 'insufficient_privilege',
        hint = 'A receipt is changed once, when lethe.seal_receipt seals it.';
end
$$;
create trigger receipts_append_only before update or delete on lethe.receipts
    for each row execute function lethe.refuse_receipt_change();
create trigger receipts_no_truncate before truncate on lethe.receipts
    for each statement execute function lethe.refuse_receipt_change();

create function lethe.refuse_receipt_key_change() returns trigger
language plpgsql set search_path = lethe, pg_temp as $$
begin
    if tg_op = 'UPDATE' and new.private_key is null
       and (new.key_id, new.public_key, new.subject_key, new.created_at)
           is not distinct from (old.key_id, old.public_key, old.subject_key, old.created_at) then
        return new;
    end if;
    raise exception 'receipt_keys is append-only' using errcode = 'insufficient_privilege',
        hint = 'Old receipts are verified with these keys. Only a private key may be set to null.';
end
$$;
create trigger receipt_keys_append_only before update or delete on lethe.receipt_keys
    for each row execute function lethe.refuse_receipt_key_change();
create trigger receipt_keys_no_truncate before truncate on lethe.receipt_keys
    for each statement execute function lethe.refuse_receipt_key_change();

-- The digest of the object keys that an erasure deleted: the SHA-256 of each key, sorted and grouped by the first
-- byte; the SHA-256 of each group; and of these, in order, the SHA-256. Of a million keys it holds one group in memory.
-- `keys` is their number, which is smaller than that of the receipt if records of tasks were pruned meanwhile.
create function lethe.keys_digest(
    of_user text, since timestamptz, until timestamptz, out digest bytea, out keys bigint)
language plpgsql stable set search_path = lethe, pg_temp as $$
#variable_conflict use_column
begin
    with hashes as (
        select sha256(convert_to(k.key, 'UTF8')) as hash
        from lethe.finished_tasks f cross join lateral unnest(f.object_keys) as k (key)
        where f.user_id = of_user and f.finished_at >= since and f.finished_at <= until and f.status = 'completed'
        union all
        select sha256(convert_to(k.key, 'UTF8'))
        from lethe.cleanup_audit a cross join lateral unnest(a.object_keys) as k (key)
        where a.user_id = of_user and a.at >= since and a.at <= until
    ), groups as (
        select substring(h.hash from 1 for 1) as first_byte, sha256(string_agg(h.hash, ''::bytea order by h.hash)) as digest,
               count(*) as keys
        from hashes h group by substring(h.hash from 1 for 1)
    )
    select sha256(coalesce(string_agg(g.digest, ''::bytea order by g.first_byte), ''::bytea)),
           coalesce(sum(g.keys), 0)::bigint
    into digest, keys
    from groups g;
end
$$;

-- Adds a key, unless it is there.
create function lethe.add_receipt_key(key_id text, public_key bytea, private_key bytea, subject_key bytea) returns void
language sql security definer set search_path = lethe, pg_temp as $$
    insert into lethe.receipt_keys (key_id, public_key, private_key, subject_key)
    values ($1, $2, $3, $4) on conflict do nothing
$$;

-- The newest private key (PKCS#8) that the database holds, for workers; null if it holds none.
create function lethe.receipt_signing_key() returns bytea
language sql stable security definer set search_path = lethe, pg_temp as $$
    select k.private_key from lethe.receipt_keys k
    where k.private_key is not null order by k.created_at desc, k.key_id limit 1
$$;

-- The keys that turn users' ids into the subjects of receipts, for `lethe receipts replay`.
create function lethe.receipt_subject_keys() returns table (key_id text, subject_key bytea)
language sql stable security definer set search_path = lethe, pg_temp as $$
    select k.key_id, k.subject_key from lethe.receipt_keys k
$$;

-- Seals a receipt as the next of the chain. False if it is sealed already. Refused if the body or the hash is not that
-- of the next place, so that the chain has no gap and no fork, even if another role calls.
create function lethe.seal_receipt(receipt_id bigint, body text, hash bytea, signature bytea, key_id text) returns boolean
language plpgsql security definer set search_path = lethe, pg_temp as $$
#variable_conflict use_variable
declare
    head     record;
    next     bigint;
    previous bytea;
begin
    perform pg_advisory_xact_lock(1819567208, -2);
    select r.sequence, r.hash into head
    from lethe.receipts r where r.sequence is not null order by r.sequence desc limit 1;
    next := coalesce(head.sequence, 0) + 1;
    previous := coalesce(head.hash, decode(repeat('00', 32), 'hex'));
    if (body::jsonb ->> 'sequence')::bigint is distinct from next
       or hash is distinct from sha256(previous || convert_to(body, 'UTF8')) then
        raise exception 'the receipt does not follow receipt %', next - 1 using errcode = 'integrity_constraint_violation';
    end if;
    update lethe.receipts r
    set sequence = next, body = body, previous_hash = previous, hash = hash, signature = signature, key_id = key_id,
        sealed_at = now()
    where r.id = receipt_id and r.sequence is null;
    return found;
end
$$;

revoke execute on all functions in schema lethe from public;

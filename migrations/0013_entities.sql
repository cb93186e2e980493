-- Deletes one row of a type that the map opens with `api = true`, in the caller's transaction. `grace` is how long it can
-- be restored. Returns the task's id, the same one when repeated; null when there is no such row.
create function lethe.delete(type text, id text, deleted_by text, grace interval default interval '0') returns bigint
language plpgsql security definer set search_path = lethe, pg_temp set row_security = off as $$
begin
    if not exists (select from lethe_map.types() t where t.type = delete.type and t.is_api) then
        raise exception 'there is no type % that may be deleted alone', quote_nullable(delete.type)
            using errcode = 'invalid_parameter_value', hint = 'Its table needs `api = true` in the erasure map.';
    end if;
    if coalesce(delete.deleted_by, '') = '' then
        raise exception 'deleted_by must not be empty' using errcode = 'invalid_parameter_value';
    end if;
    perform lethe.check_actor(delete.deleted_by);
    return lethe_map.delete_entity(delete.type, delete.id, delete.deleted_by, coalesce(grace, '0'));
end
$$;
comment on function lethe.delete (text, text, text, interval) is 'Deletes one row and what hangs on it. Returns the task that says how far it is.';
revoke execute on function lethe.delete (text, text, text, interval) from public;

-- In PL/pgSQL, which keeps the plans: they are asked for each row. What is_touched asks first stands here too, because a
-- call takes the whole task with all of its keys.

-- Whether an erasure of this user has begun (or ended), so that rows of theirs go. The user is given by Clerk's id or by
-- the application's own.
create function lethe.is_going_user(of_user text, of_key text) returns boolean
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return exists (
        select from lethe.user_tombstones b
        where b.user_id = coalesce(of_user, (select k.user_id from lethe.user_tombstones k where k.user_key = of_key limit 1))
          and not exists (
              select from lethe.cleanup_tasks t
              where t.entity_id = b.user_id and t.kind = 'user-delete' and t.status = 'pending' and t.lease_token = 0
                and not lethe.is_touched(t)));
end
$$;

-- Whether an erasure of this user was asked for that can still be taken back.
create function lethe.is_resting_user(of_user text, of_key text) returns boolean
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return exists (
        select from lethe.cleanup_tasks t
        where t.entity_id = coalesce(of_user, (select k.user_id from lethe.user_tombstones k where k.user_key = of_key limit 1))
          and t.kind = 'user-delete' and t.status = 'pending' and t.lease_token = 0 and not lethe.is_touched(t));
end
$$;

-- The same for one row that is deleted alone.
create function lethe.is_going_entity(of_type text, of_id text) returns boolean
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return exists (
        select from lethe.cleanup_tasks t
        where t.entity_id = of_id and t.entity_type = of_type and t.kind = 'entity-delete'
          and (t.status <> 'pending' or t.lease_token > 0));
end
$$;
create function lethe.is_resting_entity(of_type text, of_id text) returns boolean
language plpgsql stable set search_path = lethe, pg_temp as $$
begin
    return exists (
        select from lethe.cleanup_tasks t
        where t.entity_id = of_id and t.entity_type = of_type and t.kind = 'entity-delete'
          and t.status = 'pending' and t.lease_token = 0 and t.parent_id is null);
end
$$;
revoke execute on function
    lethe.is_going_user (text, text), lethe.is_resting_user (text, text), lethe.is_going_entity (text, text),
    lethe.is_resting_entity (text, text) from public;

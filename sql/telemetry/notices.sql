-- The notices that wait, how old the oldest is, how many were given up, and whether the receiver is gone. Without an
-- endpoint none of them waits for anybody.
select (select count(*) from lethe.notices
        where delivered_at is null and given_up_at is null and s.endpoint is not null) as "waiting!",
       coalesce((select extract(epoch from clock_timestamp() - created_at)::float8 from lethe.notices
                 where delivered_at is null and given_up_at is null and s.endpoint is not null
                 order by created_at limit 1), 0) as "oldest_seconds!",
       (select count(*) from lethe.notices where given_up_at is not null) as "given_up!",
       (s.disabled_at is not null) as "disabled!"
from lethe.notice_settings s

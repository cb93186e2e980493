-- Which server answers, and as whom.
select current_setting('server_version_num')::int as "number!", current_setting('server_version') as "version!",
       current_user::text as "role!"

-- Which server, database and role this is, for the report.
select current_setting('server_version') as "version!", current_database()::text as "database!",
       current_user::text as "role!"

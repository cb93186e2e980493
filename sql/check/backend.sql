-- Which server process this connection has at the moment.
select pg_backend_pid() as "pid!"

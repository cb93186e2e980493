-- The version of TLS that the server sees on this connection; null without TLS. Behind a pooler it is the pooler's.
select version from pg_stat_ssl where pid = pg_backend_pid()

-- What the record of migrations holds. Run without the compiler's check, because sqlx makes this table itself.
select version, checksum, success from lethe._sqlx_migrations order by version

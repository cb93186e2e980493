-- What an application needs of Lethe: to call its three functions. They run with the rights of the schema's owner, so
-- the application may neither read nor write what stands in the schema `lethe`.
grant usage on schema lethe to app;
grant execute on function
    lethe.delete_user(text, text),
    lethe.delete_sample(uuid, text, interval),
    lethe.delete_image(uuid, text, interval)
to app;

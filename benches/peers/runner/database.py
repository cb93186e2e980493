"""A fresh database for each peer and case, and the tables of the erasure."""

import uuid
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

SCHEMA = """
create table samples (id uuid primary key);
create table sample_images (
    id uuid primary key,
    sample_id uuid not null references samples,
    object_key text not null
);
create index sample_images_sample_id on sample_images (sample_id);
"""

# Lethe's own tables of an application, with their indexes: the same deletes are the same work.
USERS_SCHEMA = """
create table users (id text primary key);
create table collections (id uuid primary key default gen_random_uuid(), user_id text not null references users);
create table samples (
    id uuid primary key default gen_random_uuid(),
    user_id text not null references users,
    collection_id uuid references collections on delete set null
);
create table sample_images (
    id uuid primary key default gen_random_uuid(),
    sample_id uuid not null references samples,
    object_key text not null
);
create index collections_user_id_idx on collections (user_id, id);
create index samples_user_id_idx on samples (user_id, id);
create index samples_collection_id_idx on samples (collection_id) where collection_id is not null;
create index sample_images_sample_id_idx on sample_images (sample_id, id);
create index sample_images_object_key_idx on sample_images (object_key);
"""
SAMPLES_PER_USER, IMAGES_PER_SAMPLE = 5, 2


def check(server_url: str) -> None:
    """Ends the run with a remedy when the server can't be used."""
    try:
        with psycopg.connect(server_url, connect_timeout=10) as server:
            allowed = server.execute("select rolcreatedb or rolsuper from pg_roles where rolname = current_user").fetchone()[0]
    except psycopg.Error as error:
        raise SystemExit(f"PostgreSQL can't be reached: {error}\nstart it, or correct --database-url") from error
    if not allowed:
        raise SystemExit("the user of --database-url may not create databases: alter role … createdb")


@contextmanager
def fresh(server_url: str, peer: str, case: str):
    """Creates an empty database, yields its URL, and drops it whatever happened."""
    name = f"peer_{peer}_{case}".replace("-", "_")
    drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(drop)
        server.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        with psycopg.connect(server_url, autocommit=True) as server:
            server.execute(drop)


def settle(database_url: str) -> None:
    """Vacuums and checkpoints, so that no peer pays for the seeding before it."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("vacuum analyze")
        try:
            connection.execute("checkpoint")
        except psycopg.errors.InsufficientPrivilege:
            pass  # A managed server may refuse it; the figures are then a little noisier.


def seed_samples(database_url: str, count: int) -> list[str]:
    """Writes the samples, one image each, and returns the images' object keys."""
    ids = [uuid.uuid4() for _ in range(count)]
    keys = [f"peers/{sample}.jpg" for sample in ids]
    with psycopg.connect(database_url) as connection:
        connection.execute(SCHEMA)
        with connection.cursor().copy("copy samples (id) from stdin") as copy:
            for sample in ids:
                copy.write_row((sample,))
        with connection.cursor().copy("copy sample_images (id, sample_id, object_key) from stdin") as copy:
            for sample, key in zip(ids, keys):
                copy.write_row((uuid.uuid4(), sample, key))
    return keys


def seed_users(database_url: str, count: int) -> list[str]:
    """Writes users of five samples and ten images each, and returns the images' object keys."""
    with psycopg.connect(database_url) as connection:
        connection.execute(USERS_SCHEMA)
        connection.execute("insert into users select 'user_' || n from generate_series(1, %s) n", [count])
        connection.execute("insert into collections (user_id) select id from users")
        connection.execute("insert into samples (user_id, collection_id) select user_id, id from collections, generate_series(1, %s)", [SAMPLES_PER_USER])
        connection.execute("insert into sample_images (sample_id, object_key) select id, 'peers/' || id || '/' || n from samples, generate_series(1, %s) n", [IMAGES_PER_SAMPLE])
        return [key for (key,) in connection.execute("select object_key from sample_images")]

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

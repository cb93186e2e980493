"""PgQueuer as a peer; ../PROTOCOL.md says what each verb reads and writes."""

import asyncio
import json
import os
import sys
import time
from contextlib import AsyncExitStack

import asyncpg
import uvloop
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

DELETE_ROWS = """with images as (delete from sample_images where sample_id = $1)
    delete from samples where id = $1"""
ENQUEUE_BATCH = 10_000  # jobs a statement
REPORT_SECONDS = 0.005

# README.md says where the figures come from.
SETTINGS = {
    "queue": {"batch_size": 1000, "pool_connections": 8},
    "wake": {"batch_size": 10, "pool_connections": 4},
    "erasure": {"batch_size": 32, "max_concurrent_tasks": 64, "pool_connections": 16},
}


def say(line: str) -> None:
    print(line, flush=True)


async def connect() -> asyncpg.Connection:
    return await asyncpg.connect(os.environ["PEER_DATABASE_URL"])


async def lines() -> "asyncio.StreamReader":
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


async def report(handled: list[int]) -> None:
    last = 0
    while True:
        if handled[0] != last:
            last = handled[0]
            say(f"handled {last}")
        await asyncio.sleep(REPORT_SECONDS)


def register(queuer: PgQueuer, pool: asyncpg.Pool, s3, handled: list[int]) -> None:
    bucket = os.environ.get("PEER_S3_BUCKET")

    @queuer.entrypoint("noop")
    async def noop(_job: Job) -> None:
        handled[0] += 1

    @queuer.entrypoint("wake")
    async def wake(job: Job) -> None:
        started = time.time_ns()
        say(f"started {job.payload.decode()} {started}")

    @queuer.entrypoint("erase")
    async def erase(job: Job) -> None:
        sample = json.loads(job.payload)
        for key in sample["keys"]:
            await s3.delete_object(Bucket=bucket, Key=key)
        await pool.execute(DELETE_ROWS, sample["id"])
        handled[0] += 1


async def work(case: str) -> None:
    settings = dict(SETTINGS[case])
    connections = settings.pop("pool_connections")
    handled = [0]
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            asyncpg.create_pool(os.environ["PEER_DATABASE_URL"], min_size=connections, max_size=connections)
        )
        s3 = None
        if case == "erasure":
            config = AioConfig(s3={"addressing_style": "path"}, max_pool_connections=settings["max_concurrent_tasks"])
            s3 = await stack.enter_async_context(
                get_session().create_client(
                    "s3", endpoint_url=os.environ["PEER_S3_ENDPOINT"], region_name=os.environ["AWS_REGION"], config=config
                )
            )
        queuer = PgQueuer.from_asyncpg_pool(pool)
        register(queuer, pool, s3, handled)
        commands = await lines()
        say("ready")
        await commands.readline()
        reporting = asyncio.create_task(report(handled))
        running = asyncio.create_task(queuer.run(**settings))
        say("running")
        ended = asyncio.create_task(commands.readline())
        await asyncio.wait((running, ended), return_when=asyncio.FIRST_COMPLETED)
        queuer.shutdown.set()
        await running
        reporting.cancel()


async def enqueue(entrypoint: str, payloads: list[bytes]) -> None:
    connection = await connect()
    queries = Queries(AsyncpgDriver(connection))
    for start in range(0, len(payloads), ENQUEUE_BATCH):
        part = payloads[start : start + ENQUEUE_BATCH]
        await queries.enqueue([entrypoint] * len(part), part, [0] * len(part))
    await connection.close()


async def enqueue_samples() -> None:
    connection = await connect()
    rows = await connection.fetch("select sample_id, array_agg(object_key) as keys from sample_images group by sample_id")
    await connection.close()
    await enqueue("erase", [json.dumps({"id": str(row["sample_id"]), "keys": row["keys"]}).encode() for row in rows])


async def enqueue_wake() -> None:
    connection = await connect()
    queries = Queries(AsyncpgDriver(connection))
    ids = await lines()
    say("ready")
    while line := await ids.readline():
        name = line.decode().strip()
        async with connection.transaction():
            await queries.enqueue("wake", name.encode())
            committed = time.time_ns()
        say(f"committed {name} {committed}")
    await connection.close()


async def migrate() -> None:
    connection = await connect()
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


async def main() -> None:
    verb, argument = (sys.argv + ["", ""])[1:3]
    match verb:
        case "settings":
            say(json.dumps(SETTINGS[argument]))
        case "migrate":
            await migrate()
        case "enqueue":
            await enqueue("noop", [b"%d" % number for number in range(int(argument))])
        case "enqueue-samples":
            await enqueue_samples()
        case "enqueue-wake":
            await enqueue_wake()
        case "work":
            await work(argument)
        case _:
            sys.exit("usage: peer.py settings|migrate|enqueue|enqueue-samples|enqueue-wake|work [argument]")


uvloop.run(main())

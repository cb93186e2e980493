"""The cases. Each returns the measured part of a result."""

import json
import os
import time

import psycopg

from . import database
from .objects import Objects
from .peers import Peer
from .process import START_SECONDS, Process, call

WAKE_SAMPLES = 200
WAKE_GAP_SECONDS = 0.03
WAKE_WARM_UP = 10  # samples that are not counted: prepared statements, just-in-time compilers
IDLE_SECONDS = 1.0  # a worker that has just started is not idle yet
STALL_SECONDS = 60  # without any progress
REMAINING_POLL_SECONDS = 0.002


def environment(url: str, endpoint: str | None, bucket: str | None) -> dict[str, str]:
    extra = {"PEER_DATABASE_URL": url, "AWS_EC2_METADATA_DISABLED": "true"}
    if endpoint and bucket:
        extra |= {"PEER_S3_ENDPOINT": endpoint, "PEER_S3_BUCKET": bucket}
    return {**os.environ, **extra}


def drain(peer: Peer, command: list[str], case: str, count: int, env: dict[str, str]) -> dict:
    """Starts the workers on a full queue and times until nothing remains."""
    database.settle(env["PEER_DATABASE_URL"])
    workers = [Process([*command, "work", case], env) for _ in range(peer.processes.get(case, 1))]
    try:
        for worker in workers:
            worker.expect("ready")
        handled = [0] * len(workers)
        with psycopg.connect(env["PEER_DATABASE_URL"], autocommit=True) as connection:
            begun = progress = time.perf_counter()
            for worker in workers:
                worker.send("go")
            while sum(handled) < count:
                before = sum(handled)
                for index, worker in enumerate(workers):
                    while not worker.lines.empty():
                        word, *rest = worker.next(START_SECONDS).split()
                        if word == "handled":
                            handled[index] = int(rest[0])
                if sum(handled) > before:
                    progress = time.perf_counter()
                elif time.perf_counter() - progress > STALL_SECONDS:
                    raise RuntimeError(f"stalled at {before} of {count}\n" + "\n".join(w.error_text() for w in workers))
                time.sleep(REMAINING_POLL_SECONDS)
            while connection.execute(peer.remaining).fetchone()[0]:
                if time.perf_counter() - progress > STALL_SECONDS:
                    raise RuntimeError("the handlers saw every job, but the queue still holds some unfinished")
                time.sleep(REMAINING_POLL_SECONDS)
            seconds = time.perf_counter() - begun
        if sum(handled) > count:
            raise RuntimeError(f"{sum(handled)} jobs were handled for {count} enqueued")
    finally:
        for worker in workers:
            worker.stop()
    return {"count": count, "seconds": round(seconds, 3), "per_second": round(count / seconds, 1)}


def queue(peer: Peer, command: list[str], count: int, env: dict[str, str]) -> dict:
    call([*command, "enqueue", str(count)], env)
    return drain(peer, command, "queue", count, env)


def wake(peer: Peer, command: list[str], env: dict[str, str]) -> dict:
    """From just before COMMIT is sent to the start of the handler, on an idle worker."""
    worker = Process([*command, "work", "wake"], env)
    enqueuer = Process([*command, "enqueue-wake"], env)
    times: list[float] = []
    try:
        worker.expect("ready")
        enqueuer.expect("ready")
        worker.send("go")
        worker.expect("running")
        time.sleep(IDLE_SECONDS)
        begun = time.perf_counter()
        for number in range(WAKE_WARM_UP + WAKE_SAMPLES):
            enqueuer.send(str(number))
            _, committed = enqueuer.expect("committed")
            handled, started = worker.expect("started")
            if int(handled) != number:
                raise RuntimeError(f"job {handled} ran where {number} was expected")
            times.append((int(started) - int(committed)) / 1e6)
            time.sleep(WAKE_GAP_SECONDS)
        seconds = time.perf_counter() - begun
    finally:
        enqueuer.stop()
        worker.stop()
    counted = sorted(times[WAKE_WARM_UP:])
    return {
        "count": len(counted), "seconds": round(seconds, 3),
        "p50_ms": round(counted[len(counted) // 2], 2),
        "p99_ms": round(counted[int(len(counted) * 0.99) - 1], 2),
        "max_ms": round(counted[-1], 2),
    }


def erasure(peer: Peer, command: list[str], case: str, count: int, env: dict[str, str], objects: Objects) -> dict:
    seed = database.seed_users if case == "erasure-users" else database.seed_samples
    objects.clear()
    objects.seed(seed(env["PEER_DATABASE_URL"], count))
    call([*command, "enqueue-samples", case], env)
    result = drain(peer, command, case, count, env)
    with psycopg.connect(env["PEER_DATABASE_URL"]) as connection:
        tables = ["samples", "sample_images"] + (["users", "collections"] if case == "erasure-users" else [])
        rows = sum(connection.execute(f"select count(*) from {table}").fetchone()[0] for table in tables)
    left = objects.left()
    if rows or left:
        raise RuntimeError(f"the queue is empty, but {rows} rows and {left} objects are left")
    return result


def settings(command: list[str], case: str, env: dict[str, str]) -> dict:
    return json.loads(call([*command, "settings", case], env))

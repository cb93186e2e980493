"""Command line, table and JSON."""

import argparse
import json
import statistics
import sys
import traceback
from pathlib import Path

from . import cases, database, lethe
from .objects import Objects
from .peers import PEERS, Peer, Unavailable

QUEUE_COUNT = 200_000
ERASURE_COUNT = 5_000  # samples, or users
FIELDS = ["peer", "version", "case", "count", "seconds", "per_second", "p50_ms", "p99_ms", "max_ms"]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches/peers/run", description="Benchmarks other PostgreSQL queues.")
    parser.add_argument("--database-url", required=True, help="a server where databases may be created: postgres://user:password@host:port/postgres")
    parser.add_argument("--s3-endpoint", help="http://host:port of the S3 server (erasure)")
    parser.add_argument("--bucket", help="a bucket that exists; keys below peers/ are written and deleted (erasure)")
    parser.add_argument("--case", choices=["queue", "wake", "erasure", "erasure-users", "all"], default="all")
    parser.add_argument("--peers", help="names separated by commas; default: " + ",".join(peer.name for peer in PEERS))
    parser.add_argument("--count", type=int, help=f"jobs (default {QUEUE_COUNT}), or samples or users (default {ERASURE_COUNT})")
    parser.add_argument("--rounds", type=int, default=1, help="so often, the peers in turns; the table shows medians (default 1)")
    parser.add_argument("--lethe", type=Path, help="a release build of lethe, measured in turn with the peers")
    parser.add_argument("--json", type=Path, help="where the results are written")
    options = parser.parse_args()
    options.objects = options.case not in ("queue", "wake")
    if options.objects and not (options.s3_endpoint and options.bucket):
        parser.error("the erasure needs --s3-endpoint and --bucket; leave it out with --case queue or --case wake")
    known = {peer.name: peer for peer in PEERS}
    names = options.peers.split(",") if options.peers else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"no peer is called {', '.join(unknown)}; there are {', '.join(known)}")
    if min(options.rounds, options.count or 1) < 1:
        parser.error("--count and --rounds must be 1 or more")
    options.peers = [known[name] for name in names]
    return options


def wanted(peer: Peer, case: str) -> list[str]:
    return [name for name in peer.cases if case == "all" or name.removesuffix("-batch") == case]


def measure(peer: Peer, command: list[str], case: str, options: argparse.Namespace, objects: Objects | None) -> dict:
    with database.fresh(options.database_url, peer.name, case) as url:
        env = cases.environment(url, options.s3_endpoint, options.bucket)
        cases.call([*command, "migrate"], env)
        if case == "queue":
            figures = cases.queue(peer, command, options.count or QUEUE_COUNT, env)
        elif case == "wake":
            figures = cases.wake(peer, command, env)
        else:
            figures = cases.erasure(peer, command, case, options.count or ERASURE_COUNT, env, objects)
        processes = {"processes": peer.processes.get(case, 1)}
        result = {"peer": peer.name, "version": peer.version, "case": case, "settings": processes | cases.settings(command, case, env)}
    return {name: (result | figures).get(name) for name in [*FIELDS, "settings"]}


def table(results: list[dict]) -> str:
    rows = [FIELDS] + [["" if result[name] is None else f"{result[name]:,}" if isinstance(result[name], (int, float)) else result[name] for name in FIELDS] for result in results]
    widths = [max(len(row[column]) for row in rows) for column in range(len(FIELDS))]
    return "\n".join("  ".join(cell.ljust(width) if column < 3 else cell.rjust(width) for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def medians(results: list[dict]) -> list[dict]:
    """One row for all rounds of the same peer and case."""
    groups: dict[tuple, list[dict]] = {}
    for result in results:
        variant = (result.get("settings") or {}).get("variant")
        groups.setdefault((result["peer"], result["case"], variant), []).append(result)
    rows = []
    for rounds in groups.values():
        numbers = {name: [row[name] for row in rounds if isinstance(row.get(name), (int, float))] for name in FIELDS}
        rows.append(rounds[0] | {name: round(statistics.median(values), 3) for name, values in numbers.items() if values})
    return rows


def prepare(peers: list[Peer], failed: list[str]) -> list[tuple[Peer, list[str]]]:
    """Installs or builds the peers, and returns those that can run with their commands."""
    prepared = []
    for peer in peers:
        print(f"{peer.name} {peer.version}: preparing", file=sys.stderr, flush=True)
        try:
            prepared.append((peer, peer.prepare()))
        except Unavailable as reason:
            print(f"{peer.name}: left out, {reason}", file=sys.stderr)
        except Exception as error:
            print(f"{peer.name}: {error}", file=sys.stderr)
            failed.append(peer.name)
    return prepared


def main() -> int:
    options = arguments()
    database.check(options.database_url)
    objects = Objects(options.s3_endpoint, options.bucket) if options.objects else None
    results: list[dict] = []
    failed: list[str] = []
    turns = [(peer.name, case, lambda peer=peer, command=command, case=case: [measure(peer, command, case, options, objects)])
             for peer, command in prepare(options.peers, failed) for case in wanted(peer, options.case)]
    if options.lethe:
        turns += [("lethe", case, lambda case=case: lethe.measure(options.lethe, case, options.database_url))
                  for case in lethe.CASES if options.case in (case, "all")]
    for number in range(1, options.rounds + 1):
        for name, case, turn in turns:
            print(f"round {number} of {options.rounds}, {name}: {case}", file=sys.stderr, flush=True)
            try:
                results += [{**dict.fromkeys([*FIELDS, "settings"]), **result, "round": number} for result in turn()]
            except RuntimeError as error:
                print(f"{name} {case}: {error}", file=sys.stderr)
                failed.append(f"{name} {case}")
            except Exception:
                traceback.print_exc()
                failed.append(f"{name} {case}")
            if options.json:
                options.json.write_text(json.dumps(results, indent=2) + "\n")
    print(table(medians(results)))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


sys.exit(main())

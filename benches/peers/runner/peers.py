"""The peers: how each is installed, started, and asked whether work remains."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class Unavailable(Exception):
    """A tool that a peer needs is not on this machine; the message says which."""


@dataclass(frozen=True)
class Peer:
    name: str
    version: str
    # Installs or builds the peer and returns the command that the verbs are added to.
    prepare: Callable[[], list[str]]
    # One row with one boolean: is a job still to be done? Asked only after the handlers saw everything.
    remaining: str
    cases: tuple[str, ...] = ("queue", "wake", "erasure")
    # Worker processes for a case, where more than one was faster (README.md).
    processes: dict[str, int] = field(default_factory=dict)


def need(tool: str, remedy: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise Unavailable(f"{tool} is missing: {remedy}")
    return path


def install(command: list[str], folder: Path, env: dict[str, str] | None = None) -> None:
    """Runs an installation quietly; its output is shown only when it fails."""
    done = subprocess.run(command, cwd=folder, env={**os.environ, **(env or {})}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} in {folder} failed:\n{done.stdout[-4000:]}")


def node() -> list[str]:
    folder = ROOT / "graphile-worker"
    npm = need("npm", "install Node.js 20 or later with npm")
    stamp = folder / "node_modules" / ".installed"
    lock = (folder / "package-lock.json").read_text()
    if not stamp.exists() or stamp.read_text() != lock:
        install([npm, "ci", "--no-audit", "--no-fund"], folder)
        stamp.write_text(lock)
    # Graphile Worker 0.18 asks for Node 22.18; the lock holds one for Linux, for machines with an older one.
    version = subprocess.run(["node", "--version"], capture_output=True, text=True).stdout
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "none")
    own = folder / "node_modules" / f"node-linux-{machine}" / "bin" / "node"
    if numbers >= (22, 18):
        return ["node", str(folder / "peer.mjs")]
    if own.exists():
        return [str(own), str(folder / "peer.mjs")]
    raise Unavailable(f"Node.js 22.18 or later is missing (found {version.strip() or 'none'})")


def go() -> list[str]:
    folder = ROOT / "river"
    tool = need("go", "install Go 1.26 or later")
    install([tool, "build", "-mod=readonly", "-o", "river", "."], folder)
    return [str(folder / "river")]


def python() -> list[str]:
    folder = ROOT / "pgqueuer"
    venv, lock = folder / ".venv", folder / "requirements.txt"
    stamp = venv / "installed.txt"
    if not stamp.exists() or stamp.read_text() != lock.read_text():
        install([need("python3", "install Python 3.11 or later"), "-m", "venv", "--clear", str(venv)], folder)
        install([str(venv / "bin/pip"), "install", "--disable-pip-version-check", "--require-hashes", "-r", str(lock)], folder)
        stamp.write_text(lock.read_text())
    return [str(venv / "bin/python"), str(folder / "peer.py")]


def cargo(name: str) -> Callable[[], list[str]]:
    def prepare() -> list[str]:
        # One target folder for all Rust peers, so that what they share is built once; CARGO_TARGET_DIR is respected.
        target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
        tool = need("cargo", "install Rust 1.95 or later")
        install([tool, "build", "--release", "--locked"], ROOT / name, {"CARGO_TARGET_DIR": str(target)})
        return [str(target / "release" / f"peer-{name}")]

    return prepare


# The terms of awa's own exact count (queue_counts_exact in awa-model), read as enqueued and not ended. The view awa.jobs
# says the same, but joins every job of the drain.
AWA_REMAINING = """
    select (select coalesce(sum(awa.sequence_next_value(seq_name) - 1), 0) from awa.queue_enqueue_heads)
         > (select coalesce(sum(live_terminal_count), 0) from awa.queue_terminal_live_counts)
         + (select coalesce(sum(terminal_delta), 0) from awa.queue_terminal_count_deltas)
         + (select coalesce(sum(completed_count), 0) from awa.receipt_completion_batches)
         - (select count(*) from awa.receipt_completion_tombstones)
         + (select coalesce(sum(pruned_completed_count + pruned_failed_count), 0) from awa.queue_terminal_rollups)
"""

PEERS = [
    Peer("graphile-worker", "0.18.0", node,
         "select exists (select from graphile_worker._private_jobs)",
         cases=("queue", "wake", "erasure", "erasure-batch", "erasure-users")),
    Peer("river", "0.51.1", go,
         "select exists (select from river_job where state <> 'completed')",
         cases=("queue", "wake", "erasure", "erasure-users")),
    Peer("graphile-worker-rs", "0.14.1", cargo("graphile-worker-rs"),
         "select exists (select from graphile_worker._private_jobs)",
         cases=("queue", "wake", "erasure", "erasure-batch", "erasure-users")),
    Peer("awa", "0.6.9", cargo("awa"), AWA_REMAINING),
    Peer("apalis-postgres", "1.0.0", cargo("apalis-postgres"),
         "select exists (select from apalis.jobs where status <> 'Done')"),
    Peer("pgqueuer", "1.6.0", python,
         "select exists (select from pgqueuer)",
         processes={"queue": 2, "erasure": 2}),
]

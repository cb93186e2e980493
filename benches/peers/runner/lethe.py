"""Lethe's own benchmark as one more row, so that it is measured in turn with the peers."""

import json
import subprocess
import tempfile
from pathlib import Path

# The case of `lethe bench`, and what its report calls the case.
CASES = {"queue": ("queue", "queue"), "erasure": ("samples", "single samples"), "erasure-users": ("small-users", "small users")}


def measure(program: Path, case: str, server_url: str) -> list[dict]:
    """Runs one case at the standard scale. Lethe brings its own S3 server, of the same kind as `lethe bench --serve`."""
    name, reported = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "lethe.json"
        command = [str(program.resolve()), "bench", name, "--server-url", server_url, "--json", str(report)]
        done = subprocess.run(command, text=True, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
        measured = json.loads(report.read_text())
    return [
        {"peer": "lethe", "version": measured["lethe"], "case": case, "per_second": round(figure["value"], 1),
         "settings": {"variant": figure["variant"], "floor": figure["floor"]} | dict(figure.get("more", []))}
        for figure in measured["figures"] if figure["case"] == reported
    ]

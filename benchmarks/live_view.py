"""What the live view costs: the processor time of a build-heavy sync with it and without it.

Run it from the repository's root: ``python -m benchmarks.live_view``. Each of the sources burns a
few seconds of processor time while it prints a thousand lines, as a compiler would.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.dists import project, sdist
from tests.support.index import Index
from tests.support.pipshim import Cli

BACKEND = """
from engine import *
import time, engine
def build_wheel(*a, **k):
    end = time.process_time() + {seconds}
    for number in range(1000):
        print(f"[{{number}}/1000] c++ -O2 -c kernel_{{number}}.cpp -o kernel.o", flush=True)
        while time.process_time() < end - {seconds} * (1 - number / 1000): pass
    return engine.build_wheel(*a, **k)
"""
MEASURED = """
import atexit, json, resource, sys
def note():
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    seconds = [one.ru_utime + one.ru_stime for one in used]
    json.dump(seconds, open(sys.argv.pop(), "w"))
atexit.register(note)
from pipshim.__main__ import main
status = main(sys.argv[1:-1])
sys.exit(status)
"""


def measure(cli: Cli, directory: Path, *options: str) -> tuple[float, float]:
    """Sync in a pseudo-terminal; give the processor time of pipshim itself, and of the builds."""
    notes = directory / "notes"
    ours, theirs = pty.openpty()
    reading = threading.Thread(target=drain, args=(ours,))
    reading.start()
    environ = {**cli.env, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
    environ.pop("CI", None)
    environ["PIPSHIM_CACHE_DIR"] = tempfile.mkdtemp(dir=directory)
    subprocess.run(
        [sys.executable, "-c", MEASURED, "sync", "--reinstall", *options, notes],
        check=True,
        cwd=cli.cwd,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    reading.join()
    own, builds = json.loads(notes.read_text())
    return own, builds


def drain(terminal: int) -> None:
    """Read what is written to a terminal, until it is closed."""
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:
        os.close(terminal)


def main() -> None:
    """Measure, and print a line a kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--builds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Index() as index:
        directory = Path(name)
        source = BACKEND.format(seconds=asked.seconds)
        names = [f"heavy-{number}" for number in range(asked.builds)]
        index.add(*(sdist(directory, one, "1.0", backend_source=source) for one in names))
        folder = project(directory / "project", dependencies=names)
        cli = Cli(directory / "cli", cwd=folder, index_url=index.url_with_credentials)
        cli.ok("lock")
        kinds = {"plain": ["--progress", "plain"], "live": [], "live -v": ["-v"]}
        found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
        for _ in range(asked.rounds):
            for kind, options in kinds.items():
                found[kind].append(measure(cli, directory, *options))
    base = statistics.median(own for own, _ in found["plain"])
    for kind, times in found.items():
        own = statistics.median(one for one, _ in times)
        builds = statistics.median(one for _, one in times)
        share = 100 * (own - base) / (own + builds)
        print(f"{kind:8} pipshim {own:5.2f} s, builds {builds:5.2f} s: {share:+.1f} % over plain")


if __name__ == "__main__":
    main()

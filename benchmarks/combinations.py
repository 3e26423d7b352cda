"""Time a lock of 40 packages with three combinations of extras against one without conflicts.

    python -m benchmarks.combinations [--rounds 5]

The packages are tiny and come from local indexes, which answer after 20 ms. Both projects have the
same dependencies; the caches are empty at first (cold), or filled by an earlier lock (warm).
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.dists import project, wheel
from tests.support.index import Index

PACKAGES = 38
TORCHES = {"cpu": "2.9.0+cpu", "cu128": "2.9.0+cu128"}


def fill(main: Index, torches: dict[str, Index], folder: Path) -> list[str]:
    """Put 40 packages, in three versions each, on the indexes; return what a project requires."""
    names = [f"package-{number}" for number in range(PACKAGES)]
    for number, name in enumerate(names):
        requires = [f"{other}>=1.1" for other in names[number + 1 : number + 4]]
        if number % 5 == 0:
            requires.append("torch")
        for minor in range(3):
            main.add(wheel(folder, name, f"1.{minor}", requires=requires))
    main.add(wheel(folder, "filelock", "3.0"), wheel(folder, "torch", "2.9.0"))
    for name, version in TORCHES.items():
        torches[name].add(wheel(folder / name, "torch", version, requires=["filelock"]))
    return names[:8]


def write(folder: Path, requires: list[str], torches: dict[str, Index], *, conflict: bool) -> Path:
    """Write a project, with extras that exclude each other or with one of the indexes only."""
    settings = "".join(
        f'[[tool.pipshim.index]]\nname = "{name}"\nurl = "{index.url}"\nexplicit = true\n'
        for name, index in torches.items()
    )
    if not conflict:
        settings += '[tool.pipshim.sources]\ntorch = { index = "cpu" }\n'
        return project(folder, settings, dependencies=[*requires, "torch"])
    entries = ", ".join(f'{{ index = "{name}", extra = "{name}" }}' for name in torches)
    members = ", ".join(f'{{ extra = "{name}" }}' for name in torches)
    settings += f"[tool.pipshim.sources]\ntorch = [{entries}]\n"
    settings += f"[tool.pipshim]\nconflicts = [[{members}]]\n"
    extras = {name: ["torch"] for name in torches}
    return project(folder, settings, dependencies=requires, extras=extras)


def lock(folder: Path, cache: Path, index: Index) -> tuple[float, float]:
    """Lock a project anew; return the seconds it took, and those of the processor."""
    (folder / "pylock.toml").unlink(missing_ok=True)
    # Nothing but these indexes counts.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    variables |= {"PIP_CACHE_DIR": str(cache), "PIP_INDEX_URL": index.url}
    variables |= {"PIP_CONFIG_FILE": os.devnull}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    start, before = time.monotonic(), _processor_seconds()
    command = [sys.executable, "-m", "pipshim", "lock", "-q", "--project", str(folder)]
    subprocess.run(command, check=True, env=variables)
    return time.monotonic() - start, _processor_seconds() - before


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure, in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        index = stack.enter_context(Index())
        torches = {name: stack.enter_context(Index()) for name in TORCHES}
        requires = fill(index, torches, folder / "files")
        for one in (index, *torches.values()):
            one.latency = 0.02
        projects = {
            "without conflicts": write(folder / "plain", requires, torches, conflict=False),
            "3 combinations": write(folder / "conflict", requires, torches, conflict=True),
        }
        times: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for _ in range(rounds):
            for name, place in projects.items():
                cache = folder / "cache" / name
                shutil.rmtree(cache, ignore_errors=True)
                for state in ("cold", "warm"):
                    times.setdefault((state, name), []).append(lock(place, cache, index))
        for state in ("cold", "warm"):
            for at, what in enumerate(("wall", "processor")):
                plain, several = (
                    statistics.median(seconds[at] for seconds in times[state, name])
                    for name in projects
                )
                ratio = several / plain
                print(f"{state}, {what}: {plain:.2f} s, {several:.2f} s, {ratio:.2f} times as long")


if __name__ == "__main__":
    main()

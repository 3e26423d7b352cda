"""Time a lock of packages with combinations of extras, for one or several targets.

    python -m benchmarks.combinations [--rounds 5] [--packages 40] [--extras 2] [--targets NAME ...]

It is compared with a lock without extras, for this Python. Each extra, and none, is a combination.

The packages are tiny and come from local indexes, which answer after 20 ms. Both projects have the
same dependencies; the caches are empty at first (cold), or filled by an earlier lock (warm).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import measure
from tests.support.dists import project, wheel
from tests.support.index import Index

TORCHES = {"cpu": "2.9.0+cpu", "cu128": "2.9.0+cu128"}


def fill(main: Index, torches: dict[str, Index], folder: Path, count: int) -> list[str]:
    """Put packages, in three versions each, on the indexes; return what a project requires."""
    names = [f"package-{number}" for number in range(count - 2)]
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


def write(
    folder: Path,
    requires: list[str],
    torches: dict[str, Index],
    *,
    extras: list[str],
    targets: list[str],
) -> Path:
    """Write a project, with extras that exclude each other or with one of the indexes only."""
    settings = "".join(
        f'[[tool.pipshim.index]]\nname = "{name}"\nurl = "{index.url}"\nexplicit = true\n'
        for name, index in torches.items()
    )
    if not extras:
        settings += '[tool.pipshim.sources]\ntorch = { index = "cpu" }\n'
        return project(folder, settings, dependencies=[*requires, "torch"])
    entries = ", ".join(f'{{ index = "{name}", extra = "{name}" }}' for name in extras)
    members = ", ".join(f'{{ extra = "{name}" }}' for name in extras)
    settings += f"[tool.pipshim.sources]\ntorch = [{entries}]\n[tool.pipshim]\n"
    # An extra that a source depends on needs no other to be resolved with it and without.
    settings += f"conflicts = [[{members}]]\n" if len(extras) > 1 else ""
    settings += f"target-environments = {targets}\n" if targets else ""
    wanted = {name: ["torch"] for name in extras}
    return project(folder, settings, dependencies=requires, extras=wanted)


def lock(folder: Path, cache: Path, index: Index) -> measure.Sample:
    """Lock a project anew; return what that took."""
    (folder / "pylock.toml").unlink(missing_ok=True)
    # Nothing but these indexes counts.
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    variables |= {"PIP_CACHE_DIR": str(cache / "pip"), "PIPSHIM_CACHE_DIR": str(cache / "shim")}
    variables |= {"PIP_INDEX_URL": index.url}
    variables |= {"PIP_CONFIG_FILE": os.devnull}
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "pipshim", "lock", "-q"]
    log = folder.with_suffix(".log")
    return measure.run([command], cwd=folder, env=variables, log=log, watch_memory=True)


def main() -> None:
    """Measure, in turns, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--packages", type=int, default=40)
    parser.add_argument("--extras", type=int, default=2, choices=[1, 2])
    parser.add_argument("--targets", nargs="+", default=[], metavar="NAME")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        index = stack.enter_context(Index())
        torches = {name: stack.enter_context(Index()) for name in TORCHES}
        requires = fill(index, torches, folder / "files", chosen.packages)
        for one in (index, *torches.values()):
            one.latency = 0.02
        projects = {
            name: write(folder / name, requires, torches, extras=extras, targets=chosen.targets)
            for name, extras in (("plain", []), ("combinations", [*TORCHES][: chosen.extras]))
        }
        samples: dict[tuple[str, str], list[measure.Sample]] = {}
        for _ in range(chosen.rounds):
            for name, place in projects.items():
                cache = folder / "cache" / name
                shutil.rmtree(cache, ignore_errors=True)
                for state in ("cold", "warm"):
                    samples.setdefault((state, name), []).append(lock(place, cache, index))
        for state in ("cold", "warm"):
            for what in ("wall", "cpu", "memory"):
                plain, several = (
                    statistics.median(getattr(one, what) for one in samples[state, name])
                    for name in projects
                )
                print(f"{state}, {what}: {plain:.4g}, {several:.4g}, {several / plain:.2f} times")


if __name__ == "__main__":
    main()

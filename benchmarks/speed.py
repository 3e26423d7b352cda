"""How fast pipshim, uv, pip, pip-tools, pdm, poetry and nab are, in turns on one machine.

Run it from the project's folder: ``python -m benchmarks.speed --python 3.11 3.13``. The first run
fills a mirror and installs the tools, from the registry; nothing else uses the network. Each round
runs every tool of a workload once, each round beginning with another one; tables show medians, and
multiples of uv's. It reports; it does not judge.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import mirror, report
from benchmarks.limits import Builder, Limits, describe
from benchmarks.measure import FailedError, Sample
from benchmarks.tools import BASE, PEERS, ROOT, Pipshim, Place, Tool
from benchmarks.workloads import WORKLOADS, Workload

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION = ".".join(map(str, sys.version_info[:3]))

OLDER = 20
"""How many older versions, a wheel and an sdist each, the pages of the mirror list."""


class Servers:
    """The mirror's folders, each served by a process when it is first asked for."""

    def __init__(self, folder: Path, stack: ExitStack, older: int) -> None:
        self._folder = folder
        self._stack = stack
        self._older = older
        self._urls: dict[tuple[str, ...], str] = {}

    def url(self, workload: Workload) -> str:
        """Give the address of an index."""
        options = [str(self._folder / workload.files), "--older", str(self._older)]
        options += ["--latency", str(workload.latency), "--bandwidth", str(workload.bandwidth)]
        options += ["--pages", str(self._folder / mirror.PAGES)] if workload.whole else []
        key = tuple(options)
        if key not in self._urls:
            command = [sys.executable, "-m", "benchmarks.serve", *options]
            process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            self._stack.enter_context(process)
            self._stack.callback(process.terminate)
            assert process.stdout is not None
            self._urls[key] = process.stdout.readline().strip()
        return self._urls[key]


@dataclass
class Outcome:
    """What was seen of a workload.

    Attributes:
        samples: the runs of each tool.
        failed: the tools that could not be brought to an end.
        limits: the runs of each limit, by what it is called.

    """

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    limits: dict[str, list[Sample]] = field(default_factory=dict)

    def wall(self, tool: str) -> float | None:
        """Give the median by the clock."""
        return report.median([sample.wall for sample in self.samples.get(tool, [])])

    def cpu(self, tool: str) -> float | None:
        """Give the median of CPU."""
        return report.median([sample.cpu for sample in self.samples.get(tool, [])])

    def memory(self, tool: str) -> float | None:
        """Give the highest peak."""
        return max((sample.memory for sample in self.samples.get(tool, [])), default=None)


class Benchmark:
    """Plays workloads with tools, and keeps what was seen."""

    def __init__(self, folder: Path, tools: Sequence[Tool], servers: Servers, rounds: int) -> None:
        self._work = folder / "work"
        self._tools = {tool.name: tool for tool in tools}
        self._servers = servers
        self._rounds = rounds
        self._limits = Limits(
            self._work / "limit",
            Builder(tools_folder(folder)),
            folder / "mirror" / mirror.REAL,
            self._tree,
        )
        self._places: dict[str, Place] = {}
        self.seen: dict[Workload, Outcome] = {}

    def play(self, workload: Workload) -> None:
        """Measure one workload."""
        outcome = self.seen.setdefault(workload, Outcome())
        url = self._servers.url(workload)
        self._places = {name: Place(self._work / name, url) for name in self._tools}
        ready = []
        for name, tool in self._tools.items():
            with self._noting(outcome, name):
                if workload.set_up(tool, self._places[name]):
                    ready.append(name)
        contenders = [*ready, *workload.limits]
        for number in range(self._rounds):
            for name in report.rotated(contenders, number):
                with self._noting(outcome, name):
                    self._once(workload, outcome, name)
            print(f"{workload.name}: round {number + 1}", file=sys.stderr, flush=True)
        for place in self._places.values():
            place.clear(place.root)

    def end(self) -> None:
        """Remove what all runs left."""
        shutil.rmtree(self._work, ignore_errors=True)

    def _once(self, workload: Workload, outcome: Outcome, name: str) -> None:
        if name in workload.limits:
            if (found := self._limits.measure(name)) is not None:
                outcome.limits.setdefault(found[0], []).append(found[1])
        elif name not in outcome.failed:
            tool, place = self._tools[name], self._places[name]
            workload.reset(tool, place)
            outcome.samples.setdefault(name, []).append(workload.measure(tool, place))

    def _tree(self) -> Path | None:
        """Give the packages of an environment, that of the first tool that has one now."""
        for place in self._places.values():
            for packages in place.venv.glob("lib/python*/site-packages"):
                return packages
        return None

    @staticmethod
    def _noting(outcome: Outcome, name: str) -> _Noting:
        return _Noting(outcome, name)


class _Noting:
    """Notes that a tool failed, says why, and goes on with the others."""

    def __init__(self, outcome: Outcome, name: str) -> None:
        self._outcome = outcome
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, FailedError):
            return False
        self._outcome.failed.add(self._name)
        self._outcome.samples.pop(self._name, None)
        print(f"{self._name} failed: {error}", file=sys.stderr, flush=True)
        return True


def times_table(seen: dict[Workload, Outcome], tools: Sequence[str]) -> str:
    """Write wall and CPU of all tools, with the limits, and the first tool's multiples of these."""
    first = tools[0]
    rows = []
    for workload, outcome in timed(seen):
        row = [workload.title, ", ".join(map(_limit, outcome.limits.items()))]
        for tool in tools:
            wall, cpu = outcome.wall(tool), outcome.cpu(tool)
            none = "fails" if tool in outcome.failed else report.DASH
            row.append(f"{report.seconds(wall)} ({report.seconds(cpu)})" if wall else none)
        least = [report.ratio(outcome.cpu(first), _cpu(its)) for its in outcome.limits.values()]
        row.append(", ".join(map(report.times, least)) or report.DASH)
        rows.append(row)
    head = ["workload", "limit", *tools, f"CPU of {first} ÷ limit"]
    return report.table(head, rows) if rows else ""


def multiples_table(seen: dict[Workload, Outcome], tools: Sequence[str]) -> str:
    """Write wall and CPU of the others as multiples of uv's, and how many rounds there were."""
    others = [tool for tool in tools if tool != "uv"]
    rows = []
    for workload, outcome in timed(seen):
        row = [workload.title, str(max(map(len, outcome.samples.values()), default=0))]
        for tool in others:
            wall = report.ratio(outcome.wall(tool), outcome.wall("uv"))
            cpu = report.ratio(outcome.cpu(tool), outcome.cpu("uv"))
            row.append(report.DASH if wall is None else f"{wall:.2f} ({report.times(cpu)})")
        rows.append(row)
    return report.table(["multiples of uv", "rounds", *others], rows) if rows and others else ""


def timed(seen: dict[Workload, Outcome]) -> list[tuple[Workload, Outcome]]:
    """Return the workloads whose time counts."""
    return [(workload, outcome) for workload, outcome in seen.items() if not workload.memory]


def _limit(limit: tuple[str, list[Sample]]) -> str:
    what, samples = limit
    wall = report.median([sample.wall for sample in samples])
    return f"{what}: {report.seconds(wall)} ({report.seconds(_cpu(samples))})"


def _cpu(samples: Sequence[Sample]) -> float | None:
    return report.median([sample.cpu for sample in samples])


def growth_table(seen: dict[Workload, Outcome], tools: Sequence[str]) -> str:
    """Write the exponents of the generated projects."""
    rows = []
    for action in ("sync", "lock"):
        outcomes = {
            int(workload.name.rpartition("-")[2]): outcome
            for workload, outcome in seen.items()
            if workload.name.startswith(f"growth-{action}-")
        }
        if len(outcomes) > 1:
            name = f"{action}, {min(outcomes)} to {max(outcomes)}"
            row = [name]
            for tool in tools:
                walls = {size: outcome.wall(tool) for size, outcome in outcomes.items()}
                points = {size: wall for size, wall in walls.items() if wall is not None}
                row.append(report.times(report.exponent(points)))
            rows.append(row)
    return report.table(["time ~ packages^k", *tools], rows) if rows else ""


def memory_table(seen: dict[Workload, Outcome], tools: Sequence[str]) -> str:
    """Write the peaks of memory."""
    rows = [
        [workload.title, *(report.megabytes(outcome.memory(tool)) for tool in tools)]
        for workload, outcome in seen.items()
        if workload.memory
    ]
    return report.table(["peak memory of all processes", *tools], rows) if rows else ""


def load(file: Path) -> dict[Workload, Outcome]:
    """Read the runs of this Python that a file has from earlier."""
    if not file.exists():
        return {}
    runs = json.loads(file.read_text("utf-8")).get(VERSION, {})
    return {
        workload: Outcome(
            _samples(runs[workload.name]["tools"]),
            set(runs[workload.name]["failed"]),
            _samples(runs[workload.name]["limits"]),
        )
        for workload in WORKLOADS
        if workload.name in runs
    }


def _samples(runs: dict[str, list[dict[str, Any]]]) -> dict[str, list[Sample]]:
    return {name: [Sample(**run) for run in its] for name, its in runs.items()}


def save(seen: dict[Workload, Outcome], file: Path) -> None:
    """Write every single run, beside those of other Pythons."""
    every = json.loads(file.read_text("utf-8")) if file.exists() else {}
    every[VERSION] = {
        workload.name: {
            "tools": {tool: list(map(vars, its)) for tool, its in outcome.samples.items()},
            "failed": sorted(outcome.failed),
            "limits": {what: list(map(vars, its)) for what, its in outcome.limits.items()},
        }
        for workload, outcome in seen.items()
    }
    file.write_text(json.dumps(every, indent=1), "utf-8")


def default_folder() -> Path:
    """Give a folder among the user's caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "pipshim-benchmarks"


def tools_folder(folder: Path) -> Path:
    """Give the folder of the tools of this Python."""
    return folder / "tools" / VERSION


def chosen_tools(folder: Path, names: Sequence[str], checkouts: Sequence[str]) -> list[Tool]:
    """Make the tools; each further checkout of pipshim is one of its own."""
    first, *others = checkouts or [str(ROOT)]
    tools: list[Tool] = [Pipshim(folder, checkout=Path(first).resolve())]
    for other in others:
        name, _, path = other.rpartition("=")
        tools.append(Pipshim(folder, name or f"pipshim-{len(tools)}", Path(path).resolve()))
    tools += [kind(folder) for kind in PEERS]
    wanted = {*names, *(tool.name for tool in tools if isinstance(tool, Pipshim) and others)}
    return [tool for tool in tools if not names or tool.name in wanted]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    names = ", ".join(workload.name for workload in WORKLOADS)
    parser.add_argument(
        "--python", nargs="+", default=[], help="the Pythons that are served, in turn (this one)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="none: only the tables of --json")
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORKLOAD", help=f"beginnings of: {names}"
    )
    parser.add_argument(
        "--tools", nargs="+", default=[], choices=["pipshim", *(kind.name for kind in PEERS)]
    )
    parser.add_argument(
        "--checkout",
        action="append",
        default=[],
        metavar="[NAME=]FOLDER",
        help="the pipshim that is measured (this one); further ones beside it as NAME",
    )
    parser.add_argument(
        "--mirror", type=Path, default=default_folder(), help="mirror, tools and work (%(default)s)"
    )
    parser.add_argument(
        "--older", type=int, default=OLDER, help="older versions on each index page (%(default)s)"
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="keep every single run there; the tables show those of earlier calls too",
    )
    return parser.parse_args()


def with_python(name: str, folder: Path, arguments: Sequence[str]) -> None:
    """Run this program with another Python, in an environment that has what it imports."""
    python = shutil.which(name) or shutil.which(f"python{name}")
    if python is None:
        sys.exit(f"there is no Python {name}")
    runner = folder / "runners" / name.strip(os.sep).replace(os.sep, "-")
    if not (runner / "done").exists():
        shutil.rmtree(runner, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(runner)], check=True)
        install = [str(runner / "bin" / "pip"), "install", "-q", "packaging", "tomli"]
        subprocess.run(install, check=True)
        (runner / "done").touch()
    command = [str(runner / "bin" / "python"), "-m", "benchmarks.speed", *arguments]
    subprocess.run(command, cwd=ROOT, check=True)


def installed(tools: Sequence[Tool]) -> list[Tool]:
    """Install tools; return those for which that was possible."""
    found = []
    for tool in tools:
        try:
            tool.install()
        except subprocess.CalledProcessError as error:
            print(f"{tool.name} cannot be installed: {error}", file=sys.stderr)
        else:
            found.append(tool)
    return found


def main() -> None:
    """Measure and print."""
    chosen = arguments()
    folder: Path = chosen.mirror.resolve()
    if chosen.python:
        at = sys.argv.index("--python")
        others = sys.argv[1:at] + sys.argv[at + 1 + len(chosen.python) :]
        for name in chosen.python:
            with_python(name, folder, others)
        return
    workloads = [one for one in WORKLOADS if one.name.startswith(tuple(chosen.only))]
    every = chosen_tools(tools_folder(folder), chosen.tools, chosen.checkout)
    tools = installed(every)
    builder = Builder(tools_folder(folder))
    builder.install()
    folders = {one.files for one in workloads}
    folders |= {mirror.PAGES for one in workloads if one.whole}
    mirror.build(folder / "mirror", Path(builder.executable("python")), sorted(folders))
    with ExitStack() as stack:
        servers = Servers(folder / "mirror", stack, chosen.older)
        benchmark = Benchmark(folder, tools, servers, chosen.rounds)
        if chosen.json is not None:
            benchmark.seen = load(chosen.json)
        try:
            for workload in workloads if chosen.rounds else ():
                benchmark.play(workload)
                if chosen.json is not None:
                    save(benchmark.seen, chosen.json)
        except KeyboardInterrupt:
            print("interrupted: what there is so far", file=sys.stderr)
        benchmark.end()
    names = [tool.name for tool in tools]
    versions = [f"{tool.name} {tool.version()}" for tool in tools]
    versions += [f"{tool.name} cannot be installed" for tool in every if tool not in tools]
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    print(f"{today}, {describe()} at {Path(BASE).name}; {', '.join(versions)}.")
    print("Medians of interleaved rounds: by the clock (CPU of all processes).")
    for write in (times_table, multiples_table, growth_table, memory_table):
        if text := write(benchmark.seen, names):
            print(f"\n{text}")


if __name__ == "__main__":
    main()

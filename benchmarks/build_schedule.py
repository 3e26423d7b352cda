"""How well builds fill the cores: eight C sdists, two long and six short, on two cores.

Run it from the repository's root: ``python -m benchmarks.build_schedule``. The sdists have real C
code, which setuptools compiles with the system's compiler. The long ones come last by name. It
prints the time from start to end over the total processor time divided by the cores, and the share
of the time in which builds ran that a core had none (which other programs disturb less).
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.support.dists import project, repack, setuptools_sdist
from tests.support.index import Index
from tests.support.pipshim import Cli

if TYPE_CHECKING:
    from collections.abc import Sequence

CORES = 2
SETUP = """
import setuptools
from functools import partial
module = setuptools.Extension("{name}_c", {sources!r})
setuptools.setup = partial(setuptools.setup, ext_modules=[module])
"""
STATEMENTS = "#define A(x) x x x x x x x x x x\n"


def code(name: str, size: int) -> str:
    """Return C code whose functions take a compiler a while."""
    body = f"A(A(A(i += i * 3 ^ {size};)))"
    functions = "\n".join(
        f"int f_{name}_{number}(int i) {{ {body} return i; }}" for number in range(size)
    )
    return f"#include <Python.h>\n{STATEMENTS}{functions}\n"


def add(index: Index, folder: Path, name: str, files: int) -> None:
    """Add an sdist with an extension module of so many files."""
    sources = {f"s{number}.c": code(f"s{number}", 8) for number in range(files)}
    sources["s0.c"] += f"PyMODINIT_FUNC PyInit_{name}_c(void) {{ return NULL; }}\n"
    setup = SETUP.format(name=name, sources=list(sources))
    index.add(setuptools_sdist(folder, name, "1.0", setup_py=setup, files=sources))


def measure(cli: Cli) -> tuple[float, float, float]:
    """Build all; return wall time, processor time, and the idle share of the time of builds."""
    shutil.rmtree(cli.cwd / ".venv", ignore_errors=True)
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = cli(
        "sync",
        "--rebuild",
        ":all:",
        "-j",
        str(CORES),
        "--output-format",
        "json",
        python=Path(sys.executable),
    )
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.status == 0, str(done)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu, idle(json.loads(done.out)["builds"])


def idle(builds: Sequence[dict[str, Any]]) -> float:
    """Return the share of the cores' time from the first to the last build without a build."""
    wheels = [one for one in builds if one["what"] == "wheel"]
    first = min(one["started"] for one in wheels)
    last = max(one["started"] + one["seconds"] for one in wheels)
    return 1 - sum(one["seconds"] for one in wheels) / (CORES * (last - first))


def main() -> None:
    """Measure without a history, then with one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Index() as index:
        folder = Path(name)
        index.add(repack("setuptools", folder))
        names = [*(f"short{number}" for number in range(6)), "very_long", "zlong"]
        for one in names:
            add(index, folder, one, files=2 if one.startswith("short") else 8)
        made = project(folder / "project", dependencies=names)
        cli = Cli(folder / "cli", cwd=made, index_url=index.url_with_credentials)
        cli.ok("lock")
        for number in range(asked.rounds + 1):
            wall, cpu, share = measure(cli)
            kind = "with history" if number else "without history"
            print(
                f"{kind:16} {wall:5.1f} s, CPU {cpu:5.1f} s: "
                f"{wall / (cpu / CORES):.2f} x CPU / {CORES}, {100 * share:.0f} % idle"
            )


if __name__ == "__main__":
    main()

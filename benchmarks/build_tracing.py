"""What tracing costs: the processor time of a setuptools build, with and without it, in turns.

Run it from the repository's root: ``python -m benchmarks.build_tracing SDIST``, with a small sdist
of C code that needs setuptools only. Each build is a process as pipshim starts it for a hook that
is not forked, in an environment of its own Python. Its user and system time counts, with that of
the compilers, since wall time depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipshim.builds import hook_runner, process_trace

HOOK = """
import sys
import setuptools.build_meta
sys.argv[1:] = []
setuptools.build_meta.build_wheel({folder!r})
"""


def make_environment(folder: Path, requirements: list[str]) -> Path:
    """Make an environment that traces what it is told to, with a backend; return its Python."""
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    subprocess.run([python, "-m", "pip", "install", "-qU", *requirements], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "trace.pth").write_text(f"{process_trace.import_line()}\n", "utf-8")
    return python


def build(python: Path, sdist: Path, *, traced: bool) -> float:
    """Build a wheel; return the processor time in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder / "source", filter="data")
        (source,) = (folder / "source").iterdir()
        (folder / "notes").mkdir()
        (folder / "hook.py").write_text(HOOK.format(folder=name), "utf-8")
        kinds = process_trace.VARIABLES + process_trace.PROGRAMS
        what = f"{kinds}:{folder / 'notes'}"
        command = [str(python), *([hook_runner.__file__, what] if traced else [])]
        environ = {**os.environ, **({process_trace.NOTES: what} if traced else {})}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [*command, str(folder / "hook.py")], cwd=source, env=environ, stdout=log, stderr=log
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit((folder / "log").read_text("utf-8", "replace"))
        return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the least and the median of all rounds, in milliseconds, and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sdist", type=Path)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--requires", nargs="*", default=["setuptools"])
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        python = make_environment(folder / "env", options.requires)
        times: dict[bool, list[float]] = {False: [], True: []}
        for traced in times:  # bytecode is compiled
            build(python, options.sdist, traced=traced)
        for number in range(options.rounds):
            for traced in (False, True) if number % 2 else (True, False):
                times[traced].append(1000 * build(python, options.sdist, traced=traced))
    finally:
        shutil.rmtree(folder)
    for name, of in (("least", min), ("median", statistics.median)):
        plain, traced_time = of(times[False]), of(times[True])
        more = 100 * (traced_time / plain - 1)
        print(f"{name:7} {plain:8.1f} ms plain  {traced_time:8.1f} ms traced  {more:+.2f} %")
    pairs = [b - a for a, b in zip(times[False], times[True], strict=True)]
    share = 100 * statistics.median(pairs) / statistics.median(times[False])
    print(f"median of the differences of pairs: {statistics.median(pairs):+.1f} ms, {share:+.2f} %")


if __name__ == "__main__":
    main()

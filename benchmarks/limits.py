"""What the machine could do at best, measured in the same rounds as the tools."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from typing import TYPE_CHECKING

from benchmarks import measure
from benchmarks.measure import Sample
from benchmarks.tools import ROOT, Tool, plain_environ, put_aside

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Builder(Tool):
    """No contender: the environment that fetches the mirror and builds at the limit."""

    name = "builder"
    needs = ("pip", "setuptools==84.2.1", "wheel==0.48.0", "setuptools-scm==10.3.4")
    lock_name = ""

    def lock(self, place: object) -> None:
        """Lock nothing."""

    def sync(self, place: object, *, bytecode: bool = False) -> None:
        """Sync nothing."""


class Limits:
    """The limits, by name.

    Attributes:
        folder: where they work.
        files: the folder with the wheels and sdists.
        tree: finds an installed environment to link.

    """

    def __init__(
        self, folder: Path, builder: Builder, files: Path, tree: Callable[[], Path | None]
    ) -> None:
        self._folder = folder
        self._builder = builder
        self._files = files
        self._tree = tree

    def measure(self, name: str) -> tuple[str, Sample] | None:
        """Measure one: what it is, and what it took."""
        put_aside(self._folder, self._folder.parent)
        self._folder.mkdir(parents=True)
        found: tuple[str, Sample] | None = getattr(self, f"_{name}")()
        return found

    def _run(self, *command: str) -> Sample:
        return measure.run(
            [command],
            cwd=self._folder,
            env=plain_environ(self._folder / "home"),
            log=self._folder / "log",
        )

    def _start(self) -> tuple[str, Sample]:
        # In an environment: what the machine's own Python has installed may add to its start.
        return "python -c pass", self._run(self._builder.executable("python"), "-c", "pass")

    def _bare_start(self) -> tuple[str, Sample]:
        return "python -S -E -c pass", self._run(
            self._builder.executable("python"), "-S", "-E", "-c", "pass"
        )

    def _link(self) -> tuple[str, Sample] | None:
        tree = self._tree()
        if tree is None:
            return None
        return "cp -al", self._run("cp", "-al", str(tree), "copy")

    def _unpack(self) -> tuple[str, Sample] | None:
        tree = self._tree()
        if tree is None:
            return None
        # A wheel's name begins like that of its .dist-info: name and version.
        installed = {one.name.removesuffix(".dist-info") for one in tree.glob("*.dist-info")}
        wheels = [
            str(one)
            for one in sorted(self._files.glob("*.whl"))
            if "-".join(one.name.split("-")[:2]) in installed
        ]
        script = str(ROOT / "benchmarks" / "unpack_wheels.py")
        return "unpack_wheels.py", self._run(
            self._builder.executable("python"), script, str(self._folder), *wheels
        )

    def _build(self) -> tuple[str, Sample]:
        sources = []
        for archive in sorted(self._files.glob("*.tar.gz")):
            with tarfile.open(archive) as sdist:
                sdist.extractall(self._folder / "sources", filter="data")
            sources.append(str(self._folder / "sources" / archive.name.removesuffix(".tar.gz")))
        python = self._builder.executable("python")
        script = str(ROOT / "benchmarks" / "build_wheels.py")
        sample = self._run(python, script, str(self._folder), *sources)
        cores = os.cpu_count() or 1
        return f"build_wheel, CPU/{cores}", Sample(sample.cpu / cores, sample.cpu)


def describe() -> str:
    """Tell the machine."""
    release = " ".join(os.uname()[i] for i in (0, 2, 4))
    model = subprocess.run(
        ["sh", "-c", "grep -m1 'model name' /proc/cpuinfo | cut -d: -f2"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    load = os.getloadavg()[0]
    python = sys.version.split()[0]
    return f"{release}, {os.cpu_count()} cores ({model}), load {load:.1f}, Python {python}"

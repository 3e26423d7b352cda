"""Hints, from what real tools print: compilers, linkers, setuptools, pip, backends that are there.

(tests/unit/test_hints.py has the messages of tools that no test can run.)
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipshim.builds.hints import FailedBuild, hint_for
from tests.support.dists import Backend, sdist, setuptools_sdist, wheel
from tests.support.pipshim import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

EXTENSION = "from setuptools import Extension\n"
SLOW = """
template <int N> struct S { static const long value = S<N - 1>::value + S<N - 2>::value * N; };
template <> struct S<0> { static const long value = 1; };
template <> struct S<1> { static const long value = 1; };
template <int N> struct T { typedef T<N - 1> A; typedef T<N - 1> B; long x[2]; A a; B b; };
template <> struct T<0> { int x; };
long f() { return S<890>::value + sizeof(T<24>); }
"""

needs_gcc = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture
def fails(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    tool_wheels: Mapping[str, Path],
) -> Fails:
    """Give what builds an sdist with the real setuptools, and answers what is then shown."""
    index.add(*tool_wheels.values())
    return Fails(cli, index, make_project, tmp_path)


class Fails:
    def __init__(self, cli: Cli, index: Index, make: MakeProject, directory: Path) -> None:
        self.cli, self.index, self.make, self.directory = cli, index, make, directory

    def __call__(
        self,
        setup_py: str = "",
        *,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> str:
        source = setuptools_sdist(
            self.directory / "dists", "broken", "1.0", setup_py=setup_py, files=files
        )
        self.index.add(source)
        self.make(dependencies=["broken"])
        shown = self.cli.fails("sync", env={"COLUMNS": "200", **(env or {})}).err
        assert f"{os.sep}builds{os.sep}" not in shown, "frames of pipshim's own"
        return text_of(shown)


def text_of(shown: str) -> str:
    """Give the hint, without the wrapping."""
    assert "\nhint: " in shown, shown
    return " ".join(shown.partition("\nhint: ")[2].split())


def extension(code: str = "", *, libraries: Iterable[str] = ()) -> tuple[str, dict[str, str]]:
    """Give setup.py's beginning, and files, of a package with an extension module."""
    setup_py = (
        "import setuptools\n"
        "from functools import partial\n"
        f"module = setuptools.Extension('broken_c', ['a.c'], libraries={list(libraries)!r})\n"
        "setuptools.setup = partial(setuptools.setup, ext_modules=[module])\n"
    )
    return setup_py, {
        "a.c": f"{code}\n#include <Python.h>\nPyMODINIT_FUNC PyInit_broken_c(void);\n"
    }


def test_a_missing_module_whose_distribution_has_another_name(fails: Fails) -> None:
    hint = fails("import yaml")
    assert "broken imports yaml while it is built (that is in PyYAML)" in hint
    assert '[tool.pipshim.extra-build-dependencies] broken = ["PyYAML"]' in hint


@needs_gcc
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_missing_header_names_debians_package(fails: Fails, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    setup_py, files = extension("#include <zlib_that_is_not_there.h>")
    hint = fails(setup_py, files=files, env={"CC": compiler})
    assert "The C header zlib_that_is_not_there.h is missing" in hint
    assert "apt-get install libzlib_that_is_not_there-dev" in hint
    assert "apt-file search zlib_that_is_not_there.h" in hint


@needs_gcc
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_missing_library_names_debians_package(fails: Fails, compiler: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    setup_py, files = extension(libraries=["nowheretobefound"])
    hint = fails(setup_py, files=files, env={"CC": compiler})
    assert "The library nowheretobefound is missing" in hint
    assert "apt-get install libnowheretobefound-dev" in hint


def test_no_compiler(fails: Fails, tmp_path: Path) -> None:
    setup_py, files = extension()
    (tmp_path / "empty").mkdir()
    hint = fails(setup_py, files=files, env={"PATH": str(tmp_path / "empty"), "CC": "gcc"})
    assert "There is no compiler here: gcc was not found" in hint
    assert "apt-get install build-essential" in hint


@needs_gcc
def test_a_compiler_that_was_killed(tmp_path: Path) -> None:
    source = tmp_path / "slow.cpp"
    source.write_text(SLOW)
    with subprocess.Popen(
        ["g++", "-ftemplate-depth=2000", "-c", source, "-o", tmp_path / "o"],
        stderr=subprocess.PIPE,
        text=True,
    ) as compiling:
        children = Path(f"/proc/{compiling.pid}/task/{compiling.pid}/children")
        if not children.exists():
            compiling.kill()
            pytest.skip("needs /proc")
        until(lambda: "cc1plus" in name_of(children.read_text().split()) or compiling.poll())
        os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
        assert compiling.stderr is not None
        said = compiling.stderr.read()
    assert "Killed" in said
    hint = hint_for(said, FailedBuild(mode="isolated", package="broken", returncode=1))
    assert hint is not None
    assert "-j 1" in hint
    assert 'broken = { MAX_JOBS = "1"' in hint


def name_of(processes: list[str]) -> str:
    return Path(f"/proc/{processes[0]}/comm").read_text() if processes else ""


@needs_gcc
@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit that holds")
def test_a_compiler_that_gets_no_memory(tmp_path: Path) -> None:
    source = tmp_path / "slow.cpp"
    source.write_text("#include <string>\n#include <iostream>\n#include <regex>\n" + SLOW)
    limit = 60 << 20
    done = subprocess.run(
        ["g++", "-c", source, "-o", tmp_path / "o"],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode != 0
    hint = hint_for(done.stderr, FailedBuild(mode="isolated", package="broken", returncode=1))
    assert hint is not None, done.stderr
    assert 'MAX_JOBS = "1"' in hint


def test_a_build_that_was_killed(fails: Fails) -> None:
    hint = fails("import os, sys\nif 'bdist_wheel' in sys.argv: os.kill(os.getpid(), 9)")
    assert "was killed or got no more memory" in hint
    assert 'broken = { MAX_JOBS = "1"' in hint


def test_a_build_requirement_that_no_index_has(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "broken", "1.0", build_requires=["nothing-of-this-name>=3"]))
    make_project(dependencies=["broken"])
    shown = cli.fails("lock").err
    assert "the build of broken 1.0 requires nothing-of-this-name>=3" in shown
    assert "check the name in build-system.requires of broken" in text_of(shown)


def test_a_backend_that_is_not_there(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    system = '[build-system]\nrequires = []\nbuild-backend = "mesonpy"\n'
    index.add(sdist(tmp_path, "broken", "1.0", files={"pyproject.toml": system}))
    make_project(dependencies=["broken"])
    hint = text_of(cli.fails("sync", env={"COLUMNS": "200"}).err)
    assert "The build backend of broken, mesonpy, is missing; meson-python has it" in hint
    assert 'broken = ["meson-python"]' in hint


def test_a_build_requirement_for_another_python(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "tool", "1.0", requires_python=">=3.99"))
    index.add(sdist(tmp_path, "broken", "1.0", build_requires=["tool"]))
    make_project(dependencies=["broken"])
    shown = cli.fails("lock").err
    assert "the build of broken 1.0 requires tool" in shown
    assert "tool 1.0 requires Python >=3.99" in shown
    assert "use another Python (--python)" in text_of(shown)


def by_pip(cli: Cli, tmp_path: Path, *arguments: str | Path) -> str:
    """Give what the real pip prints that a build runs itself."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    result = cli.pip("--python", python, "install", *arguments)
    assert result.status != 0, str(result)
    return result.err


def test_pips_word_for_another_python(cli: Cli, tmp_path: Path) -> None:
    file = wheel(tmp_path, "tool", "1.0", requires_python=">=3.99")
    hint = hint_for(by_pip(cli, tmp_path, file), FailedBuild(mode="isolated", package="broken"))
    assert hint is not None
    assert "It does not support Python 3." in hint
    assert "Use Python >=3.99, or another version of broken." in hint


def test_pips_word_for_a_requirement_that_no_index_has(cli: Cli, tmp_path: Path) -> None:
    said = by_pip(cli, tmp_path, "--no-index", "nothing-of-this-name>=3")
    hint = hint_for(said, FailedBuild(mode="isolated", package="broken"))
    assert hint is not None
    assert "No version of the build requirement nothing-of-this-name>=3 was found" in hint


def test_pips_word_for_another_file(cli: Cli, tmp_path: Path) -> None:
    file = wheel(tmp_path, "tool", "1.0")
    (tmp_path / "r.txt").write_text(f"tool @ {file.as_uri()} --hash=sha256:{'0' * 64}\n")
    said = by_pip(cli, tmp_path, "--require-hashes", "-r", tmp_path / "r.txt")
    hint = hint_for(said, FailedBuild(mode="isolated", package="broken"))
    assert hint is not None
    assert "pipshim lock -P broken" in hint


def test_another_file_than_the_locked_one(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "tool", "1.0"), sdist(tmp_path, "broken", "1.0", build_requires=["tool"])
    )
    make_project(dependencies=["broken"])
    cli.ok("lock")
    shutil.rmtree(cli.cache)
    shutil.rmtree(cli.shim_cache)
    index.tamper("tool-1.0-py3-none-any.whl", b"another file")
    shown = cli.fails("sync").err
    assert "tool-1.0-py3-none-any.whl is not the file that was locked" in shown
    assert "hint: if the new file is right, lock it: pipshim lock -P tool" in shown


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs cmake")
def test_cmake_without_a_package(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.15)\nproject(x NONE)\nfind_package(pybind11 REQUIRED)\n"
    )
    done = subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "b"],
        check=False,
        capture_output=True,
        text=True,
    )
    hint = hint_for(done.stdout + done.stderr, FailedBuild(mode="isolated", package="broken"))
    assert hint is not None
    assert 'broken = ["pybind11"]' in hint


def test_several_builds_that_fail_at_once_are_all_shown(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    for name in ("one", "two"):
        other = "two" if name == "one" else "one"
        # Each fails when the other has begun.
        wait = (
            "import pathlib, time, os\n"
            f"pathlib.Path({str(log)!r} + '-{name}').touch()\n"
            f"while not os.path.exists({str(log)!r} + '-{other}'): time.sleep(0.01)\n"
            f"import is_missing_{name}\n"
        )
        source = f"from engine import *\ndef build_wheel(*a, **k):\n    exec({wait!r})\n"
        index.add(sdist(tmp_path, name, "1.0", backend_source=source, backend=Backend()))
    make_project(dependencies=["one", "two"])
    shown = cli.fails("sync", "-j", "2").err
    for name in ("one", "two"):
        assert f"error: {name} 1.0: " in shown
        assert f'{name} = ["is-missing-{name}"]' in shown
    assert shown.count("\n  log: ") == 2
    assert shown.endswith("2 builds failed\n")


def test_a_backend_without_editables(cli: Cli, make_project: MakeProject) -> None:
    folder = make_project(backend=Backend(editable=False))
    for command, way_out in (
        (["sync"], "install it as a wheel, not editable: --no-editable"),
        (["install", "-e", str(folder)], "install it as a wheel: leave out -e"),
    ):
        assert text_of(cli.fails(*command).err).partition(" ERROR: ")[0] == way_out

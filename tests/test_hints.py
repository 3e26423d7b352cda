"""Hints, from what real tools print: compilers, linkers, setuptools, pip, backends that are there.

(tests/unit/test_hints.py has the messages of tools that no test can run.)
"""

from __future__ import annotations

import os
import resource
import shlex
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
    assert "was killed or could not allocate memory" in hint
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


def blocks_of(shown: str) -> list[list[str]]:
    """Give the lines to paste of a hint, in blocks."""
    hint = shown.partition("\nhint: ")[2].partition("\nerror: ")[0]
    parts = [part.splitlines() for part in hint.split("\n\n")]
    return [[line[4:] for line in part] for part in parts if part[0].startswith("    ")]


def paste(file: Path, block: list[str]) -> None:
    """Write a table's line as a reader would: in place of the same one, else in its table."""
    header, line = (text.partition("  #")[0] for text in block)
    key = line.partition(" = ")[0]
    lines = file.read_text().splitlines()
    if header not in lines:
        lines += ["", header, line]
    else:
        start = lines.index(header) + 1
        rest = lines[start:]
        end = next((at for at, text in enumerate(rest) if text.startswith("[")), len(rest))
        same = [at for at in range(start, start + end) if lines[at].startswith(f"{key} = ")]
        if same:
            lines[same[0]] = line
        else:
            lines.insert(start, line)
    file.write_text("\n".join([*lines, ""]))


GREEDY = "import mod_one\nimport mod_two\n"


@pytest.fixture
def greedy(
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    tool_wheels: Mapping[str, Path],
) -> Path:
    """Give the pyproject.toml of a project whose dependency imports two modules to be built."""
    index.add(*tool_wheels.values(), setuptools_sdist(tmp_path, "greedy", "1.0", setup_py=GREEDY))
    index.add(*(wheel(tmp_path, f"mod-{one}", "1.0") for one in ("one", "two", "else")))
    return make_project(dependencies=["greedy"]) / "pyproject.toml"


GROUPS = """
[dependency-groups]
dev = ["mod-else", { include-group = "lint" }]
lint = []
[tool.pipshim]
no-build-isolation-package = ["greedy"]
"""


@pytest.mark.parametrize(
    ("before", "choose"),
    [
        ("", 0),
        ('[tool.pipshim.extra-build-dependencies]\ngreedy = ["mod-else"]\n', 0),
        ("", 1),
        (GROUPS, 0),
    ],
)
def test_hints_that_are_pasted_lead_on(cli: Cli, greedy: Path, before: str, choose: int) -> None:
    greedy.write_text(f"{greedy.read_text()}\n{before}")
    missing = ["mod_one", "mod_two"]
    if "no-build-isolation" in before:
        missing.insert(0, "setuptools")
    for module in missing:
        shown = cli.fails("lock").err
        assert module in text_of(shown)
        blocks = blocks_of(shown)
        for block in blocks[choose:] if choose else blocks[:1]:
            paste(greedy, block)
        choose = 0  # what is built without isolation has no other way
    cli.ok("lock")
    cli.ok("sync")
    assert ("mod-else" in greedy.read_text()) == ("mod-else" in before)


@pytest.mark.usefixtures("greedy")
@pytest.mark.parametrize("way", [0, 1])
def test_options_of_hints_that_replace_earlier_ones_lead_on(cli: Cli, way: int) -> None:
    typed = "mod-else"
    for missing in ("one", "two"):
        shown = cli.fails("install", "greedy", *shlex.split(typed)).err
        assert f"greedy imports mod_{missing} while it is built" in shown
        blocks = blocks_of(shown)
        more = "--no-build-isolation-package greedy " if way and len(blocks) == 1 else ""
        typed = more + blocks[way if len(blocks) > 1 else 0][0]
        assert way == 0 or "mod-else" in typed
    cli.ok("install", "--dry-run", "greedy", *shlex.split(typed))


def test_lines_for_a_requirements_file_lead_on(cli: Cli, greedy: Path) -> None:
    file = greedy.with_name("requirements.txt")
    file.write_text("greedy\n")
    options: list[str] = []
    for _ in range(2):
        *option, lines = blocks_of(cli.fails("lock", "-r", file, *options).err)
        if option:
            options = shlex.split(option[-1][0])
        file.write_text(file.read_text() + "\n".join([*lines, ""]))
    cli.ok("lock", "-r", file, *options)


def test_a_hint_for_a_script_is_pasted_into_its_metadata(cli: Cli, greedy: Path) -> None:
    script = greedy.with_name("script.py")
    settings = "# [tool.pipshim]\n# no-build-isolation-package = ['greedy']\n"
    line = "# dependencies = ['greedy']"
    for _ in range(3):
        script.write_text(f"# /// script\n{line}\n{settings}# ///\nimport greedy\n")
        line = blocks_of(cli.fails("run", script).err)[-1][0]
    script.write_text(f"# /// script\n{line}\n{settings}# ///\nimport greedy\n")
    cli.ok("run", script)

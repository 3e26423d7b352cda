"""Which programs a build depends on, and what is said of other versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipshim.builds.tools import Tools
from pipshim.model.build_tools import (
    Tool,
    candidates,
    compilers_of,
    differences,
    is_tool,
    version_line,
)

if TYPE_CHECKING:
    from pathlib import Path

NVCC = """\
nvcc: NVIDIA (R) Cuda compiler driver
Copyright (c) 2005-2024 NVIDIA Corporation
Built on Thu_Mar_28_02:18:24_PDT_2024
Cuda compilation tools, release {release}, V{version}
Build cuda_{release}.r{release}/compiler.34097967_0
"""


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("gcc (Debian 12.2.0-14) 12.2.0\nCopyright (C) 2022\n", "gcc (Debian 12.2.0-14) 12.2.0"),
        ("\nSWIG Version 4.1.0\n", "SWIG Version 4.1.0"),
        (
            NVCC.format(release="12.4", version="12.4.131"),
            "Cuda compilation tools, release 12.4, V12.4.131",
        ),
        ("usage: tool\n", None),
    ],
)
def test_a_version_is_the_line_with_the_number(output: str, line: str | None) -> None:
    assert version_line(output) == line


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("gcc (GCC) 12.2.0", "gcc (GCC) 12.2.0", []),
        ("gcc (GCC) 12.2.0", "gcc (GCC) 13.1.0", ["cc 13.1.0, was 12.2.0"]),
        (
            "gcc (GCC) 12.2.0",
            "clang version 14.0.6",
            ["cc is clang version 14.0.6, was gcc (GCC) 12.2.0"],
        ),
        ("gcc (GCC) 12.2.0", None, []),  # without a compiler, nothing better can be built
        (None, "gcc (GCC) 12.2.0", ["cc 12.2.0, was not found"]),
    ],
)
def test_another_version_is_said(was: str | None, now: str | None, said: list[str]) -> None:
    known, found = ({"cc": Tool(one, "/bin/cc") if one is not None else None} for one in (was, now))
    assert list(differences(known, found)) == said


def test_compilers_are_those_of_the_languages() -> None:
    assert compilers_of(["py", "c", "h"]) == ["cc"]
    assert compilers_of(["pyx", "F90", "cu", "rs"]) == ["cc", "c++", "fortran", "nvcc", "rustc"]
    assert not compilers_of(["py", "md"])


@pytest.mark.parametrize(
    ("name", "environ", "programs"),
    [
        ("cc", {}, ("cc", "gcc", "clang")),
        ("cc", {"CC": "ccache /opt/bin/gcc-13 -m64"}, ("/opt/bin/gcc-13",)),
        ("nvcc", {"CUDA_HOME": "/opt/cuda"}, ("/opt/cuda/bin/nvcc",)),
        ("nvcc", {}, ("nvcc", "/usr/local/cuda/bin/nvcc")),
        ("cmake", {"CC": "clang"}, ("cmake",)),
    ],
)
def test_variables_choose_compilers(
    name: str, environ: dict[str, str], programs: tuple[str, ...]
) -> None:
    assert candidates(name, environ) == programs


def test_programs_of_the_system_are_no_tools() -> None:
    assert not any(map(is_tool, ["git", "sh", "bash", "uname", "python3.11", "ldconfig", "make"]))
    assert all(map(is_tool, ["gcc-12", "cmake", "swig", "x86_64-linux-gnu-gcc", "pg_config"]))


def program(folder: Path, name: str, version: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\necho x >> "{folder}/asked"\necho "{name} {version}"\n', "utf-8")
    path.chmod(0o755)
    return path


def test_each_file_is_asked_once_by_any_command(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "cc", "1.0")
    environ = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    for _ in range(2):
        tools = Tools(tmp_path / "cache")
        assert tools.find("cc", environ) == Tool("cc 1.0")
        assert tools.find("cc", environ) == Tool("cc 1.0")
    assert (tmp_path / "bin/asked").read_text("utf-8") == "x\n"
    program(tmp_path / "bin", "cc", "1.0.1")
    assert Tools(tmp_path / "cache").find("cc", environ) == Tool("cc 1.0.1", str(path))
    assert Tools(tmp_path / "cache").find("none", environ) is None


def test_compilers_and_programs_of_a_build_are_recorded_once(tmp_path: Path) -> None:
    for name in ("cc", "swig", "git"):
        program(tmp_path / "bin", name, "1.0")
    (tmp_path / "bin/gcc").symlink_to("cc")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.c").touch()
    environ = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    programs = [f"{tmp_path}/bin/{name}" for name in ("gcc", "swig", "git", "gone")]
    found = Tools(tmp_path / "cache").used(tmp_path / "source", programs, environ)
    assert found == {"cc": Tool("cc 1.0"), "swig": Tool("swig 1.0")}

"""Which programs a build depends on, and what is said of other versions."""

from __future__ import annotations

import os
import time
from threading import Event
from typing import TYPE_CHECKING

import pytest

from pipshim.builds import tools
from pipshim.builds.tools import Tools
from pipshim.fastpath.build_inputs import programs_of
from pipshim.model.build_record import languages_of
from pipshim.model.build_tools import (
    Tool,
    compilers_of,
    differences,
    is_tool,
    version_line,
)
from pipshim.model.compiler_choice import CARGO_CONFIG, CompilerChoice
from tests.support.pipshim import PATIENCE

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
    choice = CompilerChoice({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    for _ in range(2):
        tools = Tools(tmp_path / "cache")
        assert tools.find("cc", choice) == Tool("cc 1.0")
        assert tools.find("cc", choice) == Tool("cc 1.0")
    assert (tmp_path / "bin/asked").read_text("utf-8") == "x\n"
    program(tmp_path / "bin", "cc", "1.0.1")
    assert Tools(tmp_path / "cache").find("cc", choice) == Tool("cc 1.0.1", str(path))
    assert Tools(tmp_path / "cache").find("none", choice) is None


def test_compilers_are_asked_while_a_build_runs_and_wait_for_nobody(tmp_path: Path) -> None:
    for name, other in (("cc", "c++"), ("c++", "cc")):  # each answers once both were asked
        path = program(tmp_path / "bin", name, "1.0")
        wait = f"until test -e {tmp_path}/{other}.asked; do sleep 0.01; done"
        path.write_text(f"#!/bin/sh\n: > {tmp_path}/{name}.asked\n{wait}\necho {name} 1.0\n")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.c").touch()
    choice = CompilerChoice({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    tools = Tools(tmp_path / "cache")
    with tools.asked_ahead(tmp_path / "source", choice):
        assert tools.find("c++", choice) == Tool("c++ 1.0")
    assert tools.find("cc", choice) == Tool("cc 1.0")


def test_compilers_and_programs_of_a_build_are_recorded_once(tmp_path: Path) -> None:
    for name in ("cc", "swig", "git"):
        program(tmp_path / "bin", name, "1.0")
    (tmp_path / "bin/gcc").symlink_to("cc")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.c").touch()
    choice = CompilerChoice({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    programs = [f"{tmp_path}/bin/{name}" for name in ("gcc", "swig", "git", "gone")]
    found = Tools(tmp_path / "cache").used(tmp_path / "source", programs, choice)
    assert found == {"cc": Tool("cc 1.0"), "swig": Tool("swig 1.0")}


def test_links_to_ccache_are_passed_over(tmp_path: Path) -> None:
    ccache = program(tmp_path / "bin", "ccache", "4.0")
    (tmp_path / "links").mkdir()
    (tmp_path / "links/gcc").symlink_to(ccache)
    program(tmp_path / "bin", "gcc", "13.1")
    choice = CompilerChoice({"PATH": f"{tmp_path}/links:{tmp_path}/bin"})
    assert Tools(tmp_path / "cache").find("gcc", choice) == Tool("gcc 13.1")


RUSTUP = """\
#!/bin/sh
test "$(basename "$0")" = rustup || exit 1
test "$1 $2" = "which rustc" || exit 1
echo "info: syncing channel updates" >&2
echo "{folder}/${{4:-$(cat {folder}/default)}}/rustc"
"""


def test_rustc_is_the_one_of_the_toolchain_that_rustup_would_run(tmp_path: Path) -> None:
    rustup = program(tmp_path / "bin", "rustup", "1.28")
    rustup.write_text(RUSTUP.format(folder=tmp_path), "utf-8")
    (tmp_path / "bin/rustc").symlink_to("rustup")
    for channel in ("1.70", "1.95"):
        program(tmp_path / channel, "rustc", f"{channel}.0")
    source = tmp_path / "source"
    source.mkdir()
    (source / "lib.rs").touch()
    (tmp_path / "default").write_text("1.95", "utf-8")
    environ = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin", "CARGO_HOME": str(tmp_path)}

    def used(**more: str) -> dict[str, str]:
        found = Tools(tmp_path / "cache").used(source, (), CompilerChoice({**environ, **more}))
        assert languages_of(found, ()) == {"c", "rust"}
        versions = {name: tool.version for name, tool in found.items() if tool is not None}
        versions.pop(CARGO_CONFIG)
        return versions

    assert used() == {"rustc": "rustc 1.95.0"}
    (tmp_path / "default").write_text("1.70", "utf-8")
    assert used() == {"rustc": "rustc 1.70.0"}
    (source / "rust-toolchain.toml").write_text('[toolchain]\nchannel = "1.95"\n', "utf-8")
    assert used() == {"rustc +1.95": "rustc 1.95.0"}
    assert used(RUSTUP_TOOLCHAIN="1.70") == {"rustc +1.95": "rustc 1.70.0"}


def test_flags_of_cargos_configuration_count_and_its_registries_do_not(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    choice = CompilerChoice({"CARGO_HOME": str(tmp_path)}, systems=frozenset({"rustc"}))
    texts = [
        "",
        "[net]\nretry = 3\n[build]\njobs = 2\n",
        '[build]\nrustflags = ["-Ctarget-cpu=native"]\n',
    ]
    found = []
    for text in texts:
        file.write_text(text, "utf-8")
        found.append(Tools(tmp_path / "cache").find(CARGO_CONFIG, choice))
    file.unlink()
    assert Tools(tmp_path / "cache").find(CARGO_CONFIG, choice) == found[0] == found[1] != found[2]
    assert list(differences({"x": found[0]}, {"x": found[2]})) == ["x has changed"]


@pytest.mark.parametrize(
    "text", [None, "", "= 3", "build = 3\n", "[build]\nrustc = 3\n", "[[build]]\n", "\x00", b"\xff"]
)
def test_a_configuration_of_cargo_that_says_nothing_is_passed_over(
    tmp_path: Path, text: str | bytes | None
) -> None:
    program(tmp_path / "bin", "rustc", "1.95.0")
    if text is not None:
        data = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "config.toml").write_bytes(data)
    environ = {"CARGO_HOME": str(tmp_path), "PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    choice = CompilerChoice(environ, systems=frozenset({"rustc"}))
    tools = Tools(tmp_path / "cache")
    assert tools.find("rustc", choice) == Tool("rustc 1.95.0")
    assert tools.find(CARGO_CONFIG, choice) is not None


def test_the_rustc_that_cargos_configuration_names_is_used(tmp_path: Path) -> None:
    mine = program(tmp_path / "mine", "rustc", "1.70.0")
    (tmp_path / "config.toml").write_text(f'[build]\nrustc = "{mine}"\n', "utf-8")
    choice = CompilerChoice({"CARGO_HOME": str(tmp_path)}, systems=frozenset({"rustc"}))
    assert Tools(tmp_path / "cache").find("rustc", choice) == Tool("rustc 1.70.0")


def test_a_program_that_gave_no_answer_in_time_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = program(tmp_path / "bin", "cc", "1.0")
    answer = path.read_text("utf-8")
    path.write_text(answer.replace("echo x", "test -e /nowhere || sleep 600; echo x"), "utf-8")
    os.utime(path, (0, 0))
    choice = CompilerChoice({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    with monkeypatch.context() as patched:
        patched.setattr(tools, "_SECONDS", 0.3)
        silent = Tools(tmp_path / "cache").find("cc", choice)
    assert silent is not None
    assert silent.version.startswith("file ")
    path.write_text(answer.ljust(path.stat().st_size), "utf-8")
    os.utime(path, (0, 0))
    assert Tools(tmp_path / "cache").find("cc", choice) == Tool("cc 1.0")


def test_nothing_is_waited_for_when_the_command_ends(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "cc", "1.0")
    path.write_text("#!/bin/sh\nsleep 600\n", "utf-8")
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.c").touch()
    choice = CompilerChoice({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    is_stopped = Event()
    start = time.monotonic()
    with Tools(tmp_path / "cache", is_stopped.is_set).asked_ahead(tmp_path / "source", choice):
        is_stopped.set()
    assert time.monotonic() - start < PATIENCE


def test_what_a_program_says_beside_its_version_does_not_count(tmp_path: Path) -> None:
    path = program(tmp_path / "bin", "rustc", "1.95.0")
    path.write_text("#!/bin/sh\necho 'info: syncing 1.70.0' >&2\necho rustc 1.95.0\n", "utf-8")
    program(tmp_path / "bin", "old", "1.0").write_text("#!/bin/sh\necho old 1.0 >&2\n", "utf-8")
    choice = CompilerChoice({"PATH": f"{tmp_path}/bin:/usr/bin:/bin"})
    assert Tools(tmp_path / "cache").find("rustc", choice) == Tool("rustc 1.95.0")
    assert Tools(tmp_path / "cache").find("old", choice) == Tool("old 1.0")


def test_relative_programs_are_those_of_the_source_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "bin", "cc", "1.0")
    monkeypatch.chdir(tmp_path)
    choice = CompilerChoice({"PATH": "bin", "CC": "bin/cc"})
    assert Tools(tmp_path / "cache").find("cc", choice) is None
    record = {"tools": {"cc": {"version": "1.0", "path": ""}, "ninja": None}}
    assert programs_of([record], choice.environ, {}) == ["ninja"]


def test_files_of_cmake_and_meson_choose_compilers(tmp_path: Path) -> None:
    for name in ("cc", "mine"):
        program(tmp_path / "bin", name, "1.0")
    (tmp_path / "tools.cmake").write_text('set(CMAKE_C_COMPILER "mine")\n', "utf-8")
    (tmp_path / "native.ini").write_text("[binaries]\nc = ['mine', '-m64']\n", "utf-8")
    path = {"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}
    by_cmake = CompilerChoice(
        {**path, "CMAKE_TOOLCHAIN_FILE": f"{tmp_path}/tools.cmake"}, systems=frozenset({"cmake"})
    )
    by_meson = CompilerChoice(
        path,
        config={"setup-args": f"--native-file={tmp_path}/native.ini"},
        systems=frozenset({"meson-python"}),
    )
    for choice in (by_cmake, by_meson):
        assert Tools(tmp_path / "cache").find("cc", choice) == Tool("mine 1.0")
    neither = CompilerChoice(by_cmake.environ, config=by_meson.config)
    assert Tools(tmp_path / "cache").find("cc", neither) == Tool("cc 1.0")

"""What the ELF files of wheels need of a machine."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pipshim.model.machine_needs import MachineNeeds, lacking
from pipshim.remote.machine import ThisMachine
from pipshim.remote.wheel_needs import (
    UnreadableWheelError,
    needs_of,
    paths_of,
    why_unloadable,
)
from pipshim.store.store import Store
from tests.support import dists

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.store.unpacked_wheel import UnpackedWheel

pytest.importorskip("elftools")

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or sys.platform != "linux", reason="needs gcc and ELF files"
)


def library(path: Path, *options: str, source: str = "int value(void) { return 1; }") -> bytes:
    """Compile a shared library; what it is linked with stays."""
    command = ["gcc", "-shared", "-fPIC", "-x", "c", "-", "-x", "none", "-Wl,--no-as-needed"]
    subprocess.run([*command, *options, "-o", path], input=source.encode(), check=True)
    return path.read_bytes()


def unpacked(folder: Path, name: str, files: dict[str, str | bytes]) -> UnpackedWheel:
    (folder / "wheels").mkdir(exist_ok=True)
    made = dists.wheel(folder / "wheels", name, "1.0", files=files, tag="cp311-cp311-linux_x86_64")
    return Store(folder / "store").add(made, name)


def test_libraries_that_the_wheel_does_not_bring_are_needs(tmp_path: Path) -> None:
    library(tmp_path / "libours.so.1", "-Wl,-soname,libours.so.1")
    library(tmp_path / "libtheirs.so.2", "-Wl,-soname,libtheirs.so.2")
    linked = ("libours.so.1", "libtheirs.so.2")
    extension = library(
        tmp_path / "extension.so",
        *(str(tmp_path / name) for name in linked),
        "-Wl,-rpath,$ORIGIN/../pkg.libs",
        source='#include <stdlib.h>\nint get(void) { return getenv("X") != 0; }',
    )
    wheel = unpacked(
        tmp_path,
        "pkg",
        {
            "pkg/extension.so": extension,
            "pkg.libs/libours.so.1": (tmp_path / "libours.so.1").read_bytes(),
        },
    )
    needs = needs_of(wheel)
    assert needs.libc in {"glibc", "musl"}
    assert set(needs.libraries) - {"libtheirs.so.2"} == {
        name for name in needs.libraries if name.startswith("libc.")
    }
    assert not needs.placed
    machine = ThisMachine({})
    assert lacking(needs, machine) == ["needs libtheirs.so.2, which was not found here"]
    assert not lacking(needs, ThisMachine({"LD_LIBRARY_PATH": str(tmp_path)}))


def test_libraries_of_what_the_wheel_was_built_against_are_no_needs(tmp_path: Path) -> None:
    core = library(tmp_path / "libcore.so", "-Wl,-soname,libcore.so")
    extension = library(tmp_path / "extension.so", str(tmp_path / "libcore.so"))
    wheel = unpacked(tmp_path, "pkg", {"pkg/extension.so": extension})
    framework = unpacked(tmp_path, "framework", {"framework/lib/libcore.so": core})
    assert "libcore.so" in needs_of(wheel).libraries
    assert "libcore.so" not in needs_of(wheel, paths_of(framework)).libraries


def test_a_library_in_a_folder_of_the_machine_may_be_found_there_only(tmp_path: Path) -> None:
    library(tmp_path / "libplaced.so", "-Wl,-soname,libplaced.so")
    extension = library(
        tmp_path / "extension.so", str(tmp_path / "libplaced.so"), f"-Wl,-rpath,{tmp_path}"
    )
    needs = needs_of(unpacked(tmp_path, "pkg", {"pkg/extension.so": extension}))
    assert needs.placed == {"libplaced.so"}
    assert not lacking(needs, ThisMachine({}), elsewhere=needs.placed)
    assert str(tmp_path) not in str(needs.to_json())


def test_a_record_that_leaves_out_a_need_does_not_help_a_wheel(tmp_path: Path) -> None:
    library(tmp_path / "libtheirs.so", "-Wl,-soname,libtheirs.so")
    linked = (str(tmp_path / "libtheirs.so"), f"-Wl,-rpath,{tmp_path}")
    wheel = unpacked(tmp_path, "pkg", {"pkg/x.so": library(tmp_path / "x.so", *linked)})
    needs, machine = needs_of(wheel), ThisMachine({})
    assert why_unloadable(wheel, needs, machine) is None
    (tmp_path / "libtheirs.so").unlink()
    said = "needs libtheirs.so, which was not found here"
    assert why_unloadable(wheel, needs, machine) == said
    # A distribution may bring what the record does not name.
    assert why_unloadable(wheel, MachineNeeds(), machine) is None
    other = ThisMachine({})
    vars(other)["libc"] = "musl" if machine.libc == "glibc" else "glibc"
    assert f"this machine has {other.libc}" in (why_unloadable(wheel, MachineNeeds(), other) or "")


def test_a_library_for_another_machine_is_not_found(tmp_path: Path) -> None:
    content = bytearray(library(tmp_path / "libx.so"))
    content[18] = 183 if content[18] != 183 else 62  # e_machine: AArch64, x86-64
    (tmp_path / "libx.so").write_bytes(content)
    machine = ThisMachine({"LD_LIBRARY_PATH": str(tmp_path)})
    assert not machine.has_library("libx.so")


def test_the_c_library_of_this_machine_is_known() -> None:
    machine = ThisMachine(os.environ)
    assert machine.libc in {"glibc", "musl"}
    if machine.libc == "glibc":
        version = os.confstr("CS_GNU_LIBC_VERSION")
        assert version is not None
        assert f"GLIBC_{version.split()[1]}" in machine.versions("libc.so.6", ["GLIBC_2.0"])


@pytest.mark.parametrize("size", [4, 100, 700])
def test_a_damaged_library_is_an_error(tmp_path: Path, size: int) -> None:
    damaged = library(tmp_path / "libx.so", "-lm")[:size]
    wheel = unpacked(tmp_path, "pkg", {"pkg/extension.so": damaged})
    with pytest.raises(UnreadableWheelError, match=r"extension\.so is not a valid ELF file"):
        needs_of(wheel)


def fat_binary(*codes: tuple[int, int, int]) -> bytes:
    """Make what nvcc puts into a library: for each code its kind, architecture and flags."""
    entries = b"".join(
        struct.pack("<HHIQIIHHIIIQ", kind, 257, 64, 24, 0, 0, 8, 1, architecture, 0, 0, flags)
        + bytes(16 + 24)
        for kind, architecture, flags in codes
    )
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(entries)) + entries + bytes(8)


def test_the_gpus_of_compiled_code_are_needs(tmp_path: Path) -> None:
    first = fat_binary((2, 80, 0x11), (2, 90, 0x1011))
    content = first + fat_binary((1, 90, 0x11), (2, 100, 0x1100011))
    (tmp_path / "code.bin").write_bytes(content)
    assembly = f'.section .nv_fatbin, "a"\n.incbin "{tmp_path / "code.bin"}"\n'
    assembly += '.section .note.GNU-stack, ""\n'
    (tmp_path / "code.s").write_text(assembly, encoding="utf-8")
    subprocess.run(["gcc", "-c", tmp_path / "code.s", "-o", tmp_path / "code.o"], check=True)
    extension = library(tmp_path / "extension.so", str(tmp_path / "code.o"))
    needs = needs_of(unpacked(tmp_path, "pkg", {"pkg/extension.so": extension}))
    assert needs.gpus == {"sm_80", "sm_90a", "compute_90", "sm_100a"}


def test_text_and_python_files_need_nothing(tmp_path: Path) -> None:
    wheel = unpacked(tmp_path, "pkg", {"pkg/__init__.py": "", "pkg/data.so": "not a library"})
    assert not needs_of(wheel).libraries


def test_a_machine_is_looked_at_once(tmp_path: Path) -> None:
    library(tmp_path / "libours.so.1")
    machine = ThisMachine({"LD_LIBRARY_PATH": str(tmp_path)})
    assert machine.has_library("libours.so.1")
    (tmp_path / "libours.so.1").unlink()
    assert machine.has_library("libours.so.1")
    assert not ThisMachine({"LD_LIBRARY_PATH": str(tmp_path)}).has_library("libours.so.1")

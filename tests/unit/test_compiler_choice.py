"""Which compilers build systems take."""

from __future__ import annotations

import pytest

from pipshim.model.compiler_choice import (
    NATIVE_FILE,
    TOOLCHAIN_FILE,
    CompilerChoice,
    candidates,
    of_native_file,
    of_toolchain_file,
)

PYTHON = {"cc": "ccache x86_64-linux-gnu-gcc -pthread", "c++": "x86_64-linux-gnu-g++ -pthread"}
GENERIC, CXX = ("cc", "gcc", "clang"), ("c++", "g++", "clang++")


@pytest.mark.parametrize(
    ("systems", "cc", "cxx"),
    [
        ("setuptools", ("x86_64-linux-gnu-gcc",), ("x86_64-linux-gnu-g++",)),
        ("setuptools scikit-build-core", ("x86_64-linux-gnu-gcc",), ("x86_64-linux-gnu-g++",)),
        ("setuptools torch", ("x86_64-linux-gnu-gcc",), CXX),
        ("setuptools cmake", GENERIC, CXX),
        ("meson meson-python", GENERIC, CXX),
        ("maturin", GENERIC, CXX),
    ],
)
def test_each_build_system_takes_compilers_by_its_own_rule(
    systems: str, cc: tuple[str, ...], cxx: tuple[str, ...]
) -> None:
    choice = CompilerChoice({}, PYTHON, systems=frozenset(systems.split()))
    assert (candidates("cc", choice), candidates("c++", choice)) == (cc, cxx)
    set_by_user = CompilerChoice({"CC": "tcc"}, PYTHON, systems=choice.systems)
    assert candidates("cc", set_by_user) == ("tcc",)


@pytest.mark.parametrize(
    ("name", "systems", "environ", "programs"),
    [
        ("cc", "", {"CC": "ccache /opt/bin/gcc-13 -m64"}, ("/opt/bin/gcc-13",)),
        ("cc", "setuptools", {"CC": "env LANG=C gcc"}, ("gcc",)),
        ("nvcc", "", {"CUDA_HOME": "/opt/cuda"}, ("/opt/cuda/bin/nvcc",)),
        ("nvcc", "", {}, ("nvcc", "/usr/local/cuda/bin/nvcc")),
        ("nvcc", "torch", {"PYTORCH_NVCC": "ccache nvcc", "CUDACXX": "/x/nvcc"}, ("nvcc",)),
        ("nvcc", "cmake", {"CUDACXX": "/x/nvcc", "PYTORCH_NVCC": "nvcc"}, ("/x/nvcc",)),
        ("nvcc", "cmake", {"CUDA_PATH": "/opt/cuda"}, ("nvcc", "/opt/cuda/bin/nvcc")),
        ("cmake", "cmake", {"CC": "clang"}, ("cmake",)),
        ("cc", "cmake", {"CC": "gcc", "CMAKE_ARGS": "-DCMAKE_C_COMPILER=clang"}, ("clang",)),
        ("cc", "cmake", {"CMAKE_ARGS": "-D CMAKE_C_COMPILER=clang"}, ("clang",)),
        ("c++", "cmake", {"CMAKE_ARGS": "-DCMAKE_CXX_COMPILER:FILEPATH=/x/c++"}, ("/x/c++",)),
        ("cc", "scikit-build-core", {"SKBUILD_CMAKE_DEFINE": "A=1;CMAKE_C_COMPILER=tcc"}, ("tcc",)),
        ("cc", "setuptools", {"CMAKE_ARGS": "-DCMAKE_C_COMPILER=clang"}, GENERIC),
        ("rustc", "", {"RUSTC": "/opt/rustc"}, ("/opt/rustc",)),
        ("rustc", "", {}, ("rustc",)),
    ],
)
def test_variables_choose_compilers(
    name: str, systems: str, environ: dict[str, str], programs: tuple[str, ...]
) -> None:
    choice = CompilerChoice(environ, systems=frozenset(systems.split()))
    assert candidates(name, choice) == programs


def test_config_settings_of_a_build_choose_compilers() -> None:
    config = {"cmake.args": ["-DCMAKE_C_COMPILER=tcc"], "cmake.define.CMAKE_CXX_COMPILER": "t++"}
    choice = CompilerChoice({}, config=config, systems=frozenset({"scikit-build-core"}))
    assert candidates("cc", choice) == ("tcc",)
    assert candidates("c++", choice) == ("t++",)


@pytest.mark.parametrize(
    ("config", "file"),
    [
        ({}, None),
        ({"setup-args": ""}, None),
        ({"setup-args": "--native-file"}, None),
        ({"setup-args": "--native-file=of-the-source.ini"}, None),
        ({"setup-args": ["-Dx=1", "--native-file=/a.ini"]}, "/a.ini"),
        ({"setup-args": "--native-file=/a.ini --native-file '/b c.ini'"}, "/b c.ini"),
        ({"builddir": "--native-file=/a.ini"}, None),
    ],
)
def test_the_native_file_is_the_one_of_config_settings(
    config: dict[str, str | list[str]], file: str | None
) -> None:
    choice = CompilerChoice({}, config=config, systems=frozenset({"meson-python"}))
    assert choice.file(NATIVE_FILE) == file


@pytest.mark.parametrize(
    ("environ", "file"),
    [
        ({"CMAKE_TOOLCHAIN_FILE": "/x.cmake"}, "/x.cmake"),
        ({"CMAKE_ARGS": "-DCMAKE_TOOLCHAIN_FILE:FILEPATH=/x.cmake"}, "/x.cmake"),
        ({"CMAKE_ARGS": "--toolchain /x.cmake"}, "/x.cmake"),
        ({"SKBUILD_CMAKE_ARGS": "-GNinja;--toolchain=/x.cmake"}, "/x.cmake"),
        ({"CMAKE_TOOLCHAIN_FILE": "cmake/of-the-source.cmake"}, None),
    ],
)
def test_the_toolchain_file_is_the_one_of_variables(
    environ: dict[str, str], file: str | None
) -> None:
    assert CompilerChoice(environ, systems=frozenset({"cmake"})).file(TOOLCHAIN_FILE) == file


@pytest.mark.parametrize(
    ("line", "compiler"),
    [
        ("set(CMAKE_C_COMPILER gcc-13)", "gcc-13"),
        ('SET( CMAKE_C_COMPILER "/opt/my tools/cc" CACHE FILEPATH "" FORCE )', "/opt/my tools/cc"),
        ("set(CMAKE_C_COMPILER\n    clang)", "clang"),
        ('set(CMAKE_C_COMPILER "clang;--target=arm")', "clang"),
        ("set(TOOLS /opt)\nset(CMAKE_C_COMPILER ${TOOLS}/cc)", "/opt/cc"),
        ("set(CMAKE_C_COMPILER $ENV{TOOLS}/cc)", "/home/me/cc"),
        ("set(CMAKE_C_COMPILER ${CMAKE_CURRENT_LIST_DIR}/cc)", "/etc/cc"),
        ("set(CMAKE_C_COMPILER ${SET_ELSEWHERE}/cc)", None),
        ("# set(CMAKE_C_COMPILER gcc-13)", None),
        ("set(CMAKE_SYSTEM_NAME Linux)", None),
    ],
)
def test_toolchain_files_name_compilers_in_many_forms(line: str, compiler: str | None) -> None:
    assert of_toolchain_file(line, "/etc", {"TOOLS": "/home/me"}).get("cc") == compiler


@pytest.mark.parametrize(
    ("text", "compiler"),
    [
        ("[binaries]\nc = 'gcc-13'\n", "gcc-13"),
        ("[built-in options]\nc_args = '-O1'\n[binaries]  # mine\nc='/opt/cc'\n", "/opt/cc"),
        ("[binaries]\nc = ['ccache', 'gcc-13', '-m64']  # cached\n", "gcc-13"),
        ("[binaries]\nc = [\n    'gcc-13',\n    '-m64']\n", "gcc-13"),
        ("[binaries]\nc = Tools / 'cc'\n[constants]\nTools = '/opt' + '/x'\n", "/opt/x/cc"),
        ("[binaries]\ncpp = 'g++'\n", None),
        ("c = 'gcc'\n", None),
        ("[binaries]\nc\n", None),
        ("", None),
    ],
)
def test_native_files_name_compilers_in_many_forms(text: str, compiler: str | None) -> None:
    assert of_native_file(text).get("cc") == compiler

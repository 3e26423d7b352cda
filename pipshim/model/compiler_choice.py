"""Find the compilers that build systems choose, by their own rules. Pure.

setuptools and scikit-build-core take the compilers that Python was built with, Meson, CMake and
torch's ``cpp_extension`` the first of a list that is on PATH, cargo the one of its configuration.
All of them follow variables, some their settings and files.
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.build_tools import BUILD_SYSTEMS, OF_CHANNEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

WRAPPERS = frozenset({"ccache", "sccache", "distcc", "icecc", "env"})
"""Programs that are put before a compiler, or in its place on PATH, and run it."""

TOOLCHAIN_FILE, NATIVE_FILE = "CMake toolchain file", "Meson native file"
CARGO_CONFIG = "cargo configuration"
FILES = (TOOLCHAIN_FILE, NATIVE_FILE, CARGO_CONFIG)
"""Files that choose compilers and flags, as records call them."""

_VARIABLES = {
    "cc": ("CC",),
    "c++": ("CXX",),
    "fortran": ("FC", "F90", "F77"),
    "rustc": ("RUSTC", "CARGO_BUILD_RUSTC"),
}
_PROGRAMS = {
    "cc": ("cc", "gcc", "clang"),
    "c++": ("c++", "g++", "clang++"),
    "fortran": ("gfortran", "flang-new", "flang", "ifx", "ifort"),
}
_FORTRAN_OF_CMAKE = ("ftn", "ifx", "ifort", "nvfortran", "flang", "gfortran")
_IN_CMAKE = {"cc": "C", "c++": "CXX", "fortran": "Fortran", "nvcc": "CUDA"}
_IN_MESON = {"cc": "c", "c++": "cpp", "fortran": "fortran", "nvcc": "cuda", "rustc": "rust"}
_ANY_CASE = re.IGNORECASE | re.MULTILINE
_DEFINITION = re.compile(r"-D([^:=]+)(?::[^=]*)?=(.*)", re.DOTALL)
_SET = re.compile(r"^\s*set\s*\(\s*(\w+)\s+(\"[^\"]*\"|[^\s\")]+)", _ANY_CASE)
_REFERENCE = re.compile(r"\$(ENV)?\{([^{}]*)\}")
_MESON_TOKEN = re.compile(r"'((?:[^'\\]|\\.)*)'|(\w+)|([+/,])")


@dataclass(frozen=True)
class CompilerChoice:
    """What decides which compilers a build takes.

    Attributes:
        environ: the environment variables of the build.
        python: the compilers that Python was built with, by name.
        config: config settings of the build.
        systems: names of distributions and programs that the build uses.
        chosen: by name, compilers that a file of the user's chooses.

    """

    environ: Mapping[str, str]
    python: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    systems: frozenset[str] = frozenset()
    chosen: Mapping[str, str] = field(default_factory=dict)

    @property
    def uses_cmake(self) -> bool:
        """Whether CMake takes part."""
        return bool(self.systems & {"cmake", "cmake3", "scikit-build", "scikit-build-core"})

    @property
    def definitions(self) -> dict[str, str]:
        """What settings and variables define for CMake."""
        environ, found = self.environ, {}
        if file := environ.get("CMAKE_TOOLCHAIN_FILE"):
            found["CMAKE_TOOLCHAIN_FILE"] = file
        arguments = [
            *words_of(environ.get("CMAKE_ARGS", "")),
            *environ.get("SKBUILD_CMAKE_ARGS", "").split(";"),
            *(f"-D{one}" for one in environ.get("SKBUILD_CMAKE_DEFINE", "").split(";") if one),
        ]
        for key, value in self.config.items():
            name = key.removeprefix("skbuild.")
            if name == "cmake.args":
                arguments += _values(value)
            elif name.startswith("cmake.define."):
                arguments.append(f"-D{name.removeprefix('cmake.define.')}={value}")
        return found | _definitions(arguments)

    def file(self, name: str) -> str | None:
        """Return the path of a file (`FILES`), if the build may use it.

        Relative paths are those of files in the source tree.
        """
        path = self._file(name)
        return path if path and os.path.isabs(path) else None  # noqa: PTH117

    def _file(self, name: str) -> str | None:
        if name == TOOLCHAIN_FILE:
            return self.definitions.get("CMAKE_TOOLCHAIN_FILE") if self.uses_cmake else None
        if name == NATIVE_FILE:
            return self._native_file() if self.systems & {"meson", "meson-python"} else None
        if any(one.partition(OF_CHANNEL)[0] == "rustc" for one in self.systems):
            home = self.environ.get("CARGO_HOME") or f"{self.environ.get('HOME', '')}/.cargo"
            return f"{home}/config.toml"
        return None

    @property
    def rustup_settings(self) -> str | None:
        """The file with rustup's default toolchain, if Rust is compiled."""
        if self.file(CARGO_CONFIG) is None:
            return None
        home = self.environ.get("RUSTUP_HOME") or f"{self.environ.get('HOME', '')}/.rustup"
        return f"{home}/settings.toml"

    def _native_file(self) -> str | None:
        words = [one for text in _values(self.config.get("setup-args")) for one in words_of(text)]
        found, option = None, "--native-file"
        for number, word in enumerate(words):
            if word == option:
                found = "".join(words[number + 1 : number + 2])
            elif word.startswith(f"{option}="):
                found = word.partition("=")[2]
        return found


def candidates(name: str, choice: CompilerChoice) -> tuple[str, ...]:
    """Return the programs that a build takes for a tool, the first that exists.

    Args:
        name: a compiler (`pipshim.model.build_tools.LANGUAGES`), or the name of a program.
        choice: what decides.

    """
    program = _of_settings(name, choice) or _of_variables(name, choice)
    if program:
        return (program,)
    if name == "nvcc":
        return _nvcc(choice)
    if _takes_sysconfig(name, choice.systems) and (found := program_of(choice.python.get(name))):
        return (found,)
    if name == "fortran" and "cmake" in choice.systems:
        return _FORTRAN_OF_CMAKE
    return _PROGRAMS.get(name, (name,))


def program_of(command: str | None) -> str | None:
    """Return the compiler of a command, without the programs that are put before it."""
    return _first_compiler(words_of(command or ""))


def _first_compiler(words: Iterable[str]) -> str | None:
    others = (one for one in words if one.rpartition("/")[2] not in WRAPPERS)
    return next((one for one in others if "=" not in one), None)


def words_of(text: str) -> list[str]:
    """Split a command as a shell does, as far as it is one."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def of_toolchain_file(text: str, folder: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the compilers that a toolchain file of CMake names, in a folder."""
    known = {"CMAKE_CURRENT_LIST_DIR": folder}

    def value_of(match: re.Match[str]) -> str:
        return (environ if match[1] else known).get(match[2], match[0])

    for match in _SET.finditer(text):
        known[match[1]] = _REFERENCE.sub(value_of, match[2].strip('"')).partition(";")[0]
    return {name: path for name, path in _of_definitions(known).items() if "$" not in path}


def of_native_file(text: str) -> dict[str, str]:
    """Return the compilers that a native file of Meson names."""
    from configparser import Error, RawConfigParser  # noqa: PLC0415 as Meson; seldom

    parser = RawConfigParser(delimiters="=", inline_comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text)
    except Error:
        return {}
    constants: dict[str, str] = {}
    if parser.has_section("constants"):
        for key, value in parser.items("constants"):
            constants[key] = _of_meson(value, constants)[0]
    binaries = dict(parser.items("binaries")) if parser.has_section("binaries") else {}
    commands = ((name, binaries.get(key, "")) for name, key in _IN_MESON.items())
    found = {name: _first_compiler(_of_meson(value, constants)) for name, value in commands}
    return {name: program for name, program in found.items() if program}


def _of_meson(text: str, constants: Mapping[str, str]) -> list[str]:
    """Evaluate a string, or a list of them, of a file of Meson's."""
    words, join = [""], False
    for string, name, sign in _MESON_TOKEN.findall(text):
        if sign == ",":
            words.append("")
        elif not sign:
            value = constants.get(name, "") if name else re.sub(r"\\(.)", r"\1", string)
            words[-1] = os.path.join(words[-1], value) if join else words[-1] + value  # noqa: PTH118
        join = sign == "/"
    return words


def of_cargo_config(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a configuration of cargo decides how crates are compiled."""
    sections = ("build", "target", "profile", "env", "unstable")
    found = {name: data[name] for name in sections if name in data}
    if isinstance(build := found.get("build"), dict):
        unrelated = ("jobs", "target-dir", "build-dir", "incremental")
        found["build"] = {key: value for key, value in build.items() if key not in unrelated}
    return {name: value for name, value in found.items() if value}


def _of_settings(name: str, choice: CompilerChoice) -> str | None:
    if choice.uses_cmake and (found := _of_definitions(choice.definitions).get(name)):
        return found
    return choice.chosen.get(name)


def _definitions(arguments: Iterable[str]) -> dict[str, str]:
    """Return what arguments of CMake define; ``--toolchain`` is short for a definition."""
    found: dict[str, str] = {}
    option = ""
    for word in arguments:
        text = f"{option}{word}"
        option = {"-D": "-D", "--toolchain": "--toolchain="}.get(text, "")
        if text.startswith("--toolchain="):
            text = f"-DCMAKE_TOOLCHAIN_FILE={text.partition('=')[2]}"
        if match := _DEFINITION.fullmatch(text):
            found[match[1]] = match[2]
    return found


def _of_definitions(definitions: Mapping[str, str]) -> dict[str, str]:
    """Return the compilers that definitions of CMake choose."""
    named = {name: f"CMAKE_{language.upper()}_COMPILER" for name, language in _IN_CMAKE.items()}
    upper = {key.upper(): value for key, value in definitions.items()}
    return {name: upper[key] for name, key in named.items() if upper.get(key)}


def _of_variables(name: str, choice: CompilerChoice) -> str | None:
    """Return the compiler that a variable names; torch, CMake and others have one each for nvcc."""
    variables = _VARIABLES.get(name, ())
    if name == "nvcc":
        variables = ("PYTORCH_NVCC",) if "torch" in choice.systems else ("CUDACXX", "NVCC")
    values = (program_of(choice.environ.get(variable)) for variable in variables)
    return next(filter(None, values), None)


def _nvcc(choice: CompilerChoice) -> tuple[str, ...]:
    environ = choice.environ
    home = environ.get("CUDA_HOME") or environ.get("CUDA_PATH")
    if home and not ("cmake" in choice.systems and "torch" not in choice.systems):
        return (f"{home}/bin/nvcc",)
    last = environ.get("CUDA_PATH") or "/usr/local/cuda"
    return ("nvcc", f"{last}/bin/nvcc")


def _takes_sysconfig(name: str, systems: frozenset[str]) -> bool:
    """Return whether a build takes the compilers that Python was built with."""
    if "scikit-build-core" in systems:
        return True
    if systems & BUILD_SYSTEMS or (name == "c++" and "torch" in systems):
        return False
    return "setuptools" in systems


def _values(value: object) -> Iterator[str]:
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    return (str(one) for one in values if one is not None)

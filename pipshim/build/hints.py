"""From what a failed build printed to the line that mends it. Pure: text in, text out.

Each rule knows one message of one tool. The message that stands last in the output decides: what
comes before it is often a probe that was allowed to fail (a configure test, an import in a try).
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Callable

# Some builds print for an hour; what killed them stands at the end.
_TAIL = 200_000
_NO_ISOLATION = "no-isolation"
_SIGKILL = 9


@dataclass(frozen=True, slots=True)
class _Build:
    package: str
    mode: str
    chosen_by: str


_Rule: TypeAlias = "Callable[[re.Match[str], _Build], str | None]"


def hint_for(
    output: str,
    *,
    mode: str,
    package: str,
    chosen_by: str = "",
    returncode: int | None = None,
) -> str | None:
    """Say what mends a failed build, or None if its output has no known message.

    The hint is for :class:`pipshim.errors.BuildError`: paragraphs to wrap, and indented lines to
    paste as they are. Without isolation it never says to switch isolation off, as it is off.

    Args:
        output: all that the build printed (the end suffices); for a backend that is not there, the
            text of ``BackendUnavailable``, since such a build prints nothing.
        mode: the build mode's name.
        package: the name of what was built; a version after it is ignored.
        chosen_by: what chose the mode, as in the events.
        returncode: the exit status of the build's process, negative for a signal.

    """
    build = _Build(canonicalize_name(package.split()[0]), str(mode), chosen_by)
    if returncode in (-_SIGKILL, 128 + _SIGKILL):
        return _memory(build)
    output = output[-_TAIL:]
    best: tuple[int, str] | None = None
    for pattern, rule in _RULES:
        for match in pattern.finditer(output):
            if best is not None and match.start() <= best[0]:
                continue
            hint = rule(match, build)
            if hint is not None:
                best = (match.start(), hint)
    return best[1] if best else None


# What is missing from the build environment, in the form that the mode needs.


def _lines(table: str, *lines: str) -> str:
    return "\n".join(("", f"    [{table}]", *(f"    {line}" for line in lines), ""))


def _require(build: _Build, problem: str, requirement: str, *, other: str = "") -> str:
    """``other`` is one more way out, a sentence."""
    quoted = json.dumps(requirement)
    if build.mode == _NO_ISOLATION:
        text = (
            f"{problem}. It is built without isolation, so that has to be installed in the project "
            f"environment: add {quoted} to dependencies or a dependency group of pyproject.toml."
        )
        return f"{text} {other}".rstrip()
    parts = [
        f"{problem}. Add it to the build environment in pyproject.toml:",
        _lines("tool.pipshim.extra-build-dependencies", f"{build.package} = [{quoted}]"),
    ]
    # On the command line, --build-isolation would overrule what the configuration says.
    if build.chosen_by != "command line":
        parts += [
            "or build it in the project environment, where that must be installed:",
            _lines("tool.pipshim", f'no-build-isolation-package = ["{build.package}"]'),
        ]
    return "\n".join([*parts, other]).rstrip()


def _other_version(build: _Build, problem: str, distribution: str) -> str:
    start = f"{problem}: {build.package} was written for another version"
    if build.mode == _NO_ISOLATION:
        return (
            f"{start}. Limit {distribution} in the dependencies of pyproject.toml, "
            f"or use another version of {build.package}."
        )
    return "\n".join(
        [
            f"{start}. Use another version of {build.package}, or limit {distribution} in "
            "pyproject.toml, with the version that broke it in place of VERSION:",
            _lines(
                "tool.pipshim.extra-build-dependencies",
                f'{build.package} = ["{distribution}<VERSION"]',
            ),
        ]
    ).rstrip()


def _python(build: _Build, problem: str, wanted: str) -> str:
    return f"{problem}. Use {wanted}, or another version of {build.package}."


def _system(problem: str, debian: str) -> str:
    return f"{problem}. On Debian and Ubuntu: apt-get install {debian}"


# One function a kind of message.


def _missing_module(match: re.Match[str], build: _Build) -> str | None:
    module, backend = match["module"], match.groupdict().get("backend")
    # The import of poetry.core.masonry.api fails with "No module named 'poetry'".
    if backend and f"{backend}.".startswith(f"{module}."):
        return _missing_backend(backend, build)
    known = next((name for name in _prefixes(module) if name in _DISTRIBUTIONS), None)
    top = module.partition(".")[0]
    if canonicalize_name(top) == build.package:
        return (
            f"{build.package} imports itself while it is built, and that fails: a mistake in this "
            "version of it. Use another version, or a wheel."
        )
    if known is None and top in _REMOVED:
        gone = _REMOVED[top]
        return _python(build, f"Python {gone} removed the module {top}", f"a Python below {gone}")
    if known is None and top == "tomllib":
        return _python(build, "Python has the module tomllib from 3.11 on", "Python 3.11 or newer")
    if known is None and top in sys.stdlib_module_names:
        return (
            f"This Python was built without its module {module}: use another Python, or build it "
            f"again with the library that {module} needs."
        )
    distribution = _DISTRIBUTIONS[known] if known else canonicalize_name(top)
    if module not in (known, top):
        return _other_version(build, f"{known or top} has no module {module}", distribution)
    if not distribution[0].isalnum():
        return None
    why = f" ({_WHY[module]})" if module in _WHY else ""
    provider = f", of {distribution}" if distribution.lower() != module.lower() else ""
    problem = f"{build.package} imports {module}{provider}, while it is built{why}"
    return _require(build, problem, distribution)


def _backend_alone(match: re.Match[str], build: _Build) -> str:
    return _missing_backend(match["backend"], build)


def _missing_backend(backend: str, build: _Build) -> str:
    known = next((name for name in _prefixes(backend) if name in _DISTRIBUTIONS), None)
    distribution = _DISTRIBUTIONS[known] if known else canonicalize_name(backend.partition(".")[0])
    problem = (
        f"The build backend of {build.package}, {backend}, is not there: {distribution} has it"
    )
    return _require(build, problem, distribution)


def _prefixes(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def _missing_name(match: re.Match[str], build: _Build) -> str | None:
    name, module = match["name"], match["module"]
    top = module.partition(".")[0]
    if canonicalize_name(top) == build.package:
        return None
    known = next((prefix for prefix in _prefixes(module) if prefix in _DISTRIBUTIONS), None)
    if known is None and top in sys.stdlib_module_names:
        return _python(build, f"{module} has no {name} in this Python", "an older Python")
    distribution = _DISTRIBUTIONS[known] if known else canonicalize_name(top)
    return _other_version(build, f"{module} has no {name}", distribution)


def _hatch_plugin(match: re.Match[str], build: _Build) -> str:
    plugin = match["plugin"]
    distribution = _HATCH_PLUGINS.get(plugin, f"hatch-{canonicalize_name(plugin)}")
    return _require(
        build, f"{build.package} is built with hatchling and its plugin {plugin}", distribution
    )


def _header(match: re.Match[str], build: _Build) -> str | None:
    header = match["header"]
    folder, name = header.partition("/")[0], header.rpartition("/")[2]
    if name.endswith((".c", ".cc", ".cpp", ".cxx", ".cu", ".pyx", ".S")):
        return None  # a source file of the package's own
    if name == "longintrepr.h":
        return _python(
            build, "The package brings C code made for Python 3.10 or older", "Python 3.10"
        )
    if folder != name and folder in _HEADER_DISTRIBUTIONS:
        problem = f"{build.package} needs the C header {header}"
        return _require(build, problem, _HEADER_DISTRIBUTIONS[folder])
    if name.startswith(("cuda", "cublas", "cudnn", "cusparse", "nvToolsExt")):
        return _cuda(match, build)
    problem = f"The C header {header} is missing"
    package = _HEADER_PACKAGES.get(name) or _HEADER_PACKAGES.get(folder)
    if package:
        return _system(problem, package)
    stem = re.sub(r"^lib|\.\w+$", "", folder).lower()
    return (
        _system(problem, f"lib{stem}-dev")
        + f", or the package that `apt-file search {header}` names."
    )


def _library(match: re.Match[str], build: _Build) -> str:
    name = match["library"]
    if name in _CMAKE_DISTRIBUTIONS:
        problem = f"{build.package} needs {name} to build"
        return _require(build, problem, _CMAKE_DISTRIBUTIONS[name])
    stem = re.sub(r"^lib", "", name.lower())
    key = "python" if stem.startswith("python") else stem
    problem = f"The library {name} is missing, or what is needed to build with it"
    if key in _LIBRARY_PACKAGES:
        return _system(problem, _LIBRARY_PACKAGES[key])
    return (
        _system(problem, f"lib{stem}-dev")
        + f", or the package that `apt-file search lib{stem}.so` names."
    )


def _program(match: re.Match[str], build: _Build) -> str | None:
    path = match["program"]
    # Compilers are called x86_64-linux-gnu-gcc-12 as well; CMake speaks of languages.
    name = re.sub(r"-\d+(\.\d+)*$", "", path.rpartition("/")[2])
    name = re.sub(r"^.*-(?=(gcc|g\+\+|cc|c\+\+|gfortran)$)", "", name)
    name = {"C": "cc", "CXX": "c++", "Fortran": "gfortran", "Ninja": "ninja"}.get(name, name)
    name = {"Unix Makefiles": "make", "CMake": "cmake", "Rust": "cargo"}.get(name, name)
    if name == "nvcc":
        return _cuda(match, build)
    package, distribution = _PROGRAM_PACKAGES.get(name), _PROGRAM_DISTRIBUTIONS.get(name)
    if package is None and distribution is None and match.re in _ANY_FILE:
        return None  # a file that is missing, but no program that we know
    if distribution:
        other = f"The system's will do too: apt-get install {package}" if package else ""
        problem = f"{build.package} needs the program {name} to build"
        return _require(build, problem, distribution, other=other)
    is_compiler = package in ("build-essential", "gfortran")
    problem = f"There is no {'compiler' if is_compiler else 'program'} {path} here"
    if match["program"] in ("Rust", "cargo"):
        problem = "There is no Rust compiler here (rustup, of https://rustup.rs, installs one)"
    return _system(problem, package) if package else f"{problem}: install it, or add it to PATH."


def _visual_c(_match: re.Match[str], _build: _Build) -> str:
    return (
        "There is no C++ compiler here: install the Build Tools for Visual Studio, with "
        '"Desktop development with C++".'
    )


def _cmake_too_old(match: re.Match[str], build: _Build) -> str:
    problem = f"{build.package} needs a newer CMake"
    return _require(build, problem, f"cmake>={match['version']}")


def _cmake_too_new(match: re.Match[str], build: _Build) -> str:
    version = match["version"]
    return "\n".join(
        [
            f"{build.package} is written for a CMake before 4. Tell CMake so, in pyproject.toml:",
            _lines(
                "tool.pipshim.extra-build-variables",
                f'{build.package} = {{ CMAKE_POLICY_VERSION_MINIMUM = "{version}" }}',
            ),
        ]
    ).rstrip()


def _cuda(_match: re.Match[str], build: _Build) -> str:
    return (
        "The CUDA toolkit is not found: install it, and set CUDA_HOME to its folder. Many packages "
        f"have a variable to build without it, for {build.package} in "
        "[tool.pipshim.extra-build-variables]."
    )


def _cuda_version(match: re.Match[str], _build: _Build) -> str:
    return (
        f"torch is made for CUDA {match['torch']}, and the CUDA toolkit found is {match['found']}: "
        f"install {match['torch']} and set CUDA_HOME to its folder, or choose a torch made for "
        f"CUDA {match['found']}."
    )


def _killed(_match: re.Match[str], build: _Build) -> str:
    return _memory(build)


def _memory(build: _Build) -> str:
    return "\n".join(
        [
            "A program of the build was killed, most likely since memory ran out. Build fewer "
            "packages at once (-j 1), and let this one run fewer compilers, in pyproject.toml:",
            _lines(
                "tool.pipshim.extra-build-variables",
                f'{build.package} = {{ MAX_JOBS = "1", CMAKE_BUILD_PARALLEL_LEVEL = "1" }}',
            ),
        ]
    ).rstrip()


def _python_limits(match: re.Match[str], build: _Build) -> str:
    wanted = match["wanted"]
    return _python(build, f"It does not support Python {match['python']}", f"a Python {wanted}")


def _old_setuptools(_match: re.Match[str], build: _Build) -> str:
    problem = "The setuptools that it is built with is too old for Python 3.12"
    return _python(build, problem, "a Python below 3.12")


def _no_requirement(match: re.Match[str], build: _Build) -> str:
    return (
        f"No version of the build requirement {match['requirement']} fits. It comes from the "
        f"package's build-system.requires, or from extra-build-dependencies for {build.package}: "
        "check its name there, the index options, and build-constraint-dependencies."
    )


def _hashes(_match: re.Match[str], build: _Build) -> str:
    return (
        "A file that the build needs is not the one that was locked. If the new one is right, "
        f"lock it: pipshim lock -P {build.package}"
    )


def _compile(*rules: tuple[str, _Rule]) -> list[tuple[re.Pattern[str], _Rule]]:
    return [(re.compile(pattern, re.MULTILINE), rule) for pattern, rule in rules]


_NAME = r"[\w.]+"
_CALLED = r"^[ \t]*(?:error|FileNotFoundError): \[Errno 2\] No such file or directory: "
_CMAKE_ERROR = r"CMake Error at [^\n]*:\s+"
_FATAL = r"^[ \t]*(?!_configtest)\S[^\n]*?fatal error"

_NOT_ONLY_PROGRAMS = _compile(
    (_CALLED + r"'(?P<program>[^'\n]+)'", _program),
    (r"^[^\n]*?sh: (?:\d+: |line \d+: )?(?P<program>[^\s:]+): (?:command )?not found$", _program),
)
_ANY_FILE = {pattern for pattern, _ in _NOT_ONLY_PROGRAMS}
_RULES = _NOT_ONLY_PROGRAMS + _compile(
    (
        rf"(?:Cannot import '(?P<backend>{_NAME})'\s+Traceback[^\0]*?)?"
        rf"^[ \t]*(?:ModuleNotFoundError|ImportError): No module named '?(?P<module>{_NAME})'?",
        _missing_module,
    ),
    (rf"Cannot import '(?P<backend>{_NAME})'$", _backend_alone),
    (
        rf"^[ \t]*ImportError: cannot import name '(?P<name>\w+)' from '(?P<module>{_NAME})'",
        _missing_name,
    ),
    (
        r"Unknown (?:version source|version scheme|metadata hook|build hook): (?P<plugin>[\w-]+)",
        _hatch_plugin,
    ),
    (_FATAL + r": (?P<header>[^\s:]+): No such file or directory", _header),
    (_FATAL + r": '(?P<header>[^'\n]+)' file not found", _header),
    (_FATAL + r" C1083: Cannot open include file: '(?P<header>[^'\n]+)'", _header),
    (
        r"(?:cannot find|unable to find library|library not found for) -l(?P<library>[^\s:]+)",
        _library,
    ),
    (_CMAKE_ERROR + r"Could NOT find (?P<library>[^\s(]+)", _library),
    (_CMAKE_ERROR + r'By not providing "Find(?P<library>[^"]+)\.cmake"', _library),
    (
        _CMAKE_ERROR
        + r'Could not find a package configuration file provided by\s+"(?P<library>[^"]+)"',
        _library,
    ),
    (r'ERROR: Dependency "(?P<library>[^"\n]+)"[^\n]* not found', _library),
    (r"^[ \t]*Package (?P<library>\S+) was not found in the pkg-config search path", _library),
    (r"command '(?P<program>[^'\n]+)' failed: No such file or directory", _program),
    (r"No CMAKE_(?P<program>\w+)_COMPILER could be found", _program),
    (r"ERROR: Unknown compiler\(s\): \[\['(?P<program>[^'\n]+)'", _program),
    (r'unable to find a build program corresponding to "(?P<program>[^"\n]+)"', _program),
    (r"Could not find (?P<program>CMake|Ninja)\b", _program),
    (r"Could not detect (?P<program>Ninja) v", _program),
    (r"can't find (?P<program>Rust) compiler", _program),
    (r"^[^\n]*\b(?P<program>[Cc]argo), the Rust package manager, is not installed", _program),
    (r"(?P<program>pg_config|mysql_config)(?: executable)? not found", _program),
    (r"Microsoft Visual C\+\+ [\d.]+ or greater is required", _visual_c),
    (r"CMake (?P<version>\d[\d.]*) or higher is required\.\s+You are running", _cmake_too_old),
    (r"Compatibility with CMake < (?P<version>[\d.]+) has been removed", _cmake_too_new),
    (r"CUDA_HOME environment variable is not set|nvcc was not found", _cuda),
    (
        r"detected CUDA version \((?P<found>[^)\n]+)\) mismatches the version that was used to "
        r"compile\s+PyTorch \((?P<torch>[^)\n]+)\)",
        _cuda_version,
    ),
    (r"Killed signal terminated program|died with <Signals\.SIGKILL: 9>", _killed),
    (r"^(?:[^\n]*: line \d+:\s+\d+ |[^\n]*make[^\n]*\] )?Killed\b", _killed),
    (r"virtual memory exhausted|cc1(?:plus)?: out of memory|std::bad_alloc", _killed),
    (
        r"requires a different Python: (?P<python>\S+) not in '(?P<wanted>[^'\n]+)'",
        _python_limits,
    ),
    (
        r"Cannot install on Python version (?P<python>[^\s;]+); only versions (?P<wanted>[^\n]+?) "
        r"are supported",
        _python_limits,
    ),
    (r"module 'pkgutil' has no attribute 'ImpImporter'", _old_setuptools),
    (r"No matching distribution found for (?P<requirement>[^\n]+)", _no_requirement),
    (r"DO NOT MATCH THE HASHES", _hashes),
)

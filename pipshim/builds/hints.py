"""Suggest a fix for a failed build, from its output. Pure.

Each rule knows one message of one tool. The message that stands last in the output decides: what
comes before it is often a probe that was allowed to fail (a configure test, an import in a try).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from packaging.utils import canonicalize_name

from pipshim.builds import missing_dependencies
from pipshim.builds.hint_snippets import UserInput, merge

# Some builds print for an hour; what killed them stands at the end.
_TAIL = 200_000
_COMPILER_VARIABLES = ("CC", "CXX", "FC", "F77", "F90", "LDSHARED", "CUDAHOSTCXX", "CUDACXX", "LD")
_NO_ISOLATION = "no-isolation"
_ONE_COMPILER = {"MAX_JOBS": "1", "CMAKE_BUILD_PARALLEL_LEVEL": "1"}
_KILLED = (-9, 128 + 9)
_SOURCES = (".c", ".cc", ".cpp", ".cxx", ".cu", ".pyx")
_CUDA_HEADERS = ("cuda", "cublas", "cudnn", "cusparse", "nvToolsExt")


@dataclass(frozen=True, slots=True)
class FailedBuild:
    """What is known of a build that failed, besides its output.

    Attributes:
        package: the name of what was built; a version after it is ignored.
        returncode: the exit status of the build's process, negative for a signal.
        user: what the user has written and typed already, for lines that replace it.
        requires: the build requirements that its build-system table declares.
        torch: the version of torch in the build's environment, if that is known.
        disk: the file system that it was built on, in words.
        memory: how much memory it used and there is, in words, and how much to set aside for it.
        ran_out: whether it is known to have failed for lack of memory.

    """

    package: str
    mode: str
    chosen_by: str = ""
    returncode: int | None = None
    user: UserInput = field(default_factory=UserInput)
    requires: tuple[str, ...] = ()
    torch: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    disk: str | None = None
    memory: MemoryStory | None = None
    ran_out: bool = False


class MemoryStory(NamedTuple):
    """What there is to say of a build's memory.

    Attributes:
        text: how much it used, and how much there is; a sentence.
        setting: a size that makes pipshim build it alone, and with fewer compilers; None: that
            does not help, as what is limited is each process.

    """

    text: str
    setting: str | None


_Rule: TypeAlias = Callable[[re.Match[str], FailedBuild], "str | None"]


def hint_for(output: str, build: FailedBuild) -> str | None:
    """Say what mends a failed build, or None if its output has no known message.

    The hint is for `pipshim.base.errors.BuildError`: paragraphs to wrap, and indented lines to
    paste as they are. Without isolation it never says to switch isolation off, as it is off.

    Args:
        output: all that the build printed (the end suffices); for a backend that is not there, the
            text of ``BackendUnavailable``, since such a build prints nothing.

    """
    build = replace(build, package=canonicalize_name(build.package.partition(" ")[0]))
    if build.ran_out or build.returncode in _KILLED:
        return _memory(build)
    output = output[-_TAIL:]
    last, hint = -1, None
    for pattern, rule in _RULES:
        for match in re.finditer(pattern, output, re.MULTILINE):
            if match.start() > last and (found := rule(match, build)) is not None:
                last, hint = match.start(), found
    return hint


def was_killed(output: str, build: FailedBuild) -> bool:
    """Return whether a program of a failed build was killed, or got no more memory."""
    return build.returncode in _KILLED or any(
        re.search(pattern, output[-_TAIL:], re.MULTILINE) for pattern in _NO_MEMORY
    )


def was_refused(output: str) -> bool:
    """Return whether a program of a failed build got no more memory."""
    return re.search(_REFUSED, output[-_TAIL:], re.MULTILINE) is not None


# What to do, in the form that the mode needs.


def _type(*options: str) -> str:
    return "".join(f"\n    {option}\n" for option in options)


def _require(build: FailedBuild, problem: str, requirement: str, *, other: str = "") -> str:
    """``other`` is one more way out, a sentence."""
    quoted, user = json.dumps(requirement), build.user
    has = user.is_extra(build.package, requirement)
    where = f"The extra-build-dependencies of {build.package} have"
    if build.mode == _NO_ISOLATION:
        has, where = user.is_installed(requirement), f"{user.run_time} have"
    if has:
        hint = f"{problem}. {where} {quoted} already: check that this command installs it, and that"
        return f"{hint} {quoted} is what has the module.\n\n{other}".rstrip()
    if user.typed:
        return _require_typed(build, problem, requirement, other)
    if build.mode == _NO_ISOLATION:
        hint = (
            f"{problem}. It is built without isolation, so the project environment needs it, with "
            "all that the build requires. Add to pyproject.toml:\n"
        )
        return f"{hint}{user.installed(build.requires, requirement)}\n{other}".rstrip()
    hint = f"{problem}. Add {quoted} to its build environment, in pyproject.toml:\n"
    hint += user.extra_dependencies(build.package, requirement)
    # On the command line, --build-isolation would overrule what the configuration says.
    if build.chosen_by != "command line":
        hint += (
            "\nor build it in the project environment, which needs all that the build requires:\n"
        )
        hint += user.without_isolation(build.package)
        hint += user.installed(build.requires, requirement)
    return f"{hint}\n{other}".rstrip()


def _require_typed(build: FailedBuild, problem: str, requirement: str, other: str) -> str:
    arguments = _type(build.user.arguments(build.package, build.requires, requirement))
    if build.mode == _NO_ISOLATION:
        problem += (
            ". It is built without isolation, against what is installed and what this command "
        )
        if not build.user.files:
            return (
                f"{problem}installs. Name all that the build requires in the same command:\n"
                f"{arguments}\n{other}"
            ).rstrip()
        return f"{problem}installs. Name{_in_files(build, requirement)}\n{other}".rstrip()
    hint = f"{problem}. Add {json.dumps(requirement)} to its build environment:\n"
    hint += _type(build.user.extra_options(build.package, requirement))
    if build.chosen_by != "command line":
        option = f"--no-build-isolation-package {build.package}"
        hint += "\nor build it without isolation, with all that the build requires"
        if build.user.files:
            hint += f":\n{_type(option)}\nand name{_in_files(build, requirement)}"
        else:
            hint += f" in the same command:\n{_type(f'{option} {arguments.strip()}')}"
    return f"{hint}\n{other}".rstrip()


def _in_files(build: FailedBuild, requirement: str) -> str:
    lines = merge((), build.requires, requirement)
    text = "".join(f"    {one}\n" for one in lines)
    return f" all that the build requires in {' or '.join(build.user.files)}:\n\n{text}"


def _other_version(build: FailedBuild, problem: str, distribution: str) -> str:
    start = f"{problem}: {build.package} was written for another version of {distribution}"
    if build.user.typed:
        limit = "-c FILE" if build.mode == _NO_ISOLATION else "--build-constraint FILE"
        return f"{start}. Limit that ({limit}), or use another {build.package}."
    if build.mode == _NO_ISOLATION:
        return f"{start}. Limit that in pyproject.toml, or use another {build.package}."
    hint = (
        f"{start}. Use another {build.package}, or limit {distribution} in pyproject.toml, with "
        "the version that broke it in place of VERSION:\n"
    )
    line = build.user.extra_dependencies(build.package, f"{distribution}<VERSION")
    return hint + line.rstrip()


def _variable(build: FailedBuild, problem: str, **variables: str) -> str:
    lines = build.user.variables(build.package, variables)
    return f"{problem}, in pyproject.toml:\n{lines}".rstrip()


def _python(build: FailedBuild, problem: str, wanted: str) -> str:
    return f"{problem}. Use {wanted}, or another version of {build.package}."


def _system(problem: str, package: str) -> str:
    return f"{problem}. On Debian and Ubuntu: apt-get install {package}"


# Python modules.


def _missing_module(match: re.Match[str], build: FailedBuild) -> str | None:
    module, backend = match["module"], match.groupdict().get("backend")
    # The import of poetry.core.masonry.api fails with "No module named 'poetry'".
    if backend and f"{backend}.".startswith(f"{module}."):
        return _missing_backend(match, build)
    top = module.partition(".")[0]
    if canonicalize_name(top) == build.package:
        return (
            f"{build.package} imports itself while it is built, and that fails: a mistake in this "
            "version of it. Use another version, or a wheel."
        )
    known = missing_dependencies.known_module(module)
    standard = top in sys.stdlib_module_names or top == "tomllib"
    if known is None and (top in missing_dependencies.REMOVED or standard):
        return _standard_library(top, build)
    distribution = missing_dependencies.distribution_of(module)
    if known is None and not distribution[0].isalnum():
        return None
    if module not in (known, top):
        return _other_version(build, f"{known or top} has no module {module}", distribution)
    problem = f"{build.package} imports {module} while it is built"
    if module in missing_dependencies.MOVED:
        problem += f" ({missing_dependencies.MOVED[module]})"
    elif distribution.lower() != module.lower():
        problem += f" (that is in {distribution})"
    return _require(build, problem, distribution)


def _standard_library(module: str, build: FailedBuild) -> str:
    if gone := missing_dependencies.REMOVED.get(module):
        return _python(build, f"Python {gone} removed the module {module}", f"Python below {gone}")
    if module == "tomllib":
        return _python(build, "Python has the module tomllib from 3.11 on", "Python 3.11 or newer")
    return (
        f"This Python was built without its module {module}: use another Python, or build it again "
        f"with the library that {module} needs."
    )


def _missing_backend(match: re.Match[str], build: FailedBuild) -> str:
    backend = match["backend"]
    distribution = missing_dependencies.distribution_of(backend)
    problem = f"The build backend of {build.package}, {backend}, is missing; {distribution} has it"
    return _require(build, problem, distribution)


def _missing_name(match: re.Match[str], build: FailedBuild) -> str | None:
    name, module = match["name"], match["module"]
    top = module.partition(".")[0]
    if canonicalize_name(top) == build.package:
        return None
    if missing_dependencies.known_module(module) is None and top in sys.stdlib_module_names:
        return _python(build, f"{module} has no {name} in this Python", "an older Python")
    return _other_version(
        build, f"{module} has no {name}", missing_dependencies.distribution_of(module)
    )


def _hatch_plugin(match: re.Match[str], build: FailedBuild) -> str:
    plugin = match["plugin"]
    distribution = missing_dependencies.HATCH_PLUGINS.get(
        plugin, f"hatch-{canonicalize_name(plugin)}"
    )
    problem = f"{build.package} is built with hatchling and its plugin {plugin}"
    return _require(build, problem, distribution)


def _no_wheel(_match: re.Match[str], build: FailedBuild) -> str:
    problem = (
        f"{build.package} is built with a setuptools older than 70.1, whose bdist_wheel is in wheel"
    )
    return _require(build, problem, "wheel")


# C headers, libraries, programs.


def _header(match: re.Match[str], build: FailedBuild) -> str | None:
    header = match["header"]
    folder, _, inner = header.partition("/")
    if header.endswith(_SOURCES):
        return None  # a file of the package's own
    if header.endswith("longintrepr.h"):
        problem = f"{build.package} ships C code that Cython made for Python 3.10 or older"
        other = f"Or use Python 3.10, or a newer version of {build.package}."
        return _require(
            build, f"{problem}, and has no Cython to regenerate it", "cython<3", other=other
        )
    if inner and (distribution := missing_dependencies.HEADER_DISTRIBUTIONS.get(folder)):
        return _require(build, f"{build.package} needs the C header {header}", distribution)
    if header.startswith(_CUDA_HEADERS):
        return _cuda(match, build)
    package, guessed = missing_dependencies.package_of_header(header)
    hint = _system(f"The C header {header} is missing", package)
    return f"{hint}, or what `apt-file search {header}` names." if guessed else hint


def _library(match: re.Match[str], build: FailedBuild) -> str:
    library = match["library"]
    if distribution := missing_dependencies.CMAKE_DISTRIBUTIONS.get(library):
        return _require(build, f"{build.package} needs {library} to build", distribution)
    package, guessed = missing_dependencies.package_of_library(library)
    hint = _system(f"The library {library} is missing, or its headers are", package)
    search = f"lib{library.lower().removeprefix('lib')}.so"
    return f"{hint}, or what `apt-file search {search}` names." if guessed else hint


def _program(match: re.Match[str], build: FailedBuild) -> str:
    if (hint := _named_compiler(match, build)) is not None:
        return hint
    name = _program_name(match["program"])
    if name == "nvcc":
        return _cuda(match, build)
    package = missing_dependencies.PROGRAM_PACKAGES.get(name)
    if distribution := missing_dependencies.PROGRAM_DISTRIBUTIONS.get(name):
        other = f"The system's will do too: apt-get install {package}." if package else ""
        problem = f"{build.package} needs the program {name} to build"
        return _require(build, problem, distribution, other=other)
    if name == "cargo":
        problem = "There is no Rust compiler here; rustup (https://rustup.rs) installs one"
    elif package in ("build-essential", "gfortran"):
        problem = f"There is no compiler here: {name} was not found"
    else:
        problem = f"The program {name} was not found"
    return _system(problem, package) if package else f"{problem}: install it, or add it to PATH."


def _program_or_file(match: re.Match[str], build: FailedBuild) -> str | None:
    if (hint := _named_compiler(match, build)) is not None:
        return hint
    name = _program_name(match["program"])
    known = {
        *missing_dependencies.PROGRAM_PACKAGES,
        *missing_dependencies.PROGRAM_DISTRIBUTIONS,
        "nvcc",
    }
    return _program(match, build) if name in known else None


def _program_name(path: str) -> str:
    # Compilers are called x86_64-linux-gnu-gcc-12 as well; CMake speaks of languages.
    name = re.sub(r"-\d+(\.\d+)*$", "", path.rpartition("/")[2])
    name = re.sub(r"^.*-(?=(gcc|g\+\+|cc|c\+\+|gfortran)$)", "", name)
    words = {"C": "cc", "CXX": "c++", "Fortran": "gfortran", "CUDA": "nvcc", "Rust": "cargo"}
    return words.get(name, "make" if name == "Unix Makefiles" else name.lower())


def _visual_c(_match: re.Match[str], _build: FailedBuild) -> str:
    return (
        "There is no C++ compiler here: install the Build Tools for Visual Studio, with "
        '"Desktop development with C++".'
    )


def _cmake_too_old(match: re.Match[str], build: FailedBuild) -> str:
    requirement = f"cmake>={match['version']}"
    return _require(build, f"{build.package} needs a newer CMake", requirement)


def _cmake_too_new(match: re.Match[str], build: FailedBuild) -> str:
    problem = f"{build.package} is written for CMake before version 4; tell CMake so"
    return _variable(build, problem, CMAKE_POLICY_VERSION_MINIMUM=match["version"])


def _cuda(_match: re.Match[str], build: FailedBuild) -> str:
    problem = "The CUDA toolkit was not found: install it, and set CUDA_HOME to its folder."
    return _with_cuda_or_without(problem, build)


def _no_cuda_in_torch(match: re.Match[str], build: FailedBuild) -> str:
    problem = (
        f"torch {match['torch']} was made without CUDA, for which {build.package} compiles its "
        "code: use a torch that was made for CUDA."
    )
    return _with_cuda_or_without(problem, build)


def _with_cuda_or_without(problem: str, build: FailedBuild) -> str:
    if variable := missing_dependencies.WITHOUT_CUDA.get(build.package):
        problem += f" Or build {build.package} without its CUDA code"
        # Else it downloads a wheel, whose name it makes from a CUDA version.
        from_source = missing_dependencies.FROM_SOURCE[build.package]
        return _variable(build, problem, **{variable: "TRUE", from_source: "TRUE"})
    return (
        f"{problem} If {build.package} has a variable to build without it, set that in "
        "[tool.pipshim.extra-build-variables]."
    )


def _own_download(_match: re.Match[str], build: FailedBuild) -> str | None:
    """Explain the failure of a setup.py that looks for a wheel on a server of its own."""
    if (variable := missing_dependencies.FROM_SOURCE.get(build.package)) is None:
        return None
    variables = [variable]
    if (without_cuda := missing_dependencies.WITHOUT_CUDA[build.package]) in build.variables:
        variables.insert(0, without_cuda)
    problem = (
        f"The setup.py of {build.package} tried to download a wheel, which failed. Let it build "
        "from source instead"
    )
    return _variable(build, problem, **dict.fromkeys(variables, "TRUE"))


def _cuda_version(match: re.Match[str], _build: FailedBuild) -> str:
    return (
        f"torch was made for CUDA {match['torch']}, but the CUDA toolkit here is {match['found']}: "
        f"set CUDA_HOME to a toolkit {match['torch']}, or use a torch made for {match['found']}."
    )


def _torch_code(_match: re.Match[str], build: FailedBuild) -> str | None:
    if build.package == "torch":
        return None
    version = f"torch {build.torch}" if build.torch else "this torch"
    has = "the environment has" if build.user.typed else "the lock has"
    problem = f"The C++ code of {build.package} does not compile against {version}, which {has}"
    hint = f"{problem}. Try a newer version of {build.package}, or an older torch"
    bound = build.torch.partition("+")[0] if build.torch else "VERSION"
    if build.user.typed:
        arguments = build.user.arguments(build.package, (), f"torch<{bound}")
        return f"{hint}:\n{_type(arguments)}".rstrip()
    hint += (
        f". If pyproject.toml requires a version of torch, change it to torch<{bound}; if not, add"
    )
    return f"{hint}\n" + build.user.constraint(f"torch<{bound}").rstrip()


_USUAL_COMPILERS = frozenset({"cc", "gcc", "clang", "c++", "g++", "clang++"})


def _named_compiler(match: re.Match[str], build: FailedBuild) -> str | None:
    """Say which variable names a compiler that does not exist."""
    program = match["program"].strip()
    if program in _USUAL_COMPILERS:
        return None  # without the variable there would be none either
    name = next((one for one in _COMPILER_VARIABLES if _names(build, one, program)), None)
    if name is None and "variable" in match.re.groupindex:
        name = match["variable"]
    if name is None:
        return None
    return f"{name} names {program}, which does not exist: unset {name}, or set it to a compiler."


def _names(build: FailedBuild, variable: str, program: str) -> bool:
    words = build.variables.get(variable, "").split()
    return program in (" ".join(words), *words[:1])


def _full_disk(_match: re.Match[str], build: FailedBuild) -> str:
    where = f" ({build.disk})" if build.disk else ""
    return (
        f"The disk that {build.package} was built on is full{where}: free some space, or build on "
        "another one: TMPDIR=DIR"
    )


# Memory, versions, files.


def _memory(build: FailedBuild) -> str:
    killed = "There was too little memory" if build.ran_out else "A program of the build was killed"
    problem = killed if build.ran_out else f"{killed} or could not allocate memory"
    story = f" {build.memory.text}" if build.memory is not None else ""
    if build.memory is not None and build.memory.setting is None:
        return (
            f"{problem}.{story} Raise this limit, or ask the batch system that has set it for more "
            "memory:\n\n    ulimit -v unlimited"
        )
    # uv refuses a [tool.uv] with settings that it does not know.
    if build.user.typed or build.memory is None or build.user.tool == "uv":
        problem = (
            f"{problem}.{story} Build fewer packages at once (-j 1), and let this one run fewer "
            "compilers"
        )
        return _variable(build, problem, **_ONE_COMPILER)
    needed = build.memory.setting
    return (
        f"{problem}.{story} Raise what limits it, or say in pyproject.toml how much it needs, so "
        "that it is built alone and with as few compilers as fit:\n"
        + build.user.setting("build-memory", build.package, lambda _: needed)
        + "\nor let it run one compiler at a time:\n"
        + build.user.variables(build.package, _ONE_COMPILER).rstrip()
    )


def _python_limits(match: re.Match[str], build: FailedBuild) -> str:
    problem = f"It does not support Python {match['python']}"
    return _python(build, problem, f"Python {match['wanted']}")


def _old_setuptools(_match: re.Match[str], build: FailedBuild) -> str:
    problem = "The setuptools that it is built with is too old for Python 3.12"
    return _python(build, problem, "Python below 3.12")


def _no_requirement(match: re.Match[str], build: FailedBuild) -> str:
    return (
        f"No version of the build requirement {match['requirement']} was found. It is in the "
        f"build-system.requires of {build.package}, or in extra-build-dependencies: check its name "
        "there, the index options, and build-constraint-dependencies."
    )


def _hashes(_match: re.Match[str], build: FailedBuild) -> str:
    return (
        "A file that the build needs differs from the locked one. If the new one is right, "
        f"lock it: pipshim lock -P {build.package}"
    )


_NAME = r"[\w.]+"
_FATAL = r"^[ \t]*(?!_configtest)\S[^\n]*?fatal error"
_CMAKE = r"CMake Error at [^\n]*:\s+"
_NO_FILE = r"\[Errno 2\] No such file or directory: '(?P<program>[^'\n]+)'"
_IMPORT = r"^[ \t]*(?:ModuleNotFoundError:|ImportError:|\S*python[\d.]*:)"
_BACKEND = rf"(?:Cannot import '(?P<backend>{_NAME})'\s+Traceback[^\0]*?)?"
_LIMITS = r"Cannot install on Python version (?P<python>[^\s;]+); only versions "
_CUDA_FOUND = r"detected CUDA version \((?P<found>[^)\n]+)\) mismatches the version that was used "

_DOWNLOAD_FAILED = r"^[ \t]*(?:urllib\.error\.|TimeoutError|OSError: )"
_CMAKE_VARIABLE = r"Could not find compiler set in environment variable"

# setup.py files that are relatives of flash-attn's parse torch.version.cuda, which is None then
_NO_VERSION = r"(?:InvalidVersion: Invalid version: '?None|TypeError: expected string or bytes)"

_REFUSED = (
    r"virtual memory exhausted|(?:cc1(?:plus)?|lto1|as|ld|catastrophic error): out of memory|"
    r"LLVM ERROR: out of memory|memory allocation of \d+ bytes failed|Cannot allocate memory|"
    r"std::bad_alloc|^MemoryError\b"
)
_NO_MEMORY = (
    r"Killed signal terminated program|died with <Signals\.SIGKILL: 9>",
    r"(?:^|: line \d+:\s+\d+ |^make[^\n\]]*\] |execute command: )Killed\b",
    r"(?:due to signal|terminated with signal|\(signal:) 9\b",  # nvcc, GCC's collect2, cargo
    _REFUSED,
)

_RULES: tuple[tuple[str, _Rule], ...] = (
    (rf"{_BACKEND}{_IMPORT} No module named '?(?P<module>{_NAME})'?", _missing_module),
    (rf"Cannot import '(?P<backend>{_NAME})'\s*$", _missing_backend),
    (rf"{_IMPORT} cannot import name '(?P<name>\w+)' from '(?P<module>{_NAME})'", _missing_name),
    (
        r"Unknown (?:version source|version scheme|metadata hook|build hook): (?P<plugin>[\w-]+)",
        _hatch_plugin,
    ),
    (rf"{_FATAL}: (?P<header>[^\s:]+): No such file or directory", _header),
    (rf"{_FATAL}: '(?P<header>[^'\n]+)' file not found", _header),
    (rf"{_FATAL} C1083: Cannot open include file: '(?P<header>[^'\n]+)'", _header),
    (r"(?:cannot find|find library|library not found for) -l(?P<library>[^\s:]+)", _library),
    (rf"{_CMAKE}Could NOT find (?P<library>[^\s(]+)", _library),
    (rf'{_CMAKE}By not providing "Find(?P<library>[^"]+)\.cmake"', _library),
    (rf'{_CMAKE}Could not find a package\s[^"]*"(?P<library>[^"]+)"', _library),
    (r'ERROR: Dependency "(?P<library>[^"\n]+)"[^\n]* not found', _library),
    (r"^[ \t]*Package (?P<library>\S+) was not found in the pkg-config search path", _library),
    (r"command '(?P<program>[^'\n]+)' failed: No such file or directory", _program),
    (rf"{_CMAKE_VARIABLE} (?P<variable>\w+):\s+(?P<program>[^\n]+?)\.?$", _named_compiler),
    (r"The CMAKE_\w+_COMPILER:\s+(?P<program>\S+)\s+is not a full path", _named_compiler),
    (r"No space left on device|Disk quota exceeded", _full_disk),
    (r"^[^\n:]*/torch/include/[^\n]*: error: ", _torch_code),
    (r": error: [^\n]*\b(?:at|c10|torch)::", _torch_code),
    (r"No CMAKE_(?P<program>\w+)_COMPILER could be found", _program),
    (r"ERROR: Unknown compiler\(s\): \[\['(?P<program>[^'\n]+)'", _program),
    (r'find a build program corresponding to "(?P<program>[^"\n]+)"', _program),
    (r"Could not (?:find|detect) (?P<program>CMake|Ninja) (?:v|with)", _program),
    (r"can't find (?P<program>Rust) compiler", _program),
    (r"\b(?P<program>[Cc]argo), the Rust package manager, is not installed", _program),
    (r"(?P<program>pg_config|mysql_config)(?: executable)? not found", _program),
    (r"sh: (?:\d+: |line \d+: )?(?P<program>[^\s:]+): (?:command )?not found$", _program_or_file),
    (rf"^[ \t]*(?:error|FileNotFoundError): {_NO_FILE}", _program_or_file),
    (r"^error: invalid command 'bdist_wheel'", _no_wheel),
    (r"Microsoft Visual C\+\+ [\d.]+ or greater is required", _visual_c),
    (r"CMake (?P<version>\d[\d.]*) or higher is required\.\s+You are running", _cmake_too_old),
    (r"Compatibility with CMake < (?P<version>[\d.]+) has been removed", _cmake_too_new),
    (r"CUDA_HOME environment variable is not set|nvcc was not found", _cuda),
    # flash-attn and its relatives compare versions of a toolkit that they have not found
    (r"NameError: name 'bare_metal_version' is not defined", _cuda),
    (
        rf"^torch\.__version__ *= (?P<torch>\S+)$(?=[^\0]*^(?:\S+\.)?{_NO_VERSION})",
        _no_cuda_in_torch,
    ),
    (r", in get_wheel_url$", _own_download),
    (rf"^[ \t]*Guessing wheel URL: [^\0]*?{_DOWNLOAD_FAILED}", _own_download),
    (rf"{_CUDA_FOUND}to compile\s+PyTorch \((?P<torch>[^)\n]+)\)", _cuda_version),
    *((pattern, lambda _, build: _memory(build)) for pattern in _NO_MEMORY),
    (r"requires a different Python: (?P<python>\S+) not in '(?P<wanted>[^'\n]+)'", _python_limits),
    (rf"{_LIMITS}(?P<wanted>[^\n]+?) are supported", _python_limits),
    (r"module 'pkgutil' has no attribute 'ImpImporter'", _old_setuptools),
    (r"No matching distribution found for (?P<requirement>[^\n]+)", _no_requirement),
    (r"DO NOT MATCH THE HASHES", _hashes),
)

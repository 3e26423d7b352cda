"""Each text below is what a real tool printed, shortened; the comments say which.

Those marked with "as documented" were not seen by running the tool.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.builds.hint_snippets import UserInput
from pipshim.builds.hints import FailedBuild, MemoryStory, hint_for

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

MODES = ("isolated", "matched", "no-isolation")

# natten 0.17.5 built by pip 24, with pip's indentation
NATTEN = """\
        File "/tmp/pip-build-env-ipt__jlt/overlay/setuptools/build_meta.py", line 317, in run_setup
          exec(code, locals())  # noqa: S102 # exec is intentional here
          ~~~~^^^^^^^^^^^^^^^^
        File "<string>", line 34, in <module>
      ModuleNotFoundError: No module named 'torch'
      [end of output]
"""
# the text of BackendUnavailable of pyproject_hooks 1.3
BACKEND = """\
Cannot import '{backend}'

Traceback:
Traceback (most recent call last):
  File "/v/pyproject_hooks/_in_process/_in_process.py", line 75, in _build_backend
    obj = import_module(mod_path)
          ^^^^^^^^^^^^^^^^^^^^^^^
  File "<frozen importlib._bootstrap>", line 1140, in _find_and_load_unlocked
ModuleNotFoundError: No module named '{module}'
"""
# meson 1.7 with an empty PATH
MESON = """\
meson.build:1:0: ERROR: Unknown compiler(s): [['cc'], ['gcc'], ['clang'], ['icx']]
The following exception(s) were encountered:
Running `cc --version` gave "[Errno 2] No such file or directory: 'cc'"
Running `icx --version` gave "[Errno 2] No such file or directory: 'icx'"

A full log can be found at /p/b/meson-logs/meson-log.txt
"""
# CMake 3.25, find_package(BLAS REQUIRED)
CMAKE_BLAS = """\
-- Found Threads: TRUE
CMake Error at /usr/share/cmake-3.25/Modules/FindPackageHandleStandardArgs.cmake:230 (message):
  Could NOT find BLAS (missing: BLAS_LIBRARIES)
Call Stack (most recent call first):
  CMakeLists.txt:4 (find_package)
"""
# CMake 3.25, find_package(Nonexist REQUIRED)
CMAKE_CONFIG = """\
CMake Error at CMakeLists.txt:3 (find_package):
  By not providing "FindNonexist.cmake" in CMAKE_MODULE_PATH this project has
  asked CMake to find a package configuration file provided by "Nonexist",
  but CMake did not find one.
"""
# CMake 3.25, project(x CXX), PATH without compilers
CMAKE_COMPILER = """\
-- The CXX compiler identification is unknown
CMake Error at CMakeLists.txt:2 (project):
  No CMAKE_CXX_COMPILER could be found.

-- Configuring incomplete, errors occurred!
"""
# CMake 3.25, -G Ninja, without ninja
CMAKE_NINJA = """\
CMake Error: CMake was unable to find a build program corresponding to "Ninja".  CMAKE_MAKE_PROGRAM\
 is not set.  You probably need to select a different build tool.
CMake Error: CMAKE_CXX_COMPILER not set, after EnableLanguage
"""
# CMake 3.25 and 4
CMAKE_OLD = """\
CMake Error at CMakeLists.txt:1 (cmake_minimum_required):
  CMake 3.99 or higher is required.  You are running version 3.25.1
"""
CMAKE_NEW = """\
CMake Error at CMakeLists.txt:1 (cmake_minimum_required):
  Compatibility with CMake < 3.5 has been removed from CMake.

  Update the VERSION argument <min> value.  Or, use the <min>...<max> syntax
"""
# pkg-config 1.8
PKG_CONFIG = """\
Package foo was not found in the pkg-config search path.
Perhaps you should add the directory containing `foo.pc'
to the PKG_CONFIG_PATH environment variable
Package 'foo', required by 'virtual:world', not found
"""
# setuptools-rust 1.12
RUST = """\
running build_rust
error: can't find Rust compiler

If you are using an outdated pip version, it is possible a prebuilt wheel is available
"""
# numba 0.56.4 on Python 3.13
NUMBA = """\
        File "<string>", line 48, in _guard_py_ver
      RuntimeError: Cannot install on Python version 3.13.0; only versions >=3.7,<3.11 are\
 supported.
"""
# pip
NO_MATCH = """\
      ERROR: Could not find a version that satisfies the requirement nothing>=3 (from versions:\
 none)
      ERROR: No matching distribution found for nothing>=3
"""
HASHES = """\
ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the
"""
# torch.utils.cpp_extension, as documented
CUDA = """\
The detected CUDA version (11.8) mismatches the version that was used to compile
PyTorch (13.0). Please make sure to use the same CUDA versions.
"""
# distutils of Python 3.11, numpy.distutils's configure test before it
CONFIGURE = """\
_configtest.c:1:10: fatal error: malloc.h: No such file or directory
failure.
error: command 'gcc' failed: No such file or directory
"""

KNOWN = [
    # python
    (NATTEN, 'natten = ["torch"]'),
    ("ModuleNotFoundError: No module named 'yaml'", 'natten = ["PyYAML"]'),
    ("ModuleNotFoundError: No module named 'cv2'", 'natten = ["opencv-python"]'),
    ("ModuleNotFoundError: No module named 'skbuild'", 'natten = ["scikit-build"]'),
    ("ModuleNotFoundError: No module named 'sklearn'", 'natten = ["scikit-learn"]'),
    ("ModuleNotFoundError: No module named 'PIL'", 'natten = ["Pillow"]'),
    ("ModuleNotFoundError: No module named 'Cython'", 'natten = ["Cython"]'),
    ("ModuleNotFoundError: No module named 'setuptools_scm'", 'natten = ["setuptools-scm"]'),
    ("ModuleNotFoundError: No module named 'google.protobuf'", 'natten = ["protobuf"]'),
    ("ModuleNotFoundError: No module named 'pkg_resources'", 'natten = ["setuptools<82"]'),
    ("ModuleNotFoundError: No module named 'distutils'", "Python 3.12 removed it"),
    ("ImportError: No module named torch", 'natten = ["torch"]'),
    ("/v/bin/python3: No module named cython", 'natten = ["cython"]'),
    ("ModuleNotFoundError: No module named 'numpy.core'", 'natten = ["numpy<VERSION"]'),
    ("ModuleNotFoundError: No module named 'imp'", "Python below 3.12"),
    ("ModuleNotFoundError: No module named '_ctypes'", "built without its module _ctypes"),
    ("ModuleNotFoundError: No module named 'tomllib'", "Python 3.11 or newer"),
    ("ModuleNotFoundError: No module named 'natten'", "imports itself"),
    ("ImportError: cannot import name 'build_ext' from 'Cython.Distutils' (/v/i.py)", '"Cython<'),
    ("ImportError: cannot import name 'Mapping' from 'collections' (/v/i.py)", "an older Python"),
    (BACKEND.format(backend="mesonpy", module="mesonpy"), 'natten = ["meson-python"]'),
    (BACKEND.format(backend="poetry.core.masonry.api", module="poetry"), '= ["poetry-core"]'),
    (BACKEND.format(backend="in_tree", module="torch"), 'natten = ["torch"]'),
    ("pip._vendor.x.BackendUnavailable: Cannot import 'hatchling.build'", 'natten = ["hatchling"]'),
    # setuptools 69.5
    ("error: invalid command 'bdist_wheel'", 'natten = ["wheel"]'),
    # hatchling 1.33
    ("hatchling.x.UnknownPluginError: Unknown version source: vcs", 'natten = ["hatch-vcs"]'),
    (
        "hatchling.x.UnknownPluginError: Unknown metadata hook: fancy-pypi-readme",
        'natten = ["hatch-fancy-pypi-readme"]',
    ),
    # gcc 12
    ("a.c:1:10: fatal error: Python.h: No such file or directory", "install python3-dev"),
    ("b.c:1:10: fatal error: libpq-fe.h: No such file or directory", "install libpq-dev"),
    ("b.c:1:10: fatal error: openssl/ssl.h: No such file or directory", "install libssl-dev"),
    ("b.c:1:10: fatal error: uv.h: No such file or directory", "apt-file search uv.h"),
    ("b.c:1:10: fatal error: uv.h: No such file or directory", "install libuv-dev"),
    ("b.c:1:10: fatal error: numpy/arrayobject.h: No such file or directory", '= ["numpy"]'),
    ("b.cu:1:10: fatal error: cuda_runtime.h: No such file or directory", "CUDA_HOME"),
    ("b.c:1:10: fatal error: longintrepr.h: No such file or directory", 'natten = ["cython<3"]'),
    # clang and MSVC, as documented
    ("a.c:1:10: fatal error: 'Python.h' file not found", "install python3-dev"),
    ("a.c(1): fatal error C1083: Cannot open include file: 'zlib.h': No such", "zlib1g-dev"),
    # ld 2.40, meson 1.7, CMake, pkg-config
    ("/usr/bin/ld: cannot find -lfoo: No such file or directory", "install libfoo-dev"),
    ("/usr/bin/ld: cannot find -lz: No such file or directory", "install zlib1g-dev"),
    ("/usr/bin/ld: cannot find -lpython3.11: No such file", "install python3-dev"),
    ('meson.build:2:0: ERROR: Dependency "openblas" not found, tried pkgconfig', "libopenblas-dev"),
    (CMAKE_BLAS, "install libopenblas-dev"),
    (CMAKE_CONFIG, "install libnonexist-dev"),
    (CMAKE_CONFIG.replace("Nonexist", "pybind11"), 'natten = ["pybind11"]'),
    (PKG_CONFIG, "install libfoo-dev"),
    # no compiler: distutils of Python 3.11, setuptools 84, CMake, meson
    ("error: command 'gcc' failed: No such file or directory", "install build-essential"),
    (
        "error: command '/usr/bin/x86_64-linux-gnu-gcc-12' failed: No such file or directory",
        "essen",
    ),
    ("error: command 'nosuchcc' failed: No such file or directory", "add it to PATH"),
    ("error: [Errno 2] No such file or directory: 'gcc'", "install build-essential"),
    # setuptools on Windows, as documented
    ("error: Microsoft Visual C++ 14.0 or greater is required. Get it with", "Visual Studio"),
    (CONFIGURE, "install build-essential"),
    (CMAKE_COMPILER, "install build-essential"),
    (MESON, "install build-essential"),
    (RUST, "rustup"),
    # no cmake, no ninja
    (
        "scikit_build_core.errors.CMakeNotFoundError: Could not find CMake with version >=3.15",
        "cmake",
    ),
    ("ERROR: Could not detect Ninja v1.8.2 or newer", 'natten = ["ninja"]'),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", 'natten = ["cmake"]'),
    ("sh: 1: swig: not found", 'natten = ["swig"]'),
    ("bash: line 1: cmake: command not found", 'natten = ["cmake"]'),
    # psycopg2, as documented
    ("Error: pg_config executable not found.", "install libpq-dev"),
    (CMAKE_NINJA, 'natten = ["ninja"]'),
    (CMAKE_OLD, 'natten = ["cmake>=3.99"]'),
    (CMAKE_NEW, 'natten = { CMAKE_POLICY_VERSION_MINIMUM = "3.5" }'),
    # torch.utils.cpp_extension, as documented
    ("OSError: CUDA_HOME environment variable is not set. Please set it", "CUDA_HOME to its"),
    # causal-conv1d 1.4.0, where there is no nvcc
    ("NameError: name 'bare_metal_version' is not defined", "CUDA_HOME to its"),
    (
        CUDA,
        "a toolkit 13.0",
    ),
    # g++ 12, subprocess, make, bash, g++ under ulimit -v
    ("g++: fatal error: Killed signal terminated program cc1plus", 'MAX_JOBS = "1"'),
    ("subprocess.CalledProcessError: Command '[]' died with <Signals.SIGKILL: 9>.", "-j 1"),
    ("make: *** [Makefile:2: x] Killed", "-j 1"),
    ('bash: line 1:  6573 Killed                  bash -c "kill -9 $$"', "-j 1"),
    ("virtual memory exhausted: Cannot allocate memory", "-j 1"),
    # GCC's link-time optimisation, nvcc 13 (killed, and under ulimit -v), clang 14, cargo
    ("collect2: fatal error: ld terminated with signal 9 [Killed]", "-j 1"),
    ("nvcc error   : 'cicc' died due to signal 9 (Kill signal)", "-j 1"),
    ("/usr/include/c++/12/ostream(389): catastrophic error: out of memory", "-j 1"),
    ("clang: error: unable to execute command: Killed", "-j 1"),
    ("LLVM ERROR: out of memory", "-j 1"),
    ("didn't exit successfully: `rustc --crate-name x` (signal: 9, SIGKILL: kill)", "-j 1"),
    ("memory allocation of 800000000 bytes failed", "-j 1"),
    (NUMBA, "Use Python >=3.7,<3.11"),
    ("ERROR: Package 'x' requires a different Python: 3.11.7 not in '>=3.14'", "Python >=3.14"),
    ("AttributeError: module 'pkgutil' has no attribute 'ImpImporter'", "below 3.12"),
    (NO_MATCH, "requirement nothing>=3"),
    (HASHES, "pipshim lock -P natten"),
]


@pytest.mark.parametrize(("output", "expected"), KNOWN)
def test_isolated_hint(output: str, expected: str) -> None:
    hint = hint_for(output, FailedBuild(mode="isolated", package="natten 0.17.5"))
    assert hint is not None
    assert expected in hint


@pytest.mark.parametrize(("output", "_expected"), KNOWN)
def test_never_says_to_switch_isolation_off_when_it_is(output: str, _expected: str) -> None:
    hint = hint_for(output, FailedBuild(mode="no-isolation", package="natten"))
    assert hint is not None
    assert "no-build-isolation" not in hint
    assert "extra-build-dependencies\n" not in hint


def test_missing_module_isolated() -> None:
    requires = ("setuptools>=61", "wheel")
    assert hint_for(NATTEN, FailedBuild(mode="isolated", package="natten", requires=requires)) == (
        'natten imports torch while it is built. Add "torch" to its build environment, in '
        "pyproject.toml:\n"
        "\n"
        "    [tool.pipshim.extra-build-dependencies]\n"
        '    natten = ["torch"]\n'
        "\n"
        "or build it in the project environment, which needs all that the build requires:\n"
        "\n"
        "    [tool.pipshim]\n"
        '    no-build-isolation-package = ["natten"]\n'
        "\n"
        "    [dependency-groups]\n"
        '    dev = ["setuptools>=61", "wheel", "torch"]'
    )


def test_missing_module_without_isolation() -> None:
    output = "ModuleNotFoundError: No module named 'pkg_resources'"
    requires = ("setuptools", "cython>=3")
    assert hint_for(
        output, FailedBuild(mode="no-isolation", package="natten", requires=requires)
    ) == (
        "natten imports pkg_resources while it is built (setuptools 82 removed it). It is built "
        "without isolation, so the project environment needs it, with all that the build requires. "
        "Add to pyproject.toml:\n"
        "\n"
        "    [dependency-groups]\n"
        '    dev = ["cython>=3", "setuptools<82"]'
    )


def test_what_is_typed_names_all_that_a_build_without_isolation_needs() -> None:
    requires, typed = ("setuptools>=61", "wheel"), UserInput(typed=True)
    hint = hint_for(
        NATTEN, FailedBuild(mode="isolated", package="natten", user=typed, requires=requires)
    )
    assert hint is not None
    assert hint.endswith("\n    --no-build-isolation-package natten 'setuptools>=61' wheel torch")
    hint = hint_for(
        NATTEN, FailedBuild(mode="no-isolation", package="natten", user=typed, requires=requires)
    )
    assert hint is not None
    assert hint.endswith("in the same command:\n\n    'setuptools>=61' wheel torch")


# flash-attn 2.8.3 with FLASH_ATTENTION_SKIP_CUDA_BUILD alone, and a torch without CUDA
OWN_DOWNLOAD = """\
  File "<string>", line 483, in run
  File "<string>", line 456, in get_wheel_url
  File "/v/site-packages/packaging/version.py", line 56, in parse
    return Version(version)
TypeError: expected string or bytes-like object, got 'NoneType'
"""
# causal-conv1d 1.7.0 without a network
OWN_DOWNLOAD_OFFLINE = """\
Guessing wheel URL:  https://example.org/causal_conv1d-1.7.0.whl
Traceback (most recent call last):
  File "<string>", line 330, in run
  File "/v/lib/python3.11/urllib/request.py", line 1351, in do_open
    raise URLError(err)
urllib.error.URLError: <urlopen error [Errno -3] Temporary failure in name resolution>
"""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("output", "package", "prefix"),
    [
        (OWN_DOWNLOAD, "flash-attn", "FLASH_ATTENTION"),
        (OWN_DOWNLOAD, "mamba-ssm", "MAMBA"),
        (OWN_DOWNLOAD_OFFLINE, "causal-conv1d", "CAUSAL_CONV1D"),
    ],
)
def test_a_package_that_looks_for_a_wheel_of_its_own(
    output: str, package: str, prefix: str, mode: str
) -> None:
    skip, force = f"{prefix}_SKIP_CUDA_BUILD", f"{prefix}_FORCE_BUILD"
    hint = hint_for(output, FailedBuild(mode=mode, package=package, variables={skip: "TRUE"}))
    assert hint is not None
    assert f'\n    {package} = {{ {skip} = "TRUE", {force} = "TRUE" }}' in hint
    hint = hint_for(output, FailedBuild(mode=mode, package=package))
    assert hint is not None
    assert f'\n    {package} = {{ {force} = "TRUE" }}' in hint
    assert hint_for(output, FailedBuild(mode=mode, package="other")) is None


def test_a_package_that_is_known_to_build_without_cuda() -> None:
    output = "NameError: name 'bare_metal_version' is not defined"
    assert hint_for(output, FailedBuild(mode="no-isolation", package="causal-conv1d 1.4.0")) == (
        "The CUDA toolkit was not found: install it, and set CUDA_HOME to its folder. Or build "
        "causal-conv1d without its CUDA code, in pyproject.toml:\n"
        "\n"
        "    [tool.pipshim.extra-build-variables]\n"
        '    causal-conv1d = { CAUSAL_CONV1D_SKIP_CUDA_BUILD = "TRUE", '
        'CAUSAL_CONV1D_FORCE_BUILD = "TRUE" }'
    )


# mamba-ssm 2.3.2.post1 with nvcc on PATH and torch 2.13.0+cpu, shortened
NO_CUDA_IN_TORCH = """\
torch.__version__  = 2.13.0+cpu
Traceback (most recent call last):
  File "<string>", line 177, in <module>
  File "/v/site-packages/packaging/version.py", line 436, in __init__
    raise InvalidVersion(f"Invalid version: {version!r}") from None
packaging.version.InvalidVersion: Invalid version: None
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_torch_without_cuda(mode: str) -> None:
    hint = hint_for(NO_CUDA_IN_TORCH, FailedBuild(mode=mode, package="mamba-ssm"))
    assert hint is not None
    assert hint.startswith("torch 2.13.0+cpu was made without CUDA")
    variables = {"MAMBA_SKIP_CUDA_BUILD": "TRUE", "MAMBA_FORCE_BUILD": "TRUE"}
    expected = {"tool": {"pipshim": {"extra-build-variables": {"mamba-ssm": variables}}}}
    assert pasted(hint) == expected
    hint = hint_for(NO_CUDA_IN_TORCH, FailedBuild(mode=mode, package="other"))
    assert hint is not None
    assert "If other has a variable to build without it" in hint


def test_the_command_line_would_overrule_the_configuration() -> None:
    hint = hint_for(
        NATTEN, FailedBuild(mode="isolated", package="natten", chosen_by="command line")
    )
    assert hint is not None
    assert hint.endswith('natten = ["torch"]')


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("output", "_expected"), KNOWN)
def test_what_is_to_be_pasted_is_toml(output: str, _expected: str, mode: str) -> None:
    hint = hint_for(output, FailedBuild(mode=mode, package="Na.Tten")) or ""
    pasted = "\n".join(line for line in hint.splitlines() if line.startswith("    "))
    table = tomllib.loads(pasted).get("tool", {})
    assert set(table) <= {"pipshim"}


@pytest.mark.parametrize(
    "output",
    [
        "",
        "x.c:2:1: error: expected ';'\nerror: command '/usr/bin/gcc' failed with exit code 1\n",
        "cc1plus: fatal error: src/kernel.cpp: No such file or directory",
        "FileNotFoundError: [Errno 2] No such file or directory: 'README.md'",
        "ModuleNotFoundError: No module named '_private_helper'",
        "-- Could NOT find OpenMP (missing: OpenMP_C_FLAGS)",
        "Nobody was Killed here",
        "RuntimeError: CUDA error: out of memory",
    ],
)
def test_unknown_output_has_no_hint(output: str) -> None:
    assert hint_for(output, FailedBuild(mode="isolated", package="natten")) is None


def test_the_last_message_decides() -> None:
    output = NATTEN + "a.c:1:10: fatal error: Python.h: No such file or directory\n"
    hint = hint_for(output, FailedBuild(mode="isolated", package="natten"))
    assert hint is not None
    assert "python3-dev" in hint


def test_a_killed_build_needs_no_output() -> None:
    hint = hint_for("compiling", FailedBuild(mode="isolated", package="natten", returncode=-9))
    assert hint is not None
    assert 'natten = { MAX_JOBS = "1"' in hint


def test_a_long_log_takes_no_time() -> None:
    output = "make " * 100_000 + "sh: " * 100_000 + "\n" + NATTEN
    hint = hint_for(output, FailedBuild(mode="isolated", package="natten"))
    assert hint is not None
    assert '"torch"' in hint


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_this_python() -> None:
    output = run(sys.executable, "-c", "import Crypto_is_not_there.x")
    hint = hint_for(output, FailedBuild(mode="matched", package="x"))
    assert hint is not None
    assert 'x = ["crypto-is-not-there"]' in hint


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_this_compiler(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("#include <nowhere/to_be.h>\nint main(void) { return 0; }\n")
    hint = hint_for(run("gcc", "-c", str(source)), FailedBuild(mode="isolated", package="x"))
    assert hint is not None
    assert "apt-file search nowhere/to_be.h" in hint
    source.write_text("int main(void) { return 0; }\n")
    hint = hint_for(
        run("gcc", str(source), "-lnowhere", "-o", str(tmp_path / "a")),
        FailedBuild(mode="isolated", package="x"),
    )
    assert hint is not None
    assert "install libnowhere-dev" in hint


def test_a_variable_that_names_no_compiler_is_named() -> None:
    output = "error: command '/nowhere/gcc' failed: No such file or directory"
    hint = hint_for(
        output, FailedBuild(mode="isolated", package="x 1.0", variables={"CC": "/nowhere/gcc -O2"})
    )
    assert hint is not None
    assert "CC names /nowhere/gcc, which does not exist" in hint
    assert "apt-get" not in hint


def test_cmake_tells_which_variable_names_no_compiler() -> None:
    output = (
        "CMake Error at CMakeDetermineCCompiler.cmake:49 (message):\n"
        "  Could not find compiler set in environment variable CXX:\n\n  /nowhere.\n"
    )
    hint = hint_for(output, FailedBuild(mode="isolated", package="x 1.0"))
    assert hint is not None
    assert "CXX names /nowhere, which does not exist" in hint


def test_a_full_disk_is_named() -> None:
    output = "fatal error: error writing to /tmp/cc1.s: No space left on device"
    hint = hint_for(
        output, FailedBuild(mode="isolated", package="x 1.0", disk="the file system /tmp")
    )
    assert hint is not None
    assert "the file system /tmp" in hint
    assert "TMPDIR=" in hint


def test_code_that_does_not_compile_against_torch_needs_other_versions() -> None:
    output = (
        "/env/lib/python3.11/site-packages/torch/include/ATen/cpu/vec/vec_convert.h:147:77: error:"
        " no type named 'type' in 'struct std::enable_if<false, int>'\n"
        "RuntimeError: Error compiling objects for extension"
    )
    hint = hint_for(
        output, FailedBuild(mode="no-isolation", package="natten 0.14.6", torch="2.13.0+cpu")
    )
    assert hint is not None
    assert "does not compile against torch 2.13.0+cpu, which the lock has" in hint
    assert "newer version of natten" in hint
    assert 'constraint-dependencies = ["torch<2.13.0"]' in hint


def pasted(hint: str | None) -> dict[str, object]:
    """Give what is to be pasted, as TOML."""
    assert hint is not None
    return tomllib.loads("\n".join(line for line in hint.splitlines() if line[:4] == "    "))


REQUIRES = ("setuptools>=40.8.0",)


def after(document: str, mode: str, output: str = NATTEN, **more: Any) -> str:
    user = UserInput(
        document=(read := tomllib.loads(document)), groups=read.get("dependency-groups", {})
    )
    build = FailedBuild(mode=mode, package="natten", user=user, requires=REQUIRES)
    hint = hint_for(output, dataclasses.replace(build, **more))
    assert hint is not None
    return hint


def test_what_the_group_has_is_repeated() -> None:
    document = """
        [dependency-groups]
        test = ["pytest"]
        Dev = [
            "ruff",  # a linter
            { include-group = "test" },
            "setuptools>=61",
            "torch; sys_platform == 'win32'",
        ]
    """
    hint = after(document, "no-isolation")
    assert pasted(hint) == {
        "dependency-groups": {
            "Dev": [
                "ruff",
                {"include-group": "test"},
                "setuptools>=61",
                "torch; sys_platform == 'win32'",
                "torch",
            ]
        }
    }
    assert "# replaces the Dev that is there" in hint


def test_another_group_is_left_alone() -> None:
    hint = after('[dependency-groups]\ntest = ["pytest"]', "no-isolation")
    assert pasted(hint) == {"dependency-groups": {"dev": ["setuptools>=40.8.0", "torch"]}}
    assert "[dependency-groups]  # add to this table" in hint


@pytest.mark.parametrize(
    ("default", "group", "settings"),
    [
        ('["build", "lint"]', "build", {}),
        ('["lint", "dev"]', "dev", {}),
        ("[]", "dev", {"tool": {"pipshim": {"default-groups": ["dev"]}}}),
    ],
)
def test_a_group_that_is_installed_by_default_is_named(
    default: str, group: str, settings: dict[str, object]
) -> None:
    hint = after(f"[tool.pipshim]\ndefault-groups = {default}", "no-isolation")
    groups = {"dependency-groups": {group: ["setuptools>=40.8.0", "torch"]}}
    assert pasted(hint) == {**settings, **groups}


def test_what_the_settings_have_is_repeated() -> None:
    document = """
        [tool.pipshim]
        no-build-isolation-package = ["flash-attn"]
        [tool.pipshim.extra-build-dependencies]
        NATTEN = [{ requirement = "numpy", match-runtime = true }]
        other = ["wheel"]
    """
    assert pasted(after(document, "isolated")) == {
        "tool": {
            "pipshim": {
                "no-build-isolation-package": ["flash-attn", "natten"],
                "extra-build-dependencies": {
                    "NATTEN": [{"requirement": "numpy", "match-runtime": True}, "torch"]
                },
            }
        },
        "dependency-groups": {"dev": ["setuptools>=40.8.0", "torch"]},
    }


def test_variables_memory_and_constraints_are_repeated() -> None:
    document = """
        [tool.pipshim]
        constraint-dependencies = ["torch<2.14", "numpy<2"]
        [tool.pipshim.extra-build-variables.natten]
        NATTEN_CUDA_ARCH = "9.0"
        [tool.pipshim.build-memory]
        natten = "2 GB"
    """
    memory = MemoryStory("It used 2 GB.", "8 GB")
    settings = pasted(after(document, "isolated", memory=memory, ran_out=True))["tool"]
    assert settings == {
        "pipshim": {
            "build-memory": {"natten": "8 GB"},
            "extra-build-variables": {
                "natten": {
                    "NATTEN_CUDA_ARCH": "9.0",
                    "MAX_JOBS": "1",
                    "CMAKE_BUILD_PARALLEL_LEVEL": "1",
                }
            },
        }
    }
    error = "/v/torch/include/c10/core/Device.h:1:2: error: no\n"
    settings = pasted(after(document, "isolated", error, torch="2.13.0+cpu"))["tool"]
    assert settings == {"pipshim": {"constraint-dependencies": ["numpy<2", "torch<2.13.0"]}}


def test_the_settings_of_uv_stay_those_of_uv() -> None:
    document = '[tool.uv]\nno-build-isolation-package = ["flash-attn"]'
    settings = pasted(after(document, "isolated"))["tool"]
    assert settings == {
        "uv": {
            "no-build-isolation-package": ["flash-attn", "natten"],
            "extra-build-dependencies": {"natten": ["torch"]},
        }
    }
    memory = MemoryStory("It used 2 GB.", "8 GB")
    hint = after(document, "isolated", memory=memory, ran_out=True)
    assert "build-memory" not in hint  # uv refuses it


def test_a_script_has_its_metadata() -> None:
    user = UserInput(document={"dependencies": ["natten"]}, is_script=True)
    hint = hint_for(
        NATTEN,
        FailedBuild(mode="no-isolation", package="natten", user=user, requires=REQUIRES),
    )
    assert hint is not None
    assert '\n    # dependencies = ["natten", "setuptools>=40.8.0", "torch"]  # replaces' in hint


@pytest.mark.parametrize("mode", MODES)
def test_what_is_there_already_is_not_asked_for_again(mode: str) -> None:
    document = """
        [dependency-groups]
        dev = ["torch>=2"]
        [tool.pipshim.extra-build-dependencies]
        natten = ["torch"]
    """
    hint = after(document, mode)
    assert '"torch" already: check that this command installs it' in hint
    assert "    " not in hint


def test_what_was_typed_is_repeated() -> None:
    user = UserInput(
        requirements=("natten==0.17", "numpy<2", "torchvision"),
        extra={"natten": ("cmake",)},
        typed=True,
    )
    build = FailedBuild(mode="isolated", package="natten", user=user, requires=REQUIRES)
    hint = hint_for(NATTEN, build)
    assert hint is not None
    assert (
        "\n    --extra-build-dependency natten=cmake --extra-build-dependency natten=torch\n"
        in hint
    )
    assert hint.endswith(
        "    --no-build-isolation-package natten 'numpy<2' torchvision 'setuptools>=40.8.0' torch"
    )


def test_requirements_files_and_layers() -> None:
    build = FailedBuild(mode="no-isolation", package="natten", requires=REQUIRES)
    user = UserInput(files=("requirements.txt",), typed=True)
    hint = hint_for(NATTEN, dataclasses.replace(build, user=user))
    assert hint is not None
    assert hint.endswith("in requirements.txt:\n\n    setuptools>=40.8.0\n    torch")
    user = UserInput(requirements=("natten", "numpy"), option="--with", typed=True)
    hint = hint_for(NATTEN, dataclasses.replace(build, user=user))
    assert hint is not None
    assert hint.endswith("    --with numpy --with 'setuptools>=40.8.0' --with torch")

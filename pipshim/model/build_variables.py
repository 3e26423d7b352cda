"""Which environment variables count in build records, and whether they have changed. Pure.

A variable counts if the build read it by name, or if it is one that compilers and build tools read
(`COMPILER_VARIABLES`) and the build compiled something in the language that it is for. What differs
from shell to shell without changing a wheel never counts (`NEVER`). An unchanged ``run`` imports
this, so it imports little.
"""

from __future__ import annotations

from hashlib import sha256

from pipshim.base.light.named_tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


class Patterns:
    """Names, with ``*`` for any characters, in the form in which matching is fast."""

    __slots__ = ("_between", "_names", "_prefixes", "_suffixes", "texts")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self.texts = tuple(texts)
        self._names = {one for one in self.texts if "*" not in one}
        simple = [one for one in self.texts if one.count("*") == 1]
        self._prefixes = tuple(one[:-1] for one in simple if one.endswith("*"))
        self._suffixes = tuple(one[1:] for one in simple if one.startswith("*"))
        marked = {f"{one}*" for one in self._prefixes} | {f"*{one}" for one in self._suffixes}
        self._between = [one for one in self.texts if "*" in one and one not in marked]

    def match(self, name: str) -> bool:
        """Return whether one of them matches."""
        return (
            name in self._names
            or name.startswith(self._prefixes)
            or name.endswith(self._suffixes)
            or any(_fits(name, one) for one in self._between)
        )

    def __eq__(self, other: object) -> bool:
        """Compare the texts."""
        return isinstance(other, Patterns) and self.texts == other.texts

    def __hash__(self) -> int:
        """Hash the texts."""
        return hash(self.texts)


_COMPILERS = """
*FLAGS CC CXX CPP FC F77 F90 OBJC LD LDSHARED LDCXXSHARED AR AS NM RANLIB STRIP
CMAKE_* SKBUILD_* MESON* NINJA PKG_CONFIG* SETUPTOOLS_* DISTUTILS* DIST_EXTRA_CONFIG CYTHON_*
CPATH *_INCLUDE_PATH LIBRARY_PATH LD_RUN_PATH COMPILER_PATH GCC_EXEC_PREFIX
BLAS LAPACK ATLAS OPENBLAS BLAS_ROOT LAPACK_ROOT MKLROOT NPY_*
ARCHFLAGS MACOSX_DEPLOYMENT_TARGET SDKROOT DEVELOPER_DIR _PYTHON_HOST_PLATFORM
"""
_GPU = """
CUDA* CUDNN* NCCL* NVCC* CUTLASS* TORCH_* ROCM_* HIP* PYTORCH_ROCM_ARCH
"""
_RUST = """
RUST* CARGO CARGO_* MATURIN_* PYO3_*
"""
_PLACES = """
PATH HOME USER LOGNAME USERNAME SHELL SHLVL PWD OLDPWD HOSTNAME MAIL _ TMPDIR TEMP TMP
XDG_* SSH_* DBUS_* SYSTEMD_* INVOCATION_ID JOURNAL_STREAM
"""
_TERMINAL = """
TERM TERM_* COLORTERM COLUMNS LINES DISPLAY WAYLAND_DISPLAY WINDOWID TMUX* STY VTE_VERSION
EDITOR VISUAL PAGER LESS* NO_COLOR FORCE_COLOR CLICOLOR* PY_COLORS PYTHON_COLORS GCC_COLORS
LS_COLORS CMAKE_COLOR* CARGO_TERM_* RUST_BACKTRACE RUST_LOG* RUSTUP_LOG RUSTUP_TERM_*
NINJA_STATUS VERBOSE DISTUTILS_DEBUG CI GITHUB_ACTIONS
LANG LANGUAGE LC_*
"""
_JOBS = """
MAX_JOBS NUM_JOBS JOBS *MAKEFLAGS MFLAGS NINJAFLAGS CMAKE_BUILD_PARALLEL_LEVEL
CTEST_PARALLEL_LEVEL NPY_NUM_BUILD_JOBS CARGO_BUILD_JOBS CARGO_INCREMENTAL NVCC_THREADS
*_NUM_THREADS NUMBER_OF_PROCESSORS
"""
_CACHES_AND_TIMES = """
CCACHE_* SCCACHE_* RUSTUP_HOME RUSTUP_AUTO_* RUSTUP_DIST_* RUSTUP_UPDATE_* RUSTUP_IO_*
CARGO_HOME CARGO_TARGET_DIR CUDA_CACHE_* SOURCE_DATE_EPOCH
"""
_VISIBLE_GPUS = """
CUDA_VISIBLE_DEVICES CUDA_DEVICE_ORDER CUDA_LAUNCH_BLOCKING HIP_VISIBLE_DEVICES
ROCR_VISIBLE_DEVICES
"""
_SET_FOR_BUILDS = """
VIRTUAL_ENV VIRTUAL_ENV_PROMPT PIPSHIM_* PIP_* _PYPROJECT_HOOKS_* PEP517_*
PYTHONPYCACHEPREFIX PYTHONDONTWRITEBYTECODE PYTHONUNBUFFERED PYTHONUSERBASE ENSUREPIP_OPTIONS
_PYTHON_PROJECT_BASE
"""
COMPILER_VARIABLES = Patterns(f"{_COMPILERS} {_GPU} {_RUST}".split())
"""What compilers and build tools read; docs/reference/configuration.md lists them."""

_OF_LANGUAGE = {"gpu": Patterns(_GPU.split()), "rust": Patterns(_RUST.split())}

LANGUAGES = frozenset(_OF_LANGUAGE) | {"c"}
"""What may be compiled: ``gpu`` (CUDA and HIP), ``rust``, and ``c`` for all other languages."""


NEVER = Patterns(
    f"{_PLACES} {_TERMINAL} {_JOBS} {_CACHES_AND_TIMES} {_VISIBLE_GPUS} {_SET_FOR_BUILDS}".split()
)
"""What never counts, read or not: it does not change a wheel."""

_SECRETS = ("TOKEN", "PASS", "SECRET", "KEY", "AUTH", "CREDENTIAL", "LOGIN", "USER")
_LONGEST = 40
_recovered: dict[tuple[str, str | None, str], str | None] = {}


class VariableRules(NamedTuple):
    """Which variables count beyond those that a build read.

    Attributes:
        record: patterns of the user's (``record-variables``) that count in every build.
        ignore: patterns of the user's (``ignore-variables``) that never count.
        given: variables that the project sets for the build; they count.
        own: digests that count in place of the values on this machine, which builds for another
            one; None: as if it was not set.

    """

    record: Patterns = Patterns(())
    ignore: Patterns = Patterns(())
    given: frozenset[str] = frozenset()
    own: Mapping[str, str | None] = {}

    def digest(self, name: str, environ: Mapping[str, str]) -> str | None:
        """Return the digest of the value that counts; None if there is none."""
        if name in self.own and name not in self.given:
            return self.own[name]
        return value_digest(environ.get(name))

    def counts(self, name: str) -> bool:
        """Return whether a variable counts if a build read it."""
        return not self.ignore.match(name) and (self.record.match(name) or not NEVER.match(name))

    def is_listed(self, name: str, languages: Collection[str]) -> bool:
        """Return whether a variable counts although nobody saw the build read it.

        Args:
            name: the variable.
            languages: what was compiled (`LANGUAGES`).

        """
        return self.counts(name) and (
            name in self.given
            or self.record.match(name)
            or (bool(languages) and _is_for(name, languages))
        )


def is_pattern(text: str) -> bool:
    """Return whether a text can be matched with names: ``*`` stands for any characters."""
    return bool(text) and not set(text) & set("?[]= \0")


def recorded(
    read: Iterable[str],
    environ: Mapping[str, str],
    rules: VariableRules,
    languages: Collection[str],
) -> dict[str, str | None]:
    """Return what a record says of variables: digests of values, None where one is not set.

    Args:
        read: the names that the build read.
        rules: which others count.
        languages: what it compiled (`LANGUAGES`).

    """
    names = {name for name in read if rules.counts(name)}
    names |= {name for name in {*environ, *rules.own} if rules.is_listed(name, languages)}
    return {name: rules.digest(name, environ) for name in sorted(names)}


def differences(
    known: Mapping[str, str | None],
    environ: Mapping[str, str],
    rules: VariableRules,
    languages: Collection[str],
) -> Iterator[str]:
    """Say which variables are not as a record has them.

    Args:
        known: what the record says.
        environ: what the environment of a build would be now.
        rules: which variables count.
        languages: what the build compiled (`LANGUAGES`).

    """
    names = {name for name in {*environ, *rules.own} if rules.is_listed(name, languages)}
    for name in sorted(names.union(known)):
        value = environ.get(name)
        if not rules.counts(name) or rules.digest(name, environ) == known.get(name):
            continue
        yield f"{name} {_change(name, value, known, rules)}"


def _is_for(name: str, languages: Collection[str]) -> bool:
    """Return whether compilers of languages read a variable."""
    for language, patterns in _OF_LANGUAGE.items():
        if patterns.match(name):
            return language in languages
    return COMPILER_VARIABLES.match(name)


def value_digest(value: str | None) -> str | None:
    """Digest a value; None if there is none."""
    if value is None:
        return None
    return sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _change(
    name: str, value: str | None, known: Mapping[str, str | None], rules: VariableRules
) -> str:
    """Say what a variable is, and what is known of what it was."""
    digest = known.get(name)
    is_secret = any(word in name.upper() for word in _SECRETS)
    if digest is not None:
        old = None if is_secret else _common_value(name, value, digest)
        was = old or ("empty" if old == "" else "set" if value is None else "another value")
    elif name in known or name in rules.given or COMPILER_VARIABLES.match(name):
        was = "not set"
    else:
        was = "not recorded"
    if value is None:
        return f"is not set, was {was}"
    if is_secret or not value.isprintable():
        return "has changed" if digest is not None else f"is set, was {was}"
    shown = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return f"is {shown or 'empty'}, was {was}"


def _common_value(name: str, now: str | None, digest: str) -> str | None:
    """Return the value with a digest, if it is one that such a variable often has."""
    from pipshim.model.common_variable_values import find_value  # noqa: PLC0415 only to say a reason

    key = name, now, digest
    if key not in _recovered:
        _recovered[key] = find_value(name, now, lambda value: value_digest(value) == digest)
    return _recovered[key]


def _fits(name: str, pattern: str) -> bool:
    first, *between, last = pattern.split("*")
    if not name.startswith(first):
        return False
    rest = name[len(first) :]
    for part in between:
        _, found, rest = rest.partition(part) if part else ("", "*", rest)
        if not found:
            return False
    return rest.endswith(last)

"""Wheels, unpacked and given scripts by pip's own installer.

The same calls serve pip 26.1 to 26.3: ``install_wheel``'s parameters used here, ``Scheme`` and
``PipScriptMaker`` are the same in all of them.
"""

from __future__ import annotations

import csv
import functools
import os
import threading
import zlib
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple
from zipfile import BadZipFile

from pip._internal.exceptions import InstallationError
from pip._internal.metadata import get_directory_distribution, select_backend
from pip._internal.models.scheme import Scheme
from pip._internal.operations.install import wheel as _installer
from pip._internal.utils import unpacking as _unpacking
from pip._internal.utils.filesystem import adjacent_tmp_file
from pip._vendor.distlib import DistlibException
from pip._vendor.distlib.scripts import enquote_executable as _enquote_executable

from pipshim._pip import patches
from pipshim._pip.pip_texts import BROKEN_ENTRY_POINTS
from pipshim.base.errors import InstallError
from pipshim.envs.scripts import check_script_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

SCHEMES = ("purelib", "platlib", "scripts", "headers", "data")
"""The kinds of place that a wheel's files go to, and the folders of an unpacked wheel."""

_SCRIPT_MAKER: Any = _installer.PipScriptMaker  # distlib is not typed
_ENQUOTE: Any = _enquote_executable
_forced_file = adjacent_tmp_file
_at_work = threading.local()


def be_ready() -> None:
    """Import what pip imports only when it unpacks its first wheel: forks have it then."""
    select_backend()


class EntryPoints(NamedTuple):
    """The scripts that a wheel wants, ``name: module:callable``.

    Attributes:
        console: those that run in a terminal.
        gui: those that run without one.

    """

    console: dict[str, str]
    gui: dict[str, str]


@functools.cache
def _umask() -> int:
    """Return the umask without setting it, as pip does: other threads write files meanwhile."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_bytes().splitlines():
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    with TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.touch(0o777)
        return 0o777 & ~path.stat().st_mode


def _adjacent_file(path: str, **options: Any) -> AbstractContextManager[Any]:
    """Make a file as pip does, but do not wait until it is on the disk where `unpack` is at work.

    It would be INSTALLER or RECORD, of which the store keeps neither.
    """
    if not getattr(_at_work, "unpacking", False):
        return _forced_file(path, **options)
    folder, name = os.path.split(path)
    return NamedTemporaryFile(delete=False, dir=folder, prefix=name, suffix=".tmp", **options)


patches.replace(_unpacking, current_umask=_umask)
patches.replace(_installer, current_umask=_umask, adjacent_tmp_file=_adjacent_file)
_umask()


def unpack(wheel: Path, name: str, into: Path) -> None:
    """Install ``wheel`` below ``into``, one folder for each of ``SCHEMES``; compile nothing.

    The scripts of entry points are there too, as pip wrote them for the Python that runs this.

    Args:
        wheel: the file; its name is not looked at.
        name: the distribution that it must be of.
        into: a folder; the schemes' folders are made in it as they are needed.

    Raises:
        InstallError: this is no wheel of ``name`` that can be installed.

    """
    paths = {scheme: str(into / scheme) for scheme in SCHEMES}
    _at_work.unpacking = True
    try:
        with _errors_of(wheel.name):
            _installer.install_wheel(
                name,
                str(wheel),
                Scheme(**paths),
                req_description=name,
                pycompile=False,
                warn_script_location=False,
            )
    finally:
        _at_work.unpacking = False


def entry_points(dist_info: Path, *, wheel: str) -> EntryPoints:
    """Read what an unpacked wheel wants besides its files.

    Raises:
        InstallError: it cannot be read.

    """
    with _errors_of(wheel):
        found = _installer.get_entrypoints(get_directory_distribution(str(dist_info)))
    return EntryPoints(*found)


def replaces_script(entry_points: Collection[str], path: str) -> bool:
    """Tell whether pip writes the script of an entry point in place of a wheel's own script.

    The rule is that of ``is_entrypoint_wrapper`` in ``pip._internal.operations.install.wheel``.

    Args:
        entry_points: the names of the wheel's entry points.
        path: of the wheel's script, below the folder of scripts.

    """
    name = path.rpartition("/")[2]
    for suffix in (".exe", "-script.py", ".pya"):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)] in entry_points
    return name in entry_points


def write_scripts(
    console: Mapping[str, str], gui: Mapping[str, str], directory: Path, python: Path, *, wheel: str
) -> list[Path]:
    """Write the scripts of entry points into ``directory``, with pip's script maker.

    Args:
        console: ``name: module:callable``.
        gui: the same; one that has the name of a console script replaces it.
        directory: made if missing.
        python: what the scripts shall run with, as it shall stand in their first line.
        wheel: whose they are, for errors.

    Raises:
        InstallError: a name that would overwrite the interpreter or leave the folder, or an
            entry point that names no callable.

    """
    for name in (*console, *gui):
        check_script_name(name, wheel)
    directory.mkdir(parents=True, exist_ok=True)
    maker: Any = _SCRIPT_MAKER(None, str(directory))
    maker.executable = _ENQUOTE(str(python))
    maker.clobber = True
    maker.variants = {""}
    maker.set_mode = True
    with _errors_of(wheel):
        written = maker.make_multiple([f"{name} = {value}" for name, value in console.items()])
        written += maker.make_multiple(
            [f"{name} = {value}" for name, value in gui.items()], {"gui": True}
        )
    paths = [directory / Path(path).name for path in dict.fromkeys(written)]
    for path in paths:
        check_script_name(path.name, wheel)
    return paths


@contextmanager
def _errors_of(wheel: str) -> Iterator[None]:
    """Turn what pip and its libraries raise for a bad wheel into InstallError."""
    try:
        yield
    except InstallationError as error:
        # pip puts "For req: NAME." before what it has to say.
        cause = error.__cause__ if isinstance(error.__cause__, InstallationError) else error
        if BROKEN_ENTRY_POINTS.search(str(cause)):  # Python 3.10: others end below
            raise InstallError(f"{wheel} is not a valid wheel: {cause}") from error
        raise InstallError(f"{wheel} cannot be installed: {cause}") from error
    except OSError as error:
        if error.errno is not None:
            raise  # of the folder, not of the wheel
        raise InstallError(f"{wheel} cannot be unpacked: {error}") from error
    except (
        AssertionError,
        BadZipFile,
        DistlibException,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
        csv.Error,
        zlib.error,
    ) as error:
        raise InstallError(f"{wheel} is not a valid wheel: {error}") from error

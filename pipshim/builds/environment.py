"""Build environments: virtual environments without pip, linked from the store.

An environment here is made for one build and thrown away; only its interpreter, its packages and
their scripts matter, so it has neither activation scripts nor pip.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.base.interruption import temporary
from pipshim.base.light.dataclasses import dataclass
from pipshim.builds import process_trace
from pipshim.builds.credential_variables import is_credential
from pipshim.envs.layers import site_line
from pipshim.store.installer import install
from pipshim.store.linking import Linker
from pipshim.store.shared_paths import find_shared, losing_paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipshim.model.interpreter import Target
    from pipshim.store.unpacked_wheel import UnpackedWheel

NEVER_INHERITED = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV"})
"""What would let another environment leak into an isolated or matched build."""

_REMOVALS = 5


@dataclass(frozen=True)
class BuildEnvironment:
    """Where one build runs.

    Attributes:
        leaks: whether PYTHONPATH and the like reach it (builds without isolation only).
        scripts: folders of programs that come after its own on PATH.

    """

    target: Target
    leaks: bool
    scripts: tuple[Path, ...] = ()

    def variables(self, environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
        """Return all environment variables of a build's process.

        Args:
            extra: those that the settings add.

        """
        made = inherited(environ, leaks=self.leaks)
        folders = [self.target.scripts, *self.scripts]
        made["PATH"] = os.pathsep.join([*map(str, folders), environ.get("PATH", os.defpath)])
        made["VIRTUAL_ENV"] = str(self.target.prefix)
        made.update(extra)
        return made


def inherited(environ: Mapping[str, str], *, leaks: bool) -> dict[str, str]:
    """Return the user's environment variables that reach a build.

    Args:
        leaks: whether PYTHONPATH and the like are among them.

    """
    dropped = frozenset() if leaks else NEVER_INHERITED
    return {
        key: value
        for key, value in environ.items()
        if key not in dropped
        and not key.startswith(("PIP_BUILD_TRACKER", "_PIP_"))
        and not is_credential(key, value)
    }


class Workspace:
    """A folder of this command's own for what is thrown away at its end.

    Attributes:
        directory: its real path: build tools compare it with what the compiler prints.

    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(os.path.realpath(directory))

    def fresh(self, kind: str) -> Path:
        """Make a new, empty folder."""
        return Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=self.directory))


@contextmanager
def workspace(parent: Path | None = None) -> Iterator[Workspace]:
    """Make a workspace, and remove it at the end with all that is in it.

    Args:
        parent: a folder, made if missing; None: the one for temporary files.

    """
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    directory = tempfile.mkdtemp(prefix="pipshim-", dir=parent)
    temporary.add(directory)
    try:
        yield Workspace(Path(directory))
    finally:
        _remove(directory)
        if not os.path.lexists(directory):
            temporary.discard(directory)


def _remove(directory: str) -> None:
    for _ in range(_REMOVALS):  # a thread that ends meanwhile may write to it
        shutil.rmtree(directory, ignore_errors=True)
        if not os.path.lexists(directory):
            return


def make(
    directory: Path,
    base: Target,
    trees: Iterable[UnpackedWheel],
    *,
    behind: Iterable[Path] = (),
) -> BuildEnvironment:
    """Make a virtual environment in an empty folder, with these trees in it.

    Args:
        directory: becomes the environment's prefix.
        behind: folders whose packages are seen too, after its own (a staging environment's).

    """
    target = layout(directory, base)
    for folder in (target.purelib, target.scripts):
        folder.mkdir(parents=True, exist_ok=True)
    version = ".".join(map(str, base.version))
    (directory / "pyvenv.cfg").write_text(
        f"home = {base.base_python.parent}\n"
        "include-system-site-packages = false\n"
        f"version = {version}\n",
        encoding="utf-8",
    )
    minor = f"{base.version[0]}.{base.version[1]}"
    for name in ("python", "python3", f"python{minor}"):
        (target.scripts / name).symlink_to(base.base_python)
    named = {canonicalize_name(tree.name): tree for tree in trees}
    skip = losing_paths(find_shared(named, target))
    linker = Linker("mixed")
    for name, tree in named.items():
        install(tree, target, linker, skip=skip.get(name, ()))
    lines = [*(site_line(folder) for folder in behind), process_trace.import_line(), ""]
    (target.purelib / "zz_pipshim_staging.pth").write_text("\n".join(lines), encoding="utf-8")
    return BuildEnvironment(target, leaks=bool(behind))


def layout(directory: Path, base: Target) -> Target:
    """Tell the paths of a virtual environment of this Python, without asking an interpreter."""
    if base.is_venv:
        site = directory / base.purelib.relative_to(base.prefix)
        scripts = directory / base.scripts.relative_to(base.prefix)
    else:
        minor = f"python{base.version[0]}.{base.version[1]}"
        site = directory / "lib" / minor / "site-packages"
        scripts = directory / "bin"
    return replace(
        base,
        python=scripts / ("python.exe" if sys.platform == "win32" else "python"),
        prefix=directory,
        purelib=site,
        platlib=site,
        scripts=scripts,
        data=directory,
        headers=directory / "include" / "site" / f"python{base.version[0]}.{base.version[1]}",
        is_venv=True,
    )

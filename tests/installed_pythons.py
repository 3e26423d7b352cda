"""Print shell lines that let tox find every supported Python of this machine.

pyenv puts a ``python3.12`` on PATH for each version that is installed, but only those of the
version that is switched on start, and tox skips the others. So the folders of the real interpreters
are put first on PATH. Environments of Pythons that are not installed are skipped by name; any other
that tox cannot make fails.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

PYPROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
MAIN = "3.11"
"""The Python of the README's command, which ``python3`` is to mean too."""


def main() -> None:
    """Print the lines, and what was found on standard error."""
    versions = re.findall(r"Python :: (3\.\d+)", PYPROJECT.read_text(encoding="utf-8"))
    found = {version: find(version) for version in versions}
    for version, program in found.items():
        sys.stderr.write(f"Python {version}: {program or 'not installed'}\n")
    installed = {version: program for version, program in found.items() if program}
    order = sorted(installed, key=lambda version: version != MAIN)
    folders = [str(installed[version].parent) for version in order]
    path = os.pathsep.join([*folders, os.environ["PATH"]])
    sys.stdout.write(f"export PATH={shlex.quote(path)} TOX_SKIP_MISSING_INTERPRETERS=false\n")
    missing = "|".join(version.replace(".", "") for version in versions if not found[version])
    if missing:
        sys.stdout.write(f"export TOX_SKIP_ENV='py({missing})(-.*)?$'\n")


def find(version: str) -> Path | None:
    """Find an interpreter of this version that starts and is in no virtual environment."""
    for folder in candidates(version):
        program = started(folder / f"python{version}")
        if program is not None and not (program.parents[1] / "pyvenv.cfg").exists():
            return program
    return None


def candidates(version: str) -> list[Path]:
    """Give the folders to look in: those on PATH, then those of pyenv and uv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR") or Path.home() / ".local/share/uv/python")
    return [
        *map(Path, os.environ["PATH"].split(os.pathsep)),
        *newest_first(pyenv.glob(f"{version}.*/bin")),
        *newest_first(uv.glob(f"cpython-{version}.*/bin")),
    ]


def newest_first(folders: Iterable[Path]) -> list[Path]:
    """Sort folders whose paths differ in a version."""
    return sorted(folders, key=lambda one: [*map(int, re.findall(r"\d+", str(one)))], reverse=True)


def started(program: Path) -> Path | None:
    """Start it and give the real interpreter, which is elsewhere for a shim; None if it fails."""
    if not program.exists():
        return None
    command = [str(program), "-c", "import sys; print(sys.executable)"]
    done = subprocess.run(command, capture_output=True, check=False, encoding="utf-8")
    return Path(done.stdout.strip()) if done.returncode == 0 else None


if __name__ == "__main__":
    main()

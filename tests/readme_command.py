"""Prints a command of README.md, so that what CI and the tests run is what README says.

Usage: ``python tests/readme_command.py NAME``, for the block after ``<!-- command: NAME -->``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def command(name: str) -> str:
    """Answer the shell lines of a README block.

    Raises:
        LookupError: README has no such block.

    """
    pattern = rf"<!-- command: {re.escape(name)} -->\n```\w*\n(.*?)```"
    found = re.search(pattern, README.read_text(encoding="utf-8"), re.DOTALL)
    if found is None:
        raise LookupError(f"README.md has no command {name!r}")
    return found[1]


if __name__ == "__main__":
    sys.stdout.write(command(sys.argv[1]))

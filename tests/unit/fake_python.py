"""Scripts that answer as an interpreter would, for the versions that this machine lacks."""

from __future__ import annotations

import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from pipshim.envs.interpreter import _ask


def script(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@cache
def _real_answer() -> str:
    return json.dumps(_ask(Path(sys.executable)))


def answering(path: Path, version: str, **changes: Any) -> Path:
    """Make an interpreter that says it is a base Python of that version."""
    numbers = [int(number.partition("rc")[0]) for number in version.split(".")]
    answer = json.loads(_real_answer())
    answer.update(version=numbers, executable=str(path), is_venv=False)
    answer.update(changes)
    answer["markers"] |= {
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
    }
    return script(path, f"cat <<'END'\npipshim-target:{json.dumps(answer)}\nEND")

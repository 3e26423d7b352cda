"""Make the pictures in docs/images: the live view (SVG) and the timings page (PNG).

A real sync of real packages is watched, so this needs a package index, compilers and Chromium:
``python docs/make_pictures.py``, with the Python of an environment that has pipshim.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from pipshim.model import events
from pipshim.progress.json_output import name_of
from pipshim.progress.live import _text
from pipshim.progress.live_region import rows
from pipshim.progress.state import State

IMAGES = Path(__file__).with_name("images")
WIDTH = 88
PROJECT = """\
[project]
name = "pictures"
version = "1"
requires-python = ">=3.11"
dependencies = [
    "numpy==1.26.4", "pyemd==0.5.1", "setuptools",
    "bottleneck==1.4.2", "regex==2024.11.6", "markupsafe==3.0.2", "ujson==5.10.0", "rich==14.0.0",
]

[tool.pipshim]
no-build-isolation-package = ["regex"]
extra-build-dependencies = { pyemd = ["cython<3"] }
"""
SOURCES = "bottleneck,regex,markupsafe,ujson,pyemd"


def sync(directory: Path) -> tuple[list[dict[str, Any]], Path]:
    """Sync the project with empty caches; give the events, and the timings page."""
    (directory / "pyproject.toml").write_text(PROJECT)
    page = directory / "timings.html"
    pipshim = [sys.executable, "-m", "pipshim"]
    environ = {**os.environ, "PIPSHIM_CACHE_DIR": str(directory / "cache")}
    environ.pop("VIRTUAL_ENV", None)  # it would be served, and have things installed
    common = ["--project", directory, "--no-binary", SOURCES]
    subprocess.run([*pipshim, "lock", *common, "-q"], check=True, env=environ)
    done = subprocess.run(
        [*pipshim, "sync", *common, "-j", "3", "--progress", "json", "--timings", page],
        check=True,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    return [json.loads(line) for line in done.stderr.splitlines()], page


def live(seen: list[dict[str, Any]]) -> str:
    """Draw the live view at the moment when a first build has ended."""
    kinds = {kind_name(kind): kind for kind in get_args(events.Event)}
    now = 0.0
    state = State(starts=False, clock=lambda: now)
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    ended, lines = 0, []
    for one in seen:
        kind = kinds.get(one["event"])
        if kind is None:
            continue
        if ended == 1 and one["time"] > now + 1:
            break
        now = one["time"]
        lines += state.take(kind(**{field.name: one[field.name] for field in fields(kind)}))
        ended += one["event"] == "build-finished" and one["what"] == "wheel"
    now += 1
    console.print(_text([*lines, *rows(state, width=WIDTH, height=24, now=now)]))
    drawn = console.export_svg(title="pipshim sync", unique_id="live")
    # The fonts of rich's pages come from elsewhere.
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)


def kind_name(kind: type) -> str:
    """Give the name of an event class in JSON."""
    return name_of(object.__new__(kind))


def main() -> None:
    """Make both."""
    chromium = shutil.which("chromium") or sys.exit("there is no chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        seen, page = sync(Path(name))
        (IMAGES / "live.svg").write_text(live(seen), encoding="utf-8")
        subprocess.run(
            [
                chromium,
                "--headless",
                "--no-sandbox",
                "--hide-scrollbars",
                "--blink-settings=preferredColorScheme=1",
                "--window-size=1100,820",
                f"--screenshot={IMAGES / 'timings.png'}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
        )


if __name__ == "__main__":
    main()

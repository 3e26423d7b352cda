"""Completion as it comes in bash, zsh and fish: the real shells, with the key pressed in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import wheel
from tests.support.terminal import Typist

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

COMPLETED = {
    "pipshim loc": "pipshim lock",
    "pipshim run --no-sy": "pipshim run --no-sync",
    "pipshim sync --link-mode har": "pipshim sync --link-mode hardlink",
    "pipshim sync --link-mode=har": "pipshim sync --link-mode=hardlink",
    "pipshim -q cache store ver": "pipshim -q cache store verify",
    "pipshim lock --timings pages/tim": "pipshim lock --timings pages/timings.html",
    "pipshim sync --extra spe": "pipshim sync --extra speedups",
    "pipshim run --no-group=do": "pipshim run --no-group=docs",
    "pipshim lock -q -P num": "pipshim lock -q -P numerics",
    "pipshim why num": "pipshim why numerics",
    "pipshim remove need": "pipshim remove needed",
    "pipshim remove --group docs wri": "pipshim remove --group docs writer",
    "pipshim add --optional spe": "pipshim add --optional speedups",
}
"""What a line becomes when the key is pressed at its end."""

SHELLS = {
    "bash": (
        ["--norc", "--noprofile", "-i"],
        'PS1="> "; eval "$(pipshim completion --bash)"',
    ),
    "zsh": (
        ["-f", "-i"],
        'PS1="> "; autoload -Uz compinit; compinit -u -D; eval "$(pipshim completion --zsh)"',
    ),
}
"""How each is started without its user's settings, and what its user would have in them."""


@pytest.fixture
def surroundings(
    cli: Cli, index: Index, tmp_path: Path, project_dir: Path, make_project: MakeProject
) -> dict[str, str]:
    """Put the command on PATH, and what is completed into the project; give the variables."""
    index.add(wheel(tmp_path, "numerics", "1.0"), wheel(tmp_path, "writer", "1.0"))
    index.add(wheel(tmp_path, "needed", "1.0", requires=["numerics"]))
    make_project(dependencies=["needed"], extras={"speedups": []}, groups={"docs": ["writer"]})
    cli.ok("lock")
    script = tmp_path / "bin" / "pipshim"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nfrom pipshim.__main__ import main\nsys.exit(main())\n"
    )
    script.chmod(0o755)
    (project_dir / "pages").mkdir()
    (project_dir / "pages/timings.html").touch()
    path = os.pathsep.join([str(script.parent), cli.env["PATH"]])
    return {**cli.env, "PATH": path, "COLUMNS": "200", "TERM": "xterm"}


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize("name", [*SHELLS])
def test_the_key_completes_in(name: str, surroundings: dict[str, str], project_dir: Path) -> None:
    options, settings = SHELLS[name]
    with Typist([shell(name), *options], surroundings, project_dir) as typist:
        typist.type(f"{settings}; echo re''ady\n")
        typist.wait_for("ready\r\n")
        for typed, expected in COMPLETED.items():
            # Then the line is made an argument of echo (^A, ^E), which shows what it has become.
            typist.type(f"{typed}\t\x01echo '<' \x05 '>'\n")
            shown = typist.wait_for(">\r\n")
            assert f"< {expected} >" in shown
        typist.type("pipshim \t\t")
        commands = ("lock", "sync", "run", "install", "help", "completion")
        assert {*commands} <= {*typist.wait_for(*commands).split()}


def test_fish_completes(surroundings: dict[str, str], project_dir: Path) -> None:
    ask = "".join(f"echo '<'; complete -C '{typed}'\n" for typed in [*COMPLETED, "pipshim "])
    done = subprocess.run(
        [shell("fish"), "--no-config", "-c", f"pipshim completion --fish | source\n{ask}"],
        env=surroundings,
        cwd=project_dir,
        capture_output=True,
        check=True,
        encoding="utf-8",
    )
    _, *answers, commands = (answer.split() for answer in done.stdout.split("<\n"))
    for answer, expected in zip(answers, COMPLETED.values(), strict=True):
        assert answer == expected.split()[-1:]
    assert {"lock", "sync", "run", "install", "help"} <= {*commands}

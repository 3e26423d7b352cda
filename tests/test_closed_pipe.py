"""Output into a pipe that nobody reads, or into a stream that is closed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.pipshim import PATIENCE

if TYPE_CHECKING:
    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli


@pytest.mark.parametrize(
    "command", ["list", "help", "freeze --all", "tree", "export", "sync --help", "lock --help"]
)
def test_a_reader_that_goes_is_no_error(cli: Cli, make_project: MakeProject, command: str) -> None:
    make_project()
    cli.ok("lock")
    with cli.start(*command.split()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
        status = process.wait(PATIENCE)
    assert status in {0, 141}, said
    assert "Exception ignored" not in said
    assert "Traceback" not in said


def test_the_status_is_141_when_output_was_lost(cli: Cli, make_project: MakeProject) -> None:
    make_project()
    with cli.start("lock", "--help") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 141


@pytest.mark.parametrize("command", ["sync", "lock", "lock --check", "lock -U"])
def test_nobody_reads_what_an_unchanged_command_says(
    cli: Cli, make_project: MakeProject, command: str
) -> None:
    make_project()
    cli.ok("sync")
    with cli.start(*command.split()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        assert process.wait(PATIENCE) in {0, 141}


@pytest.mark.parametrize("command", ["list", "help", "lock"])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_matter(
    cli: Cli, make_project: MakeProject, command: str, closed: str
) -> None:
    make_project()
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -m pipshim {command} {closed}'],
        cwd=cli.cwd,
        env=cli.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "bug" not in done.stderr

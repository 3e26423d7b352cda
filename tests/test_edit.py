"""``pipshim add`` and ``remove``: pyproject.toml edited, locked and synced, or all as before."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from tests.support.backend import Backend
from tests.support.dists import sdist, source_tree, wheel
from tests.support.facts import calls
from tests.support.files import distributions, listing
from tests.support.locks import read_lock
from tests.support.pipshim import PATIENCE, until
from tests.support.repositories import git_repository

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.index import Index
    from tests.support.pipshim import Cli

PYPROJECT = """\
[project]
name = "demo"  # its name
version = "0.1"
dependencies = [
    # the first
    "base",
]
"""


@pytest.fixture
def file(project_dir: Path, index: Index, tmp_path: Path) -> Path:
    """Give the pyproject.toml of a project; what it may depend on is on the index."""
    dists = tmp_path / "dists"
    index.add(
        wheel(dists, "base", "1.0"),
        wheel(dists, "app", "1.5", requires=["lib"], extras={"fast": ["speed"]}),
        wheel(dists, "app", "2.0.1", requires=["lib"], extras={"fast": ["speed"]}),
        wheel(dists, "lib", "3.0"),
        wheel(dists, "speed", "0.4"),
    )
    made = project_dir / "pyproject.toml"
    made.write_text(PYPROJECT)
    return made


def state(directory: Path) -> object:
    """Tell all that a failed command must leave as it was."""
    files = [directory / name for name in ("pyproject.toml", "pylock.toml")]
    return (
        [one.read_text() if one.exists() else None for one in files],
        files[0].stat().st_mtime_ns,
        listing(directory / ".venv", without=(".pipshim.lock",)),
    )


def test_add_and_remove_edit_lock_and_sync(cli: Cli, file: Path) -> None:
    done = cli.ok("add", "App[fast]", "lib<4")
    added = '    "App[fast]>=2.0.1",\n    "lib<4",\n'
    assert file.read_text() == PYPROJECT.replace('"base",\n', f'"base",\n{added}')
    assert "+ App[fast]>=2.0.1 to project.dependencies" in done.err
    venv = file.parent / ".venv"
    assert distributions(venv) == ["app-2.0.1", "base-1.0", "lib-3.0", "speed-0.4"]
    assert "up to date" in cli.ok("sync", "--locked").err

    cli.ok("add", "--dev", "speed", "--bounds", "major")
    cli.ok("add", "--optional", "more", "app", "--marker", "python_version > '3'", "-P", "lib")
    assert file.read_text().endswith(
        "\n[project.optional-dependencies]\nmore = [\n"
        "    \"app>=2.0.1; python_version > '3'\",\n]\n"
        '\n[dependency-groups]\ndev = [\n    "speed>=0.4,<0.5",\n]\n'
    )
    removed = cli.ok("remove", "app", "LIB", "--output-format", "json")
    document = json.loads(removed.out)
    assert document["requirements"] == [
        {"action": "remove", "requirement": "App[fast]>=2.0.1", "place": "project.dependencies"},
        {"action": "remove", "requirement": "lib<4", "place": "project.dependencies"},
    ]
    assert [one["name"] for one in document["changes"]] == ["app", "lib"]
    assert distributions(venv) == ["base-1.0", "speed-0.4"]
    assert sorted(read_lock(file.parent).versions) == ["app", "base", "lib", "speed"]


def test_what_fails_leaves_files_and_environment_as_they_were(
    cli: Cli, file: Path, index: Index, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "broken", "1.0", backend=Backend(fail_in="build_wheel", exit_code=1)))
    cli.ok("sync")
    before = state(file.parent)
    assert "package absent was not found" in cli.fails("add", "absent").err
    assert "broken 1.0" in cli.fails("add", "app", "broken").err
    assert "app" in cli.fails("add", "app>=9").err
    cli.fails("add", "--group", "dev", "broken", "--no-editable")
    elsewhere = cli.fails("remove", "app")
    assert "app is not in project.dependencies" in elsewhere.err
    cli.fails("add", "base", "=broken", status=2)
    cli.fails("add", status=2)
    cli.fails("remove", status=2)
    cli.fails("add", "--dev", "--optional", "x", "app", status=2)
    cli.fails("add", "--locked", "app", status=2)
    assert state(file.parent) == before
    assert [*cli.temporary.iterdir()] == []


def test_a_signal_while_it_builds_leaves_all_as_before(
    cli: Cli, file: Path, index: Index, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    index.add(sdist(tmp_path, "slow", "1", backend=Backend(log=str(log), sleep_seconds=600)))
    before = state(file.parent)
    with cli.start("add", "slow") as process:
        until(lambda: [call for call in calls(log) if call.hook == "build_wheel"])
        assert "slow>=1" in file.read_text()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert state(file.parent) == before


def edited_while(
    cli: Cli, index: Index, request: str, text: str | bytes, file: Path, *args: str
) -> tuple[int, str]:
    """Save a file while a command waits for an answer of the index; give its status and errors."""
    index.meetings[request] = release = threading.Event()
    with cli.start(*args) as process:
        until(lambda: f"GET {request}" in index.requests)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        release.set()
        _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err


def test_what_is_saved_while_add_finds_versions_is_kept(cli: Cli, file: Path, index: Index) -> None:
    saved = PYPROJECT.replace("# the first", "# my comment").replace('"base"', '"base<2"')
    status, err = edited_while(cli, index, "/simple/app/", saved, file, "add", "app")
    assert status == 0, err
    assert file.read_text() == saved.replace('2",\n', '2",\n    "app>=2.0.1",\n')
    assert "up to date" in cli.ok("sync", "--locked").err


def test_what_is_saved_while_add_syncs_is_kept_and_has_the_edit(
    cli: Cli, file: Path, index: Index
) -> None:
    saved = PYPROJECT.replace("# the first", "# my comment")
    wheel = "/files/app-2.0.1-py3-none-any.whl"
    status, err = edited_while(cli, index, wheel, saved, file, "add", "app")
    assert status == 0, err
    assert file.read_text() == saved.replace('base",\n', 'base",\n    "app>=2.0.1",\n')
    assert "pyproject.toml was changed by another program meanwhile" in err
    assert "up to date" in cli.ok("sync", "--locked").err


@pytest.mark.parametrize("saved", [b"[project\n", b"\xff", b"[tool.x]\n"])
def test_add_does_not_write_over_what_it_cannot_edit(
    saved: bytes, cli: Cli, file: Path, index: Index
) -> None:
    cli.ok("sync")
    environment = listing(file.parent / ".venv", without=(".pipshim.lock",))
    status, err = edited_while(cli, index, "/simple/app/", saved, file, "add", "app")
    assert status == 1
    assert "pyproject.toml" in err
    assert "bug" not in err
    assert file.read_bytes() == saved
    assert listing(file.parent / ".venv", without=(".pipshim.lock",)) == environment


def test_settings_that_change_while_add_runs_are_an_error(
    cli: Cli, file: Path, index: Index
) -> None:
    saved = f"{PYPROJECT}\n[tool.pipshim]\nresolution = 'lowest'\n"
    status, err = edited_while(cli, index, "/simple/app/", saved, file, "add", "app")
    assert status == 1
    assert "was changed by another program meanwhile" in err
    assert "run the command again" in err
    assert file.read_text() == saved


def test_what_is_saved_while_remove_locks_is_kept(cli: Cli, file: Path, index: Index) -> None:
    cli.ok("add", "app", "lib")
    saved = file.read_text().replace("# the first", "# my comment").replace('"base"', '"base<2"')
    index.requests.clear()
    status, err = edited_while(cli, index, "/simple/base/", saved, file, "remove", "-U", "app")
    assert status == 0, err
    assert file.read_text() == saved.replace('    "app>=2.0.1",\n', "")


def test_what_is_saved_before_a_failure_stays(
    cli: Cli, file: Path, index: Index, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "broken", "1.0", backend=Backend(fail_in="build_wheel", exit_code=1)))
    saved = PYPROJECT.replace("# the first", "# my comment")
    page = "/files/app-2.0.1-py3-none-any.whl"
    status, err = edited_while(cli, index, page, saved, file, "add", "app", "broken")
    assert status == 1
    assert "broken 1.0" in err
    assert "pyproject.toml was changed by another program meanwhile; it is left as it is" in err
    assert file.read_text() == saved


def test_less_than_all_can_be_asked_for(cli: Cli, file: Path) -> None:
    cli.ok("add", "--frozen", "app")
    assert '"app",' in file.read_text()
    assert [one.name for one in file.parent.iterdir()] == ["pyproject.toml"]
    cli.ok("add", "--no-sync", "lib", "--bounds", "exact")
    assert '"lib==3.0",' in file.read_text()
    assert read_lock(file.parent).versions["lib"] == "3.0"
    cli.ok("add", "--raw", "--frozen", "speed >= 0, <1")
    assert '"speed >= 0, <1",' in file.read_text()
    cli.ok("remove", "--frozen", "speed", "lib")
    assert sorted(one.name for one in file.parent.iterdir()) == ["pylock.toml", "pyproject.toml"]
    assert "lib" not in file.read_text()
    elsewhere = cli.ok("add", "--dev", "--frozen", "speed")
    assert "+ speed to dependency-groups.dev" in elsewhere.err
    assert "pipshim remove --group dev speed" in cli.fails("remove", "speed", "--frozen").err


def test_folders_editables_archives_and_files_of_requirements(
    cli: Cli, file: Path, tmp_path: Path
) -> None:
    dists = tmp_path / "dists"
    source_tree(sdist(dists, "tree", "1.0", requires=["lib"]), tmp_path)
    linked = source_tree(sdist(dists, "linked", "1.0"), tmp_path)
    archive = wheel(dists, "wheeled", "2.0")
    listed = tmp_path / "requirements.txt"
    listed.write_text(f"lib>=3 ; python_version > '3'  # why\n-e {linked}\n")
    cli.ok("add", "../tree-1.0", "-r", str(listed), str(archive))
    assert file.read_text() == PYPROJECT.replace(
        '"base",\n',
        '"base",\n    "tree",\n    "wheeled",\n    "lib>=3 ; python_version > \'3\'",\n'
        '    "linked",\n',
    ) + (
        "\n[tool.pipshim.sources]\n"
        'tree = { path = "../tree-1.0" }\n'
        'wheeled = { path = "../dists/wheeled-2.0-py3-none-any.whl" }\n'
        'linked = { path = "../linked-1.0", editable = true }\n'
    )
    venv = file.parent / ".venv"
    assert distributions(venv) == ["base-1.0", "lib-3.0", "linked-1.0", "tree-1.0", "wheeled-2.0"]
    lock = read_lock(file.parent)
    assert lock.packages["tree"]["directory"] == {"path": "../tree-1.0"}
    assert [one["path"] for one in lock.tool["folders"]] == ["../linked-1.0"]
    assert str(tmp_path) not in lock.text.replace(f"file://{dists}", "")
    cli.ok("remove", "tree", "wheeled", "linked", "lib")
    assert file.read_text() == PYPROJECT
    assert "nowhere does not exist" in cli.fails("add", "./nowhere", status=2).err
    assert "is the project itself" in cli.fails("add", ".", status=2).err


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_repository_that_does_not_say_its_name_is_asked(
    cli: Cli, file: Path, tmp_path: Path
) -> None:
    tree = source_tree(sdist(tmp_path / "dists", "checkout", "1.0"), tmp_path)
    commit = git_repository(tree)
    cli.ok("add", f"git+file://{tree}@main")
    assert f'"checkout @ git+file://{tree}@main",' in file.read_text()
    assert read_lock(file.parent).packages["checkout"]["vcs"]["commit-id"] == commit


def test_only_what_is_changed_is_told(cli: Cli, file: Path) -> None:
    cli.ok("add", "--frozen", "lib<4")
    assert (
        cli.ok("add", "--frozen", "lib").err
        == "project.dependencies is unchanged: it has that already\n"
    )
    assert cli.ok("add", "--frozen", "lib>=1").err == (
        "- lib<4 from project.dependencies\n+ lib>=1 to project.dependencies\n"
    )
    marked = cli.ok("add", "--frozen", "lib<9", "-m", "os_name == 'nt'")
    assert marked.err == "+ lib<9; os_name == 'nt' to project.dependencies\n"
    assert '"lib>=1",' in file.read_text()


def test_odd_layouts_stay(cli: Cli, file: Path) -> None:
    """Line ends, inline tables, dotted keys, and a file without a newline at its end."""
    head = 'name = "demo"\nversion = "1"\n'
    for before, after in {
        f"[project]\n{head}dependencies = []": None,
        f'[project]\n{head}dependencies = ["base"]': '["base", "lib"]',
        f'[project]\n{head}dependencies = [\n\t"base" # why\n]': '[\n\t"base", # why\n\t"lib"\n]',
        'project = {name = "demo", version = "1", dependencies = ["base"]}': '["base", "lib"]}',
        'project.name = "demo"\nproject.version = "1"\nproject.dependencies = ["base"]': (
            '["base", "lib"]'
        ),
    }.items():
        for ends in "\n", "\r\n":
            text = before.replace("\n", ends)
            file.write_bytes(text.encode())
            cli.ok("add", "--frozen", "lib")
            made = file.read_bytes().decode()
            assert made.count("\n") == made.count(ends)
            if after is not None:
                assert made.endswith(after.replace("\n", ends))
            cli.ok("remove", "--frozen", "lib")
            if "why" not in before:
                assert file.read_bytes().decode() == text


def test_what_cannot_be_edited_is_said(cli: Cli, file: Path) -> None:
    file.write_text('[project]\nname = "demo"\nversion = "1"\ndynamic = ["dependencies"]\n')
    assert "dependencies is dynamic" in cli.fails("add", "lib").err
    file.write_text("[tool.x]\n")
    assert "has no [project]" in cli.fails("add", "lib").err
    cli.ok("add", "--group", "dev", "lib", "--no-sync")
    assert file.read_text() == '[tool.x]\n\n[dependency-groups]\ndev = [\n    "lib>=3.0",\n]\n'
    cli.ok("lock", "lib")
    assert "given requirements, not from the project" in cli.fails("add", "--dev", "speed").err

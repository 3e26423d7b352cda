"""An unchanged run or sync is recognised without pip, and every change that counts is noticed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING
from zlib import crc32

import pytest

from tests.support.dists import wheel
from tests.support.pipshim import make_venv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.index import Index
    from tests.support.pipshim import Cli


def imported(cli: Cli, project: Path, *args: str, env: dict[str, str] | None = None) -> set[str]:
    """Run a command, which must go well, and tell which modules it imported."""
    result = cli(*args, cwd=project, env={**(env or {}), "PYTHONPROFILEIMPORTTIME": "1"})
    assert result.status == 0, result.err
    lines = (line for line in result.err.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


def is_recognised(cli: Cli, project: Path, *args: str, env: dict[str, str] | None = None) -> bool:
    modules = imported(cli, project, *args, env=env)
    return not {one.partition(".")[0] for one in modules} & {"pip", "rich", "packaging"}


@pytest.fixture
def synced(cli: Cli, index: Index, project_dir: Path, tmp_path: Path) -> Path:
    index.add(
        wheel(tmp_path, "one", "1.0", entry_points={"console_scripts": {"one": "one:main"}}),
        wheel(tmp_path, "one", "2.0"),
        wheel(tmp_path, "two", "1.0"),
    )
    (project_dir / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\ndependencies = ["one<2"]\n'
        '[dependency-groups]\nmore = ["two"]\n'
    )
    cli.ok("sync", cwd=project_dir)
    cli.ok("run", "true", cwd=project_dir)
    assert is_recognised(cli, project_dir, "sync")
    assert is_recognised(cli, project_dir, "run", "true")
    return project_dir


def test_a_recognised_run_becomes_the_command(cli: Cli, synced: Path) -> None:
    code = "import os, sys; print(sys.prefix, os.environ['VIRTUAL_ENV']); sys.exit(7)"
    result = cli("run", "python", "-c", code, cwd=synced)
    assert result.status == 7
    assert result.out.split() == [str(synced / ".venv")] * 2
    assert is_recognised(cli, synced, "run", "--", "python", "-c", "pass")
    assert is_recognised(cli, synced, "run", "-m", "compileall", "-h")
    cli.fails("run", "no-such-command", status=2, cwd=synced)


def test_a_recognised_run_imports_nothing_that_shows_progress(cli: Cli, synced: Path) -> None:
    recognising = {"pipshim", "pipshim.fastpath", "pipshim.fastpath.up_to_date"}
    becoming = {"pipshim.base", "pipshim.base.light", "pipshim.base.light.signals"}
    for arguments, expected in (
        (("sync",), recognising),
        (("run", "true"), recognising | becoming),
    ):
        own = {one for one in imported(cli, synced, *arguments) if one.startswith("pipshim")}
        assert own == expected


def test_a_working_directory_that_was_removed_is_an_error(cli: Cli, project_dir: Path) -> None:
    script = f"rmdir {project_dir} && exec {sys.executable} -m pipshim sync"
    done = subprocess.run(
        ["sh", "-c", script],
        cwd=project_dir,
        env=cli.env,
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


def test_options_that_were_not_stamped_go_the_long_way(cli: Cli, synced: Path) -> None:
    assert not is_recognised(cli, synced, "run", "--group", "more", "true")
    assert (synced / ".venv").is_dir()
    assert is_recognised(cli, synced, "run", "--group", "more", "true")
    cli.fails("run", "--no-such-option", "true", status=2, cwd=synced)


def edit_pyproject(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(path.read_text() + "\n")


def change_dependencies(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(path.read_text().replace("one<2", "one"))


def edit_lock(project: Path) -> None:
    path = project / "pylock.toml"
    path.write_text(path.read_text() + "\n")


def remove_lock(project: Path) -> None:
    (project / "pylock.toml").unlink()


def remove_locked_package(project: Path) -> None:
    path = project / "pylock.toml"
    block = r'\[\[packages\]\]\nname = "two".*?(?=\[\[packages\]\]|\[tool\.)'
    text, count = re.subn(block, "", path.read_text(), flags=re.DOTALL)
    assert count == 1
    path.write_text(text)


def remove_distribution(project: Path) -> None:
    (info,) = (project / ".venv").rglob("one-*.dist-info")
    shutil.rmtree(info)


def recreate_environment(project: Path) -> None:
    shutil.rmtree(project / ".venv")


def add_setup_cfg(project: Path) -> None:
    (project / "setup.cfg").write_text("[metadata]\n")


@pytest.mark.parametrize(
    "change",
    [
        edit_pyproject,
        edit_lock,
        remove_lock,
        remove_distribution,
        recreate_environment,
        add_setup_cfg,
    ],
)
@pytest.mark.parametrize("command", [("sync",), ("run", "true")], ids=["sync", "run"])
def test_a_change_is_noticed_and_mended(
    cli: Cli, synced: Path, change: Callable[[Path], None], command: tuple[str, ...]
) -> None:
    change(synced)
    assert not is_recognised(cli, synced, *command)
    assert list((synced / ".venv").rglob("one-1.0.dist-info"))
    cli.ok(*command, cwd=synced)
    assert is_recognised(cli, synced, *command)


@pytest.mark.parametrize(
    "variables",
    [{"PIP_PRE": "1"}, {"PIPSHIM_NO_BUILD_ISOLATION": "1"}, {"PIP_PREFER_BINARY": "1"}],
    ids=lambda variables: next(iter(variables)),
)
def test_another_variable_goes_the_long_way(
    cli: Cli, synced: Path, variables: dict[str, str]
) -> None:
    assert not is_recognised(cli, synced, "sync", env=variables)


def test_variables_of_equal_length_with_the_same_checksum_are_told_apart(
    cli: Cli, synced: Path
) -> None:
    first, second = "yhcbdjwhj", "cfmwjcitz"
    assert crc32(first.encode()) == crc32(second.encode())
    cli.ok("sync", cwd=synced, env={"PIP_ONLY_BINARY": first})
    assert is_recognised(cli, synced, "sync", env={"PIP_ONLY_BINARY": first})
    assert not is_recognised(cli, synced, "sync", env={"PIP_ONLY_BINARY": second})


def elsewhere_with_project(project: Path) -> list[list[str]]:
    """Return the ways to name a project from the folder beside it."""
    return [
        ["sync", "--project", str(project)],
        ["sync", "--project", project.name],
        ["sync", f"--project=../{project.parent.name}/{project.name}"],
        ["sync", "--proj", project.name],
        ["--project", project.name, "sync"],
        ["run", "--project", project.name, "true"],
        [f"--project={project.name}", "run", "true"],
        ["lock", "--check", "--project", project.name],
        ["--project", project.name, "lock", "--check"],
    ]


def test_an_unchanged_project_is_recognised_from_another_folder(cli: Cli, synced: Path) -> None:
    above = synced.parent
    for command in elsewhere_with_project(synced):
        cli.ok(*command, cwd=above)
        assert is_recognised(cli, above, *command), command
        edit_pyproject(synced)
        assert not is_recognised(cli, above, *command), command


def test_an_unchanged_project_that_a_variable_names_is_recognised(cli: Cli, synced: Path) -> None:
    env = {"PIPSHIM_PROJECT": synced.name}
    for command in (["sync"], ["run", "true"], ["lock", "--check"]):
        cli.ok(*command, cwd=synced.parent, env=env)
        assert is_recognised(cli, synced.parent, *command, env=env), command
    change_dependencies(synced)
    assert not is_recognised(cli, synced.parent, "sync", env=env)


def test_a_missing_environment_is_made_again_from_another_folder(cli: Cli, synced: Path) -> None:
    command = ("sync", "--project", synced.name)
    recreate_environment(synced)
    cli.ok(*command, cwd=synced.parent)
    recreate_environment(synced)
    assert "pip" not in imported(cli, synced.parent, *command)
    assert list((synced / ".venv").rglob("one-1.0.dist-info"))


def test_options_of_the_command_that_is_run_name_no_project(
    cli: Cli, synced: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "pyproject.toml").write_text('[project]\nname = "other"\nversion = "1"\n')
    cli.ok("sync", cwd=other)
    code = "import sys; print(sys.prefix)"
    command = ("run", "python", "-c", code, "--project", str(other))
    for _ in range(2):
        assert cli.ok(*command, cwd=synced).out.strip() == str(synced / ".venv")


def test_a_project_that_is_added_nearer_by_is_noticed(cli: Cli, synced: Path) -> None:
    inner = synced / "inner"
    inner.mkdir()
    env = {"VIRTUAL_ENV": str(synced / ".venv")}
    cli.ok("sync", cwd=inner, env=env)
    assert is_recognised(cli, inner, "sync", env=env)
    (inner / "pyproject.toml").write_text('[project]\nname = "inner"\nversion = "1"\n')
    assert not is_recognised(cli, inner, "sync", env=env)


def test_a_changed_pip_conf_is_noticed(cli: Cli, synced: Path) -> None:
    config = synced / "pip.conf"
    env = {"PIP_CONFIG_FILE": str(config)}
    config.write_text("[global]\ntimeout = 20\n")
    cli.ok("sync", cwd=synced, env=env)
    assert is_recognised(cli, synced, "sync", env=env)
    config.write_text("[global]\nno-build-isolation-package = two\n")
    assert not is_recognised(cli, synced, "sync", env=env)


CHECK = ("lock", "--check")


def test_an_unchanged_lock_is_recognised_with_an_environment_and_without(
    cli: Cli, synced: Path
) -> None:
    said = cli.ok(*CHECK, cwd=synced)
    assert is_recognised(cli, synced, *CHECK)
    assert cli.ok(*CHECK, cwd=synced) == said
    shutil.rmtree(synced / ".venv")
    assert not is_recognised(cli, synced, *CHECK)
    assert is_recognised(cli, synced, *CHECK)
    cli.fails(*CHECK, "--pre", cwd=synced)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (edit_pyproject, 0),
        (edit_lock, 0),
        (add_setup_cfg, 0),
        (remove_lock, 1),
        (change_dependencies, 1),
        (recreate_environment, 0),
    ],
)
def test_a_change_that_may_count_for_the_lock_is_noticed(
    cli: Cli, synced: Path, change: Callable[[Path], None], status: int
) -> None:
    cli.ok(*CHECK, cwd=synced)
    assert is_recognised(cli, synced, *CHECK)
    change(synced)
    result = cli(*CHECK, cwd=synced, env={"PYTHONPROFILEIMPORTTIME": "1"})
    assert result.status == status
    assert " pip._internal" in result.err


@pytest.mark.parametrize("variables", [{"PIP_PRE": "1"}, {"PIPSHIM_NO_BUILD_ISOLATION": "1"}])
def test_another_variable_may_count_for_the_lock(
    cli: Cli, synced: Path, variables: dict[str, str]
) -> None:
    cli.ok(*CHECK, cwd=synced)
    cli.fails(*CHECK, cwd=synced, env=variables)


def resolves(cli: Cli, project: Path, *args: str) -> bool:
    """Run a lock, and tell whether it resolves: that needs no index if all pins are kept."""
    return "pipshim.lock.project_locking" in imported(cli, project, "lock", *args)


def test_an_unchanged_lock_is_neither_resolved_nor_asked_about(
    cli: Cli, index: Index, synced: Path
) -> None:
    index.stop()
    before = (synced / "pylock.toml").read_bytes()
    first = cli.ok("lock", cwd=synced)
    assert "pylock.toml is up to date" in first.err
    assert is_recognised(cli, synced, "lock")
    assert "pylock.toml is up to date" in cli.ok("lock", cwd=synced).err
    assert not cli.ok("lock", "-q", cwd=synced).err
    assert (synced / "pylock.toml").read_bytes() == before


def test_a_lock_that_has_just_been_made_is_recognised(cli: Cli, synced: Path) -> None:
    change_dependencies(synced)
    cli.ok("lock", cwd=synced)
    assert is_recognised(cli, synced, "lock")
    remove_lock(synced)
    assert not is_recognised(cli, synced, "lock")


def test_an_unchanged_lock_has_a_result_document(cli: Cli, index: Index, synced: Path) -> None:
    index.stop()
    cli.ok("lock", cwd=synced)
    document = json.loads(cli.ok("lock", "--output-format", "json", cwd=synced).out)
    assert (document["status"], document["changed"], document["changes"]) == ("done", False, [])
    assert document["packages"] == 2
    dry = json.loads(cli.ok("lock", "--dry-run", "--output-format", "json", cwd=synced).out)
    assert (dry["status"], dry["changed"]) == ("planned", False)


@pytest.mark.parametrize(
    "options",
    [
        ["-U"],
        ["-P", "one"],
        ["--pre"],
        ["-c", "constraints.txt"],
        ["--extra-index-url", "URL"],
        ["--no-binary", "other"],
        ["-o", "pylock.other.toml"],
        ["-o", "-"],
        ["-r", "requirements.txt"],
        ["one"],
    ],
    ids=" ".join,
)
def test_a_lock_with_other_options_resolves(
    cli: Cli, index: Index, synced: Path, options: list[str]
) -> None:
    (synced / "constraints.txt").write_text("two<9\n")
    (synced / "requirements.txt").write_text("one\n")
    cli.ok("lock", cwd=synced)
    assert resolves(cli, synced, *[one.replace("URL", index.url) for one in options])


def test_a_lock_with_the_same_options_as_before_is_recognised(
    cli: Cli, index: Index, synced: Path
) -> None:
    (synced / "constraints.txt").write_text("two<9\n")
    (synced / "more.txt").write_text("one<3\n")
    options = ("-c", "constraints.txt", "--extra-index-url", index.url)
    cli.ok("lock", *options, cwd=synced)
    assert is_recognised(cli, synced, "lock", *options)
    (synced / "constraints.txt").write_text("-c more.txt\ntwo<8\n")
    assert resolves(cli, synced, *options)
    assert is_recognised(cli, synced, "lock", *options)
    (synced / "more.txt").write_text("one<4\n")
    assert resolves(cli, synced, *options)


def test_an_unchanged_lock_goes_to_standard_output_each_time(cli: Cli, synced: Path) -> None:
    for _ in range(2):
        assert cli.ok("lock", "-o", "-", cwd=synced).out == (synced / "pylock.toml").read_text()


@pytest.mark.parametrize("change", [change_dependencies, remove_lock, remove_locked_package])
def test_a_lock_that_is_not_up_to_date_is_made(
    cli: Cli, synced: Path, change: Callable[[Path], None]
) -> None:
    cli.ok("lock", cwd=synced)
    before = (synced / "pylock.toml").read_text()
    change(synced)
    assert resolves(cli, synced)
    if change is not change_dependencies:
        assert (synced / "pylock.toml").read_text() == before


def test_without_a_cache_a_lock_is_checked_every_time(cli: Cli, synced: Path) -> None:
    cli.ok(*CHECK, "--no-cache-dir", cwd=synced, env={"PIPSHIM_CACHE_DIR": ""})
    assert not is_recognised(cli, synced, *CHECK, "--no-cache-dir", env={"PIPSHIM_CACHE_DIR": ""})


def test_another_active_environment_is_served(cli: Cli, synced: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_venv(other)
    code = "import sys; print(sys.prefix)"
    result = cli.ok("run", "python", "-c", code, cwd=synced, env={"VIRTUAL_ENV": str(other)})
    assert result.out.strip() == str(other)


def test_a_stamp_holds_no_credentials(cli: Cli, synced: Path) -> None:
    cli.ok("sync", cwd=synced, env={"PIP_EXTRA_INDEX_URL": "http://user:s3cret@127.0.0.1:1/simple"})
    stamps = list((synced / ".venv" / ".pipshim-fresh").iterdir())
    assert stamps
    assert all("s3cret" not in stamp.read_text() for stamp in stamps)


def test_a_damaged_stamp_is_passed_over(cli: Cli, synced: Path) -> None:
    for stamp in (synced / ".venv" / ".pipshim-fresh").iterdir():
        stamp.write_text("pipshim stamp 3\nsync\n")
    assert not is_recognised(cli, synced, "sync")

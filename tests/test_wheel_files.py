"""Wheels that other tools install too: no hashes in RECORD, escaped names, damaged METADATA."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import sdist, wheel
from tests.support.files import distributions
from tests.support.pipshim import make_venv, site_packages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

UNHASHED_BACKEND = """
from engine import *
from engine import build_wheel as _build_wheel
import zipfile

def build_wheel(directory, config_settings=None, metadata_directory=None):
    name = _build_wheel(directory, config_settings, metadata_directory)
    path = f"{directory}/{name}"
    with zipfile.ZipFile(path) as archive:
        contents = {one: archive.read(one) for one in archive.namelist()}
    record = next(one for one in contents if one.endswith("/RECORD"))
    contents[record] = b"".join(b"%s,,\\n" % one.encode() for one in contents)
    contents["extra.txt"] = b"not in RECORD"
    with zipfile.ZipFile(path, "w") as archive:
        for one, data in contents.items():
            archive.writestr(one, data)
    return name
"""


def repacked(path: Path, **changes: bytes) -> Path:
    """Replace the contents of files of a wheel, by their names below ``.dist-info``."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, changes.get(name.rpartition("/")[2], data))
    return path


@pytest.mark.parametrize("command", ["sync", "install"])
def test_built_wheel_without_hashes_in_record_is_installed_with_hashes(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, command: str
) -> None:
    index.add(sdist(tmp_path, "handmade", "1.0", backend_source=UNHASHED_BACKEND))
    project = make_project(dependencies=["handmade"])
    if command == "install":
        make_venv(project / ".venv")
        result = cli.ok("--python", project / ".venv", "install", "handmade")
    else:
        result = cli.ok("sync")
    warning = "warning: handmade-1.0-py3-none-any.whl: its RECORD does not list extra.txt"
    assert result.err.lower().count(warning.lower()) == 1, result.err
    record = site_packages(project / ".venv") / "handmade-1.0.dist-info" / "RECORD"
    rows = [row.split(",") for row in record.read_text().splitlines()]
    assert "extra.txt" in {path for path, _, _ in rows}
    assert [path for path, sha256, _ in rows if not sha256] == ["handmade-1.0.dist-info/RECORD"]
    sizes = {path: size for path, _, size in rows}
    assert sizes["extra.txt"] == str(len(b"not in RECORD"))


@pytest.mark.parametrize("metadata", [b"", b"Name: demon\nSummary: \xff\xfe\n"])
@pytest.mark.parametrize("offers_metadata", [True, False])
@pytest.mark.parametrize("command", ["lock", "install"])
def test_wheel_with_unreadable_metadata_is_named_with_its_url(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    command: str,
    metadata: bytes,
    *,
    offers_metadata: bool,
) -> None:
    path = repacked(wheel(tmp_path, "demon", "1.0"), METADATA=metadata)
    index.add(path)
    index.without_metadata = not offers_metadata
    make_project(dependencies=["demon"])
    if command == "install":
        result = cli.fails("--python", make_venv(tmp_path / "venv"), "install", "demon")
        pips_words = "ERROR: Error decoding metadata for "
        assert (pips_words in result.err) == (bool(metadata) and not offers_metadata)
    else:
        result = cli.fails("lock")
    assert "demon" in result.err
    assert path.name in result.err
    assert "METADATA" in result.err
    assert index.file_url(path.name) in result.err


def test_wheel_with_unreadable_metadata_is_named_by_sync(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    """The metadata file of the index is good, and the one in the wheel is not."""
    good = wheel(tmp_path, "demon", "1.0")
    bad = repacked(wheel(tmp_path / "bad", "demon", "1.0"), METADATA=b"")
    index.add(bad)
    with zipfile.ZipFile(good) as archive:
        index.offer_metadata(bad.name, archive.read("demon-1.0.dist-info/METADATA"))
    make_project(dependencies=["demon"])
    cli.ok("lock")
    result = cli.fails("sync")
    assert "demon" in result.err
    assert "METADATA" in result.err
    assert index.file_url(bad.name) in result.err


ESCAPED = "demon-1.0%2Bcpu-py3-none-any.whl"


def add_local_version(index: Index, tmp_path: Path) -> str:
    path = wheel(tmp_path, "demon", "1.0+cpu")
    index.add(path)
    url = index.file_url(path.name)
    assert url.endswith(ESCAPED)
    return url


@pytest.mark.parametrize("kind", ["index", "requirement", "source", "find-links", "add"])
def test_wheel_with_an_escaped_local_version_is_locked_and_synced(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, kind: str
) -> None:
    url = add_local_version(index, tmp_path)
    options: list[str] = []
    if kind == "index":
        project = make_project(dependencies=["demon"])
    elif kind == "source":
        sources = f'[tool.pipshim.sources]\ndemon = {{ url = "{url}" }}\n'
        project = make_project(sources, dependencies=["demon"])
    elif kind == "find-links":
        page = tmp_path / "page.html"
        page.write_text(f'<a href="{url}">demon</a>')
        options = ["--no-index", "--find-links", page.as_uri()]
        project = make_project(dependencies=["demon"])
    elif kind == "add":
        project = make_project()
        cli.ok("add", url)
    else:
        project = make_project(dependencies=[f"demon @ {url}"])
    cli.ok("lock", *options)
    lock = (project / "pylock.toml").read_text()
    assert url in lock
    assert 'name = "demon-1.0%2B' not in lock
    cli.ok("sync", *options)
    assert distributions(project / ".venv") == ["demon-1.0+cpu"]
    assert "up to date" in cli.ok("sync", *options).err


def test_with_takes_a_wheel_with_an_escaped_local_version(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    url = add_local_version(index, tmp_path)
    make_project()
    command = ("python", "-c", "import demon; print(demon.__version__)")
    assert cli.ok("run", "--with", f"demon @ {url}", *command).out.strip() == "1.0+cpu"
    assert cli.ok("run", "--with", url, *command).out.strip() == "1.0+cpu"


FOREIGN = {
    "pip": '[[packages.wheels]]\nname = "demon-1.0+cpu-py3-none-any.whl"\nurl = "{url}"',
    "no name": '[[packages.wheels]]\nurl = "{url}"',
    "escaped name": f'[[packages.wheels]]\nname = "{ESCAPED}"\nurl = "{{url}}"',
    "direct": '[packages.archive]\nurl = "{url}"',
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_lock_of_another_tool_may_have_an_escaped_local_version(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, kind: str
) -> None:
    url = add_local_version(index, tmp_path)
    project = make_project(dependencies=["demon"])
    sha256 = index.sha256("demon-1.0+cpu-py3-none-any.whl")
    entry = FOREIGN[kind].format(url=url)
    (project / "pylock.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "somebody"\n[[packages]]\nname = "demon"\n'
        f'version = "1.0+cpu"\n{entry}\nhashes = {{ sha256 = "{sha256}" }}\n'
    )
    cli.ok("sync", "--frozen")
    assert distributions(project / ".venv") == ["demon-1.0+cpu"]


def test_lock_that_pip_made_may_have_an_escaped_local_version(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    url = add_local_version(index, tmp_path)
    for requirement in ("demon", f"demon @ {url}"):
        project = make_project(folder="pip-" + str(len(requirement)))
        assert cli.pip("lock", "-q", requirement, cwd=project).status == 0
        cli.ok("sync", "--frozen", cwd=project)
        assert distributions(project / ".venv") == ["demon-1.0+cpu"]


def test_requirements_that_were_pinned_by_url_may_have_an_escaped_local_version(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    url = add_local_version(index, tmp_path)
    sha256 = index.sha256("demon-1.0+cpu-py3-none-any.whl")
    project = make_project()
    (project / "requirements.txt").write_text(f"demon @ {url} \\\n    --hash=sha256:{sha256}\n")
    cli.ok("sync", "-r", "requirements.txt")
    assert distributions(project / ".venv") == ["demon-1.0+cpu"]


def test_error_about_a_wheel_of_a_lock_names_that_lock(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    url = add_local_version(index, tmp_path).replace(ESCAPED, "demon-1.0.whl")
    project = make_project()
    (project / "pylock.cpu.toml").write_text(
        'lock-version = "1.0"\ncreated-by = "somebody"\n[[packages]]\nname = "demon"\n'
        f'version = "1.0"\n[packages.archive]\nurl = "{url}"\nhashes = {{ sha256 = "00" }}\n'
    )
    result = cli.fails("sync", "-r", "pylock.cpu.toml")
    assert "pylock.cpu.toml: demon: Invalid wheel filename" in result.err

"""A remote: what one machine has built, another one takes."""

from __future__ import annotations

import json
import re
import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.pipshim import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


def built(cli: Cli, *args: str) -> dict[str, str]:
    """Sync; return how each build ended."""
    document = json.loads(cli.ok("sync", "--output-format", "json", *args).out)
    return {f"{one['name']} {one['what']}": one["outcome"] for one in document["builds"]}


def built_anew(cli: Cli, *args: str) -> dict[str, str]:
    """Sync without what an earlier sync has left; return how each build ended."""
    for folder in (cli.cwd / ".venv", cli.shim_cache / "builds-v1"):
        shutil.rmtree(folder, ignore_errors=True)
    return built(cli, *args)


@pytest.fixture
def project(index: Index, make_project: MakeProject, tmp_path: Path, remote: Path) -> MakeProject:
    """Make a project with a build against a wheel, and a folder as its remote."""
    for version in ("1.0", "2.0"):
        index.add(wheel(tmp_path, "fakelib", version, tag="native"))
    backend = Backend(imports=("fakelib",), dynamic_requires=("fakelib=={fakelib}",), tag="native")
    index.add(sdist(tmp_path, "needy", "1.0", build_requires=["fakelib"], backend=backend))
    settings = f'[tool.pipshim.remote]\nurl = "{remote}"\n'
    make_project(settings, dependencies=["needy", "fakelib<2"])
    return make_project


@pytest.mark.usefixtures("project")
def test_another_machine_builds_nothing(cli: Cli, other: Cli, remote: Path) -> None:
    assert built(cli, "--push")["needy wheel"] == "built"
    assert len([*remote.glob("v1/records/*/*-wheel-*.json")]) == 1
    (file,) = remote.glob("v1/wheels/*.whl")
    assert built(other) == {"needy wheel": "remote"}
    assert (cli.cwd / "pylock.toml").read_bytes() == (other.cwd / "pylock.toml").read_bytes()
    file.unlink()
    shutil.rmtree(other.cwd / ".venv")
    assert built(other) == {"needy wheel": "cached"}


@pytest.mark.usefixtures("project")
def test_the_summary_says_what_was_saved(cli: Cli, other: Cli, remote: Path) -> None:
    cli.ok("sync", "--push")
    result = other.ok("sync")
    assert re.search(r"^remote +needy 1.0 ", result.err, re.MULTILINE)
    assert re.search(
        r"^2 added in .* s; 1 from the remote, . s of building saved$", result.err, re.MULTILINE
    )
    assert "built on another machine against the same fakelib 1.0" in result.err
    assert not [*(other.temporary).iterdir()]
    assert not [*remote.rglob(".*")]


def test_a_wheel_that_does_not_fit_is_not_taken(
    cli: Cli, other: Cli, project: MakeProject, remote: Path
) -> None:
    cli.ok("sync", "--push")
    project(folder="clone", dependencies=["needy", "fakelib>=2"])
    result = other.ok("sync", "-v", "--remote", remote)
    assert "the remote has another: built against fakelib 1.0, the lock has 2.0" in result.err
    assert not (other.cwd / remote).is_relative_to(other.cwd)
    assert len([*remote.glob("v1/wheels/*")]) == 1  # only with --push


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, "the folder does not exist"),
        (lambda remote: shutil.rmtree(remote / "v1" / "wheels"), "has no wheel"),
        (lambda remote: _write(remote, "wheels/*.whl", b"x"), "is not the file that"),
        (lambda remote: _write(remote, "records/*/*-wheel-*", b"<html>"), "is not valid JSON"),
    ],
    ids=["gone", "without-wheel", "damaged-wheel", "damaged-record"],
)
def test_whatever_fails_is_built_here_after_one_line(
    cli: Cli, other: Cli, remote: Path, damage: Callable[[Path], object], said: str
) -> None:
    cli.ok("sync", "--push")
    damage(remote)
    result = other.ok("sync")
    assert "1 built" in result.err
    assert [said in line for line in result.err.splitlines() if "remote" in line] == [True]


def _write(remote: Path, pattern: str, content: bytes) -> None:
    for path in remote.glob(f"v1/{pattern}"):
        path.write_bytes(content)


@pytest.mark.usefixtures("project")
def test_options_and_variables_decide(cli: Cli, other: Cli, remote: Path) -> None:
    cli.ok("sync", env={"PIPSHIM_REMOTE_PUSH": "always"})
    for args in (["--no-remote"], ["--offline"]):
        other.fails("sync", "--frozen", *args)  # there is no lock yet
    shutil.move(remote, remote.with_name("elsewhere"))
    assert built(other, "--remote", "../elsewhere")["needy wheel"] == "remote"
    shutil.rmtree(other.shim_cache)
    assert built(other, "--no-remote", "--reinstall")["needy wheel"] == "built"
    result = other("sync", env={"PIPSHIM_REMOTE_PUSH": "often"})
    assert result.status == 2
    assert "PIPSHIM_REMOTE_PUSH: 'often' is not one of never, always" in result.err


@pytest.mark.usefixtures("project")
def test_a_dry_run_says_what_would_come_from_the_remote(cli: Cli, other: Cli, remote: Path) -> None:
    assert "would add 2: 1 to build\n" in cli.ok("sync", "--dry-run").err
    cli.ok("sync", "--push")
    assert "would add 2: 1 from the remote\n" in other.ok("sync", "--dry-run").err
    document = json.loads(other.ok("sync", "--dry-run", "--output-format", "json").out)
    assert [one["source"] for one in document["changes"]] == [None, "remote"]
    assert not [*(other.shim_cache / "builds-v1").glob("*/*/wheel-*")]
    other.ok("sync")
    shutil.rmtree(other.cwd / ".venv")
    assert "would add 2: 1 built earlier\n" in other.ok("sync", "--dry-run", "--no-remote").err
    shutil.rmtree(remote)
    shutil.rmtree(other.shim_cache / "builds-v1")
    result = other.ok("sync", "--dry-run")
    assert "the folder does not exist\n" in result.err  # and not: building here
    assert "would add 2: 1 to build\n" in result.err


@pytest.mark.usefixtures("project")
def test_the_lock_does_not_depend_on_the_remote(cli: Cli, remote: Path) -> None:
    cli.ok("lock", "--push")
    assert "up to date" in cli.ok("lock", "--no-remote").err
    text = (cli.cwd / "pyproject.toml").read_text()
    (cli.cwd / "pyproject.toml").write_text(text.replace(str(remote), "s3://other"))
    assert "up to date" in cli.ok("lock").err


def test_what_only_this_machine_has_is_not_shared(
    cli: Cli, project: MakeProject, index: Index, tmp_path: Path, remote: Path
) -> None:
    backend = Backend(dynamic_requires=("x>1",))
    index.add(sdist(tmp_path, "here", "1.0", backend=backend))
    index.add(wheel(tmp_path, "x", "2.0"))
    settings = f'[tool.pipshim.remote]\nurl = "{remote}"\npush = "always"\n'
    settings += '[tool.pipshim.config-settings-package]\nhere = { root = "/opt/x" }\n'
    project(settings, dependencies=["here", "needy", "fakelib<2"])
    options = ["--no-build-isolation-package", "needy"]
    cli.ok("sync", *options, env={"PYTHONPATH": str(tmp_path)})
    assert not [*remote.glob("v1/*/*")]


def test_an_unknown_setting_is_an_error(cli: Cli, make_project: MakeProject) -> None:
    make_project('[tool.pipshim.remote]\nurl = "x"\npush = "often"\n')
    assert "push must be one of never, always, not" in cli.fails("sync").err
    make_project('[tool.pipshim.remote]\nuri = "x"\n')
    assert "unknown key 'uri'" in cli.fails("sync").err


@pytest.mark.usefixtures("project")
def test_a_web_server_is_enough_for_reading(cli: Cli, other: Cli, remote: Path) -> None:
    cli.ok("sync", "--push")
    with folder_served(remote) as url:
        # On a machine that stands still, no server answers in time.
        until(lambda: built_anew(other, "--remote", url) == {"needy wheel": "remote"})
        result = cli.ok("sync", "--remote", url, "--push", "--rebuild", "needy")
    assert "cannot push needy 1.0 to the remote" in result.err
    assert "can only be read" in result.err
    shutil.rmtree(other.shim_cache)
    assert built(other, "--remote", url, "--reinstall")["needy wheel"] == "built"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files without saying so."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def folder_served(folder: Path) -> Iterator[str]:
    """Serve a folder as ``python -m http.server`` does; give its URL."""
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()

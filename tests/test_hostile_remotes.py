"""Remotes that mean harm: each leads to a build here, in bounded time, and one line says why."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, project, sdist, wheel
from tests.support.hostile import (
    Handler,
    Trick,
    content,
    endless,
    only,
    redirected,
    replace_record,
    replace_wheel,
    served,
    shared_record,
    silent,
)
from tests.support.index import Index
from tests.support.pipshim import PATIENCE, Cli

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOW = "did not answer within 3 seconds|no data arrived for 3 seconds|the server stopped answering"
"""What is said of a remote that answers too late, as any does on a machine that stands still."""

TRIES = 5

TAG = "py3-none-any"
RECORD, WHEEL, LIST = r"-wheel-[\w-]+\.json", r"\.whl", r"/v1/records/\w+/"


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory, interpreters: Path) -> Iterator[Path]:
    """Give a folder with a project, and a remote that has its only build."""
    folder = tmp_path_factory.mktemp("pushed")
    with Index() as index:
        index.add(sdist(folder, "native", "1.0", backend=Backend(tag=TAG)))
        project(folder / "project", dependencies=["native"])
        (folder / "index").write_text(index.url_with_credentials)
        machine(folder, folder, interpreters).ok("sync", "--remote", "../remote", "--push")
        yield folder


def machine(folder: Path, pushed: Path, interpreters: Path) -> Cli:
    """Give the command on a machine of its own."""
    made = Cli(folder / "cli", cwd=folder / "project", index_url=(pushed / "index").read_text())
    shutil.copytree(interpreters, made.shim_cache / interpreters.name)
    return made


@pytest.fixture
def remote(tmp_path: Path, pushed: Path) -> Path:
    return Path(shutil.copytree(pushed / "remote", tmp_path / "remote"))


@pytest.fixture
def other(tmp_path: Path, pushed: Path, interpreters: Path) -> Cli:
    clone = tmp_path / "project"
    shutil.copytree(pushed / "project", clone, ignore=shutil.ignore_patterns(".venv"))
    return machine(tmp_path, pushed, interpreters)


def lines_of_build(other: Cli, remote: Path | str, *, is_slow: bool = False) -> list[str]:
    """Sync on the other machine, which has to build; return what it says of the remote.

    Args:
        other: the machine.
        remote: what it asks, and does not wait for.
        is_slow: whether the remote is slow by itself.

    """
    lines: list[str] = []
    for _ in range(TRIES):
        result = other.ok("sync", "--remote", remote, timeout=PATIENCE)
        assert "1 built" in result.err
        lines = [line for line in result.err.splitlines() if line.startswith("warning")]
        if is_slow or not re.search(SLOW, "".join(lines)):
            break
        for folder in (other.cwd / ".venv", other.shim_cache / "builds-v1"):
            shutil.rmtree(folder)
    return lines


LOGIN = b"<html><body><a href='v1/'>Home</a> <a href='help/'>Help</a> Log in</body></html>"


def missing(handler: Handler) -> bool:
    """Answer with a page, and status 200, what there is not."""
    if Path(handler.translate_path(handler.path)).exists() and not re.search(LIST, handler.path):
        return False
    return handler.send(LOGIN)


def to_log_in(handler: Handler) -> bool:
    """Send those who have not logged in to a page."""
    if handler.headers["Authorization"] == "Basic dXNlcjp3b3Jk":  # user:word
        return False
    if handler.path.startswith("/login"):
        return handler.send(LOGIN)
    handler.send_response(302)
    handler.send_header("Location", f"/login?next={handler.path}")
    handler.send_header("Content-Length", "0")
    handler.end_headers()
    return True


SERVERS: dict[str, tuple[Trick, str]] = {
    "a page for records": (only(RECORD, content(LOGIN)), "a web page instead of records"),
    "a page for wheels": (only(WHEEL, content(LOGIN)), "a web page instead of records"),
    "a page for lists": (only("/$", content(LOGIN)), "a web page instead of records"),
    "a page for missing folders": (missing, ""),
    "an endless list": (only(LIST, endless(b"<a href='x'>x</a>" * 4096)), "is too long"),
    "an endless record": (only(RECORD, endless(b"[" * 65536)), "is invalid: it is too large"),
    "an endless wheel": (only(WHEEL, endless(b"\0" * 65536)), "it is longer than its record says"),
    "a slow list": (only(LIST, endless(b"x", 0.5)), SLOW),
    "a slow record": (only(RECORD, endless(b" ", 0.5)), SLOW),
    "a slow wheel": (only(WHEEL, endless(b"\0", 0.5)), SLOW),
    "no answer": (silent, SLOW),
    "no wheel": (only(WHEEL, silent), SLOW),
    "a redirect loop": (redirected, "redirects"),
    "a redirect loop for wheels": (only(WHEEL, redirected), "redirects"),
    "deep JSON": (only(RECORD, content(b"[" * 500_000)), "is invalid: it is not valid JSON"),
    "giant numbers": (
        only(RECORD, content(b'{"schema": ' + b"9" * 900_000 + b"}")),
        "is invalid: it is not valid JSON",
    ),
    "a list that is hard to read": (only(LIST, content(b"<" * (8 << 20))), ""),
    "a list with paths": (
        only(
            LIST,
            content(
                b"<a href='../../../etc/passwd'>x</a><a href='%2e%2e%2f%2e%2e%2fx'>x</a>"
                b"<a href='/etc/passwd'>x</a><a href='//other/x'>x</a><a href='file:///x'>x</a>"
                b"<a href='cpython-3.11-linux-x86_64-wheel-../x.json'>x</a><a href='%00'>x</a>"
                b"<a href='//[x'>x</a>"
            ),
        ),
        "",
    ),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_server(other: Cli, remote: Path, name: str) -> None:
    trick, said = SERVERS[name]
    with served(remote, trick) as url:
        lines = lines_of_build(other, url, is_slow=said == SLOW)
    assert [bool(re.search(said, line)) for line in lines] == ([True] if said else []), lines


@pytest.mark.parametrize("trick", [content(LOGIN), to_log_in], ids=["page", "redirect"])
def test_a_page_to_log_in(other: Cli, remote: Path, trick: Trick) -> None:
    with served(remote, trick) as url:
        result = other.ok("sync", "--remote", url)
        assert "1 built" in result.err
        assert result.err.count("warning") == 1
        assert (
            f"warning: cannot use the remote {url}: the server answers with a web page"
            in result.err
        )
        hint = "machine 127.0.0.1 login USER password PASSWORD"
        assert result.err.count(f"add this line to ~/.netrc: {hint}\n") == 1
        assert hint in other.fails("builds", "list", "--remote", "--remote-url", url).err
        with_user = url.replace("//", "//user:wrong@")
        asked = other.fails("builds", "list", "--remote", "--remote-url", with_user).err
        assert "check its URL, and the user and password in it" in asked
        assert "wrong" not in asked


def test_the_line_that_logs_in(other: Cli, remote: Path) -> None:
    netrc = other.home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login user password word\n")
    netrc.chmod(0o600)
    with served(remote, to_log_in) as url:
        result = other.ok("sync", "--remote", url)
    assert "1 from the remote" in result.err
    assert "warning" not in result.err


def test_a_server_with_a_million_records(other: Cli, remote: Path) -> None:
    prefix = shared_record(remote)[0].name.rpartition("-")[0]
    links = b"".join(
        b"<a href='%s-%032x.json'>x</a>\n" % (prefix.encode(), number) for number in range(100_000)
    )
    asked = []

    def record(handler: object) -> bool:
        asked.append(handler)
        return False

    with served(
        remote, lambda one: only(LIST, content(links))(one) or only(RECORD, record)(one)
    ) as url:
        lines_of_build(other, url)
    assert len(asked) <= 64


def other_wheel(folder: Path, name: str = "native", version: str = "1.0", **more: object) -> Path:
    (folder / "wheels").mkdir()
    return wheel(folder / "wheels", name, version, **more)  # type: ignore[arg-type]


WHEELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "another package": (lambda folder: other_wheel(folder, "evil"), "evil"),
    "another version": (lambda folder: other_wheel(folder, version="2.0"), "it is version 2.0"),
    "other tags": (
        lambda folder: other_wheel(folder, tag="py3-none-win32"),
        "it is for other tags",
    ),
    "other requirements": (
        lambda folder: other_wheel(folder, requires=["evil"]),
        "its record does not say what it requires",
    ),
    "a file outside": (
        lambda folder: other_wheel(folder, files={"../../../outside.py": ""}),
        "outside",
    ),
    "a false RECORD": (
        lambda folder: other_wheel(folder, record=f"native/__init__.py,sha256={'x' * 43},9\n"),
        "native/__init__.py",
    ),
}


@pytest.mark.parametrize("name", WHEELS)
def test_a_wheel_that_contradicts_its_record(
    other: Cli, remote: Path, tmp_path: Path, name: str
) -> None:
    make, said = WHEELS[name]
    replace_wheel(remote, make(tmp_path))
    (line,) = lines_of_build(other, remote)
    assert said in line
    assert not [*tmp_path.rglob("outside.py")]


def test_a_record_that_lies_of_a_wheel_that_is_here_does_not_remove_it(
    other: Cli, remote: Path
) -> None:
    sha256 = shared_record(remote)[1].wheel.sha256
    other.ok("sync", "--remote", remote)
    (tree,) = other.shim_cache.glob(f"trees-*/*/{sha256}")
    shutil.rmtree(other.shim_cache / "builds-v1")
    replace_wheel(remote, requires=("evil",))
    result = other.ok("cache", "store", "pull", "native", "--remote-url", remote)
    assert "pulled 0 wheels" in result.out
    assert "its record does not say what it requires" in result.err
    assert tree.is_dir()


def test_a_zip_bomb(other: Cli, remote: Path, tmp_path: Path) -> None:
    bomb = other_wheel(tmp_path)
    with zipfile.ZipFile(bomb, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(8):
            archive.writestr(f"native/{number}.bin", bytes(64 << 20))
    replace_wheel(remote, bomb)
    (line,) = lines_of_build(other, remote)
    assert "when unpacked" in line


def test_a_record_in_the_place_of_another(other: Cli, remote: Path) -> None:
    path, known = shared_record(remote)
    data = json.loads(known.to_bytes())
    data["record"]["source"] = "0" * 64
    path.write_text(json.dumps(data))
    (line,) = lines_of_build(other, remote)
    assert "is not the file that its name says" in line


def test_a_remote_with_many_faults_is_not_asked_for_long(other: Cli, remote: Path) -> None:
    path, known = shared_record(remote)
    replace_record(remote, seconds=1.5)
    for number in range(50):
        name = f"{path.name.rpartition('-')[0]}-{number:032x}.json"
        (path.parent / name).write_bytes(known.to_bytes())
    lines = lines_of_build(other, remote)
    assert len(lines) <= 4
    assert lines[-1].endswith("it is not asked again")

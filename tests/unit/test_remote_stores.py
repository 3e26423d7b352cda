"""The files of a remote: a folder, a web server, fsspec."""

from __future__ import annotations

import errno
import socket
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from optparse import Values
from typing import TYPE_CHECKING, Any

import pytest

from pipshim._pip.session import session_without_cache
from pipshim.base.masking import Mask
from pipshim.remote.address import absolute, open_store
from pipshim.remote.file_store import FileMissingError, RemoteError, within
from pipshim.remote.http_store import HttpStore, names_in
from pipshim.remote.transfer import Pace
from tests.support.pipshim import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipshim.remote.file_store import FileStore

FOLDER = f"v1/records/{'ab' * 32}"
SECONDS = 120.0


def no_session() -> Any:
    raise AssertionError


def session() -> Any:
    values = {"deprecated_features_enabled": [], "trusted_hosts": [], "retries": 5, "timeout": 15}
    values |= {"resume_retries": 0, "cache_dir": None, "no_input": True, "no_proxy_env": False}
    values |= dict.fromkeys(("cert", "client_cert", "proxy", "keyring_provider"))
    return session_without_cache(Values(values | {"keyring_provider": "disabled"}), Mask())


@pytest.fixture(params=["folder", "file", "memory"])
def writable(request: pytest.FixtureRequest, tmp_path: Path) -> FileStore:
    root = tmp_path / "remote"
    if request.param == "memory":
        pytest.importorskip("fsspec")
    addresses = {"folder": str(root), "file": root.as_uri(), "memory": f"memory://{tmp_path}"}
    return open_store(addresses[request.param], no_session, may_be_missing=True)


def test_files_are_created_once(writable: FileStore, tmp_path: Path) -> None:
    wheel, into = tmp_path / "wheel", tmp_path / "into"
    wheel.write_bytes(b"wheel" * 1000)
    assert writable.names(FOLDER, "", SECONDS) == []
    assert writable.create(f"{FOLDER}/one.json", b"one", SECONDS)
    assert not writable.create(f"{FOLDER}/one.json", b"other", SECONDS)
    assert writable.create(f"{FOLDER}/two.json", b"two", SECONDS)
    assert writable.upload("v1/wheels/x.whl", wheel, SECONDS)
    assert not writable.upload("v1/wheels/x.whl", into, SECONDS)
    assert writable.read(f"{FOLDER}/one.json", 100, SECONDS) == b"one"
    assert writable.read("v1/wheels/x.whl", 7, SECONDS) == b"wheelwhe"
    assert [one.name for one in writable.names(FOLDER, "o", SECONDS)] == ["one.json"]
    writable.fetch("v1/wheels/x.whl", into, 5000, threading.Event())
    assert into.read_bytes() == wheel.read_bytes()
    found = {one.name: one for one in writable.walk("v1")}
    assert found.keys() == {f"{FOLDER[3:]}/one.json", f"{FOLDER[3:]}/two.json", "wheels/x.whl"}
    assert found["wheels/x.whl"].size == 5000
    assert found["wheels/x.whl"].time == pytest.approx(time.time(), abs=60)
    writable.remove(f"{FOLDER}/one.json")
    writable.remove(f"{FOLDER}/one.json")
    with pytest.raises(FileMissingError):
        writable.read(f"{FOLDER}/one.json", 100, SECONDS)
    with pytest.raises(FileMissingError):
        writable.fetch(f"{FOLDER}/one.json", into, 100, threading.Event())


def test_a_file_that_is_too_long_is_not_fetched(writable: FileStore, tmp_path: Path) -> None:
    writable.create("v1/wheels/x.whl", b"wheel" * 1000, SECONDS)
    with pytest.raises(RemoteError, match="longer than its record says"):
        writable.fetch("v1/wheels/x.whl", tmp_path / "into", 100, threading.Event())


@pytest.mark.parametrize("kind", ["", "file://", "memory://"])
def test_a_remote_that_does_not_exist_is_said(tmp_path: Path, kind: str) -> None:
    if kind == "memory://":
        pytest.importorskip("fsspec")
    store = open_store(f"{kind}{tmp_path}/nowhere", no_session)
    with pytest.raises(RemoteError, match="does not exist"):
        store.names(FOLDER, "", SECONDS)


def test_a_folder_without_hard_links_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    store = open_store(str(tmp_path / "remote"), no_session, may_be_missing=True)
    assert store.create("v1/one", b"one", SECONDS)
    assert not store.create("v1/one", b"other", SECONDS)
    assert [path.name for path in (tmp_path / "remote" / "v1").iterdir()] == ["one"]


def test_another_error_of_a_folder_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.link", refuse)
    store = open_store(str(tmp_path / "remote"), no_session, may_be_missing=True)
    with pytest.raises(RemoteError):
        store.create("v1/one", b"one", SECONDS)
    assert not [*(tmp_path / "remote" / "v1").iterdir()]


@pytest.mark.parametrize(
    ("error", "is_written"),
    [
        (OSError(errno.ENOSYS, "A header implies functionality that is not implemented"), True),
        (NotImplementedError("mode"), True),
        (TypeError("unexpected keyword argument 'mode'"), True),
        (PermissionError("Access Denied"), False),
        (ConnectionError("reset by peer"), False),
    ],
)
def test_a_file_is_only_written_plainly_where_it_cannot_be_created_exclusively(
    monkeypatch: pytest.MonkeyPatch, error: Exception, is_written: bool
) -> None:
    core = pytest.importorskip("fsspec.core")
    base: Any = pytest.importorskip("fsspec.asyn").AsyncFileSystem
    files: dict[str, bytes] = {}

    class Fake(base):  # type: ignore[misc]
        async def _pipe_file(self, path: str, value: bytes, mode: str = "") -> None:
            if mode == "create":
                raise error
            files[path] = value

        async def _info(self, path: str, **_: object) -> dict[str, object]:
            if path not in files:
                raise FileNotFoundError(path)
            return {"name": path}

    monkeypatch.setattr(core, "url_to_fs", lambda *_, **__: (Fake(), "x"))
    store = open_store("fake://x", no_session)
    if is_written:
        assert store.create("one", b"one", SECONDS)
    else:
        with pytest.raises(RemoteError):
            store.create("one", b"one", SECONDS)
    files["x/one"] = b"other"
    assert not store.create("one", b"one", SECONDS)
    assert files == {"x/one": b"other"}


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, and what a bad server would answer."""

    end: threading.Event

    def do_GET(self) -> None:
        kind = self.path.rpartition("/")[2]
        if kind == "silent":
            self.end.wait(PATIENCE)
        elif kind in ("endless", "slow"):
            self.send_response(200)
            self.end_headers()
            piece, pause = (b"x" * 65536, 0.0) if kind == "endless" else (b"x", 0.2)
            while not self.end.wait(pause):
                try:
                    self.wfile.write(piece)
                    self.wfile.flush()
                except OSError:
                    return
        elif kind == "broken":
            self.send_error(500)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[HttpStore]:
    (tmp_path / "remote").mkdir()
    Handler.end = threading.Event()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "remote"))
    )
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    store = open_store(f"http://127.0.0.1:{server.server_port}", session)
    assert isinstance(store, HttpStore)
    yield store
    Handler.end.set()
    server.shutdown()
    server.server_close()


def test_a_web_server_is_read(served: HttpStore, tmp_path: Path) -> None:
    into = tmp_path / "into"
    other = open_store(str(tmp_path / "remote"), no_session)
    other.create(f"{FOLDER}/one+two%20.json", b"one", SECONDS)
    other.create("v1/wheels/x.whl", b"wheel", SECONDS)
    assert [one.name for one in served.names(FOLDER, "one", SECONDS)] == ["one+two%20.json"]
    assert served.names(FOLDER, "two", SECONDS) == []
    assert served.names("v1/records/nowhere", "", SECONDS) == []
    assert served.read("v1/wheels/x.whl", 3, SECONDS)[:4] == b"whee"
    served.fetch("v1/wheels/x.whl", into, 5, threading.Event())
    assert into.read_bytes() == b"wheel"
    names = [one.name for one in served.walk("v1")]
    assert sorted(names) == [f"{FOLDER[3:]}/one+two%20.json", "wheels/x.whl"]
    with pytest.raises(FileMissingError):
        served.read(f"{FOLDER}/none.json", 100, SECONDS)
    for write in (partial(served.create, "x", b""), partial(served.upload, "x", into)):
        with pytest.raises(RemoteError, match="only be read"):
            write(SECONDS)


@pytest.mark.parametrize("kind", ["silent", "slow"])
def test_a_server_that_is_slow_is_given_up_on(served: HttpStore, kind: str) -> None:
    # The server is silent for longer than requests wait, too.
    with pytest.raises(RemoteError, match=r"did not answer within 1 second|stopped answering"):
        served.read(kind, 1 << 20, 1.0)


def test_no_more_is_read_than_was_asked_for(served: HttpStore, tmp_path: Path) -> None:
    assert len(served.read("endless", 1000, SECONDS)) < 200_000
    with pytest.raises(RemoteError, match="longer than its record says"):
        served.fetch("endless", tmp_path / "into", 100_000, threading.Event())
    assert (tmp_path / "into").stat().st_size <= 200_000


def test_what_a_server_answers_is_said(served: HttpStore) -> None:
    with pytest.raises(RemoteError, match="500 Internal Server Error"):
        served.read("broken", 10, SECONDS)
    with socket.socket() as taken:  # nobody listens there
        taken.bind(("127.0.0.1", 0))
        nobody = open_store(f"http://127.0.0.1:{taken.getsockname()[1]}", session)
        with pytest.raises(RemoteError, match="Connection refused"):
            nobody.names(FOLDER, "", SECONDS)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ('<a href="../">../</a><a href="a.json">a.j..&gt;</a> 12-Oct 10', ["a.json"]),
        ('<a href="?C=N;O=D">Name</a><a href="/v1/">Parent</a><a href="x/">x</a>', ["x/"]),
        ('<A HREF="a%2Bb.json">a</A><a href="./c.json"><a href="#top">', ["a+b.json", "c.json"]),
        ('<a href="/v1/f/a.json">a</a><a href="http://h/v1/f/b.json">', ["a.json", "b.json"]),
        ('<a href="http://other/v1/f/a.json"><a href="%2e%2e/x"><a href="a/b">', []),
        ("<html><form action='/login'>", []),
    ],
)
def test_the_pages_of_servers_are_understood(page: str, names: list[str]) -> None:
    assert names_in(page, "http://h/v1/f/") == names


def test_a_path_is_relative_to_a_folder(tmp_path: Path) -> None:
    assert absolute("wheels", tmp_path) == f"{tmp_path}/wheels"
    assert absolute("/srv/wheels", tmp_path) == "/srv/wheels"
    assert absolute("s3://bucket/x", tmp_path) == "s3://bucket/x"


def test_an_unknown_kind_of_url_is_said() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(RemoteError, match="nosuch"):
        open_store("nosuch://x", no_session)


def test_a_damaged_url_and_a_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match="invalid URL"):
        open_store("http://[bad/", no_session)
    (tmp_path / "file").touch()
    with pytest.raises(RemoteError, match="it is not a folder"):
        open_store(str(tmp_path / "file"), no_session).names(FOLDER, "", SECONDS)


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    core = pytest.importorskip("fsspec.core")

    def fail(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(core, "url_to_fs", fail)
    with pytest.raises(RemoteError, match=r"^Install s3fs to access S3: pip install 'pipshim\["):
        open_store("s3://team/wheels", no_session)


def test_work_that_takes_too_long_is_left_alone() -> None:
    end = threading.Event()
    assert within(SECONDS, lambda: 3) == 3
    with pytest.raises(RemoteError, match="did not answer within 0 seconds"):
        within(0.1, lambda: end.wait(SECONDS))
    end.set()
    with pytest.raises(KeyError):
        within(SECONDS, lambda: {"x": 1}["y"])


def test_a_wheel_is_waited_for_while_that_is_faster_than_building() -> None:
    pace = Pace(1_000_000, 100.0, now=0.0)
    assert pace.why_not(0, 2.9) is None
    assert pace.why_not(100_000, 3.1) is None  # 31 s in all
    assert pace.why_not(100_000, 6.3) == "no data arrived for 3 seconds"
    assert Pace(1_000_000, 100.0, 0.0).why_not(10_000, 3.1) is not None  # 310 s in all
    assert Pace(1_000_000, 100.0, 0.0).why_not(1_000_001, 0.1) is not None
    assert Pace(1_000_000, 0.1, 0.0).why_not(900_000, 3.1) is None  # never less than 10 s

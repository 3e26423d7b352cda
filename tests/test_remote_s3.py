"""A remote in S3: a real client, and moto's server in the place of Amazon's."""

from __future__ import annotations

import os
import shutil
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.remote.address import open_store
from pipshim.remote.file_store import FileMissingError, RemoteError
from tests.support.dists import Backend, sdist

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

pytestmark = [
    pytest.mark.engines,
    # of moto, botocore and their clients
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
FOLDER = f"v1/records/{'ab' * 32}"
SECONDS = 30.0


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the URL of an empty bucket."""
    server: Any = import_module("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import_module("boto3").client("s3").create_bucket(Bucket="team")
    yield "s3://team/wheels"
    server.stop()


def no_session() -> Any:
    raise AssertionError


def test_files_are_created_exclusively(bucket: str, tmp_path: Path) -> None:
    store = open_store(bucket, no_session)
    wheel, into = tmp_path / "x.whl", tmp_path / "into"
    wheel.write_bytes(b"wheel" * 3_000_000)
    assert store.names(FOLDER, "a", SECONDS) == []
    assert store.create(f"{FOLDER}/a.json", b"one", SECONDS)
    assert not store.create(f"{FOLDER}/a.json", b"other", SECONDS)
    assert store.read(f"{FOLDER}/a.json", 100, SECONDS) == b"one"
    assert store.read(f"{FOLDER}/a.json", 1, SECONDS) == b"on"
    assert store.upload("v1/wheels/x.whl", wheel, SECONDS)
    assert not store.upload("v1/wheels/x.whl", wheel, SECONDS)
    store.fetch("v1/wheels/x.whl", into, wheel.stat().st_size, threading.Event())
    assert into.read_bytes() == wheel.read_bytes()
    assert [one.name for one in store.names(FOLDER, "a", SECONDS)] == ["a.json"]
    assert sorted(one.name for one in store.walk("v1")) == [
        f"records/{'ab' * 32}/a.json",
        "wheels/x.whl",
    ]
    store.remove(f"{FOLDER}/a.json")
    with pytest.raises(FileMissingError):
        store.read(f"{FOLDER}/a.json", 100, SECONDS)


def test_what_exists_is_not_written_by_who_did_not_look(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server refuses (If-None-Match), whatever the client knew before."""
    store = open_store(bucket, no_session)
    store.create(f"{FOLDER}/a.json", b"one", SECONDS)
    asked: list[str] = []
    call = type(store)._call  # type: ignore[attr-defined]

    def noted(self: Any, method: str, *args: Any, **more: Any) -> Any:
        asked.append(method)
        return call(self, method, *args, **more)

    monkeypatch.setattr(type(store), "_call", noted)
    assert not store.create(f"{FOLDER}/a.json", b"other", SECONDS)
    assert asked == ["pipe_file", "exists"]
    assert store.read(f"{FOLDER}/a.json", 100, SECONDS) == b"one"


def test_a_bucket_that_does_not_exist_is_said(bucket: str) -> None:
    store = open_store(bucket.replace("team", "nobody"), no_session)
    with pytest.raises(RemoteError, match="does not exist"):
        store.names(FOLDER, "a", SECONDS)


def test_another_machine_builds_nothing(
    cli: Cli, index: Index, make_project: MakeProject, bucket: str, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "native", "1.0", backend=Backend(tag="native")))
    make_project(f'[tool.pipshim.remote]\nurl = "{bucket}"\n', dependencies=["native"])
    aws = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    cli.ok("sync", "--push", env=aws)
    assert cli.ok("builds", "list", "--remote", env=aws).out.startswith("native 1.0")
    for folder in (cli.cwd / ".venv", cli.shim_cache, cli.cache):
        shutil.rmtree(folder, ignore_errors=True)
    assert "1 from the remote" in cli.ok("sync", env=aws).err
    pruned = cli.ok("cache", "store", "prune", "--remote", "--max-size", "0.01KB", env=aws)
    assert pruned.out.startswith("removed 1 record, 1 wheel")

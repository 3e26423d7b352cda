"""What fetching a wheel needs of pip."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, cast

from packaging.pylock import Package, PackageWheel
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.store.fetcher import Fetcher
from pipshim.store.store import Store
from tests.support.dists import wheel

if TYPE_CHECKING:
    from pathlib import Path


class PipWithoutSession:
    """Has nothing that could reach an index."""

    @property
    def downloader(self) -> object:
        raise AssertionError("a session is made")


def test_a_wheel_in_a_folder_needs_no_session(tmp_path: Path) -> None:
    path = wheel(tmp_path, "app", "1.0")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    artifact = PackageWheel(name=path.name, path=path.name, hashes={"sha256": sha256})
    package = Package(name=canonicalize_name("app"), version=Version("1.0"), wheels=[artifact])
    fetcher = Fetcher(cast("Any", PipWithoutSession()), Store(tmp_path / "store"), tmp_path)
    assert fetcher.wheel(package, artifact).version == "1.0"

"""What is fetched ahead of the resolver, of one target and of the next one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.resolver_prefetch import PackageLookup, Prefetch
from tests.support.pipshim import until

if TYPE_CHECKING:
    from collections.abc import Mapping

FILES = {
    "root": ("root-1-py3-none-any.whl", ["Requires-Dist: native", "Requires-Dist: torch"]),
    "native": ("native-1-cp311-cp311-linux.whl", ["Requires-Dist: leaf"]),
    "leaf": ("leaf-1-py3-none-any.whl", ["Requires-Dist: colour; sys_platform == 'win32'"]),
    "colour": ("colour-1-py3-none-any.whl", []),
    "torch": ("torch-1-py3-none-any.whl", []),
}


class Finder:
    """Looks up the files above, and notes which packages it was asked for."""

    def __init__(self, routes: Mapping[str, str]) -> None:
        self.asked: list[str] = []
        self._routes = routes

    def needs_page(self, name: NormalizedName, specifier: str) -> bool:
        del name, specifier
        return True

    def fetch_pages(self, name: NormalizedName) -> bool:
        del name
        return True

    def best_of(self, name: NormalizedName, specifier: str) -> object:
        del specifier
        self.asked.append(name)
        return FILES[name]

    def route_of(self, name: NormalizedName) -> str | None:
        return self._routes.get(name)


class Fetcher:
    """Has the files above."""

    def __init__(self) -> None:
        self.followed: dict[tuple[str | None, PackageLookup], bytes] = {}

    def in_advance(self, file: object) -> bytes:
        assert isinstance(file, tuple)
        return "\n".join(file[1]).encode()

    def is_for_any_target(self, file: object) -> bool:
        assert isinstance(file, tuple)
        return "-none-any" in file[0]

    def has_page(self, url: str) -> bool:
        del url
        return True


def looked_up(
    fetcher: Fetcher, platform: str, routes: Mapping[str, str], expected: int
) -> set[str]:
    """Fetch ahead for a platform; give the packages whose files were looked up."""
    ahead = Prefetch(fetcher, {"sys_platform": platform})
    ahead.finder = finder = Finder(routes)
    ahead.want([PackageLookup(canonicalize_name("root"))])
    ahead.begin()
    until(lambda: len(finder.asked) >= expected)
    time.sleep(0.05)  # what is not expected would have been looked up by then
    ahead.rest()
    assert len(finder.asked) == len(set(finder.asked))
    return set(finder.asked)


def test_of_what_another_target_has_fetched_only_files_for_that_target_are_looked_up() -> None:
    fetcher = Fetcher()
    assert looked_up(fetcher, "linux", {}, 4) == {"root", "native", "leaf", "torch"}
    assert looked_up(fetcher, "win32", {}, 2) == {"native", "colour"}


def test_a_package_from_another_index_is_looked_up_there() -> None:
    fetcher = Fetcher()
    assert "torch" in looked_up(fetcher, "linux", {"torch": "https://cpu"}, 4)
    assert looked_up(fetcher, "linux", {"torch": "https://cpu"}, 1) == {"native"}
    assert looked_up(fetcher, "linux", {"torch": "https://cu128"}, 2) == {"native", "torch"}

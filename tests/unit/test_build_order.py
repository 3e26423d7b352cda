"""Which build begins first: the longest one, with what waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import NormalizedName

from pipshim.builds.build_planner import estimated_seconds
from pipshim.model.build_order import longest_first

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def order(seconds: Mapping[str, float], waits_for: Mapping[str, Sequence[str]]) -> list[str]:
    return [
        str(name)
        for name in longest_first(
            {NormalizedName(name): value for name, value in seconds.items()},
            {NormalizedName(name): list(map(NormalizedName, w)) for name, w in waits_for.items()},
        )
    ]


def test_the_longest_build_begins_first_and_equal_ones_keep_their_order() -> None:
    assert order({"a": 1, "b": 5, "c": 5, "d": 9}, {}) == ["d", "b", "c", "a"]


def test_what_others_wait_for_counts_with_the_longest_of_them() -> None:
    seconds = {"long": 8, "base": 1, "middle": 2, "last": 7, "short": 1}
    waits = {"middle": ["base"], "last": ["middle"], "short": ["base", "not built"]}
    assert order(seconds, waits) == ["base", "middle", "long", "last", "short"]


def test_a_build_that_was_never_done_is_estimated_by_size_and_language(tmp_path: Path) -> None:
    def estimate(name: str, size: int) -> float:
        folder = tmp_path / name.replace("/", "-")
        file = folder / name
        file.parent.mkdir(parents=True)
        file.write_bytes(b"x" * size)
        return estimated_seconds(folder)

    pure = estimate("a.py", 900_000)
    assert pure == estimate("tests/b.cpp", 900_000)
    assert pure < estimate("c.c", 50_000) < estimate("d.c", 90_000) < estimate("e.cpp", 90_000)
    assert estimate("f.cpp", 90_000) == estimate("src/F.CC", 90_000) < estimate("g.cu", 90_000)
    assert estimated_seconds(tmp_path / "absent") == pure

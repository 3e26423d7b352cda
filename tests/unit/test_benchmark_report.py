"""The arithmetic of the benchmarks' tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks import report
from benchmarks.measure import Sample
from benchmarks.serve import older, read
from benchmarks.speed import (
    Outcome,
    growth_table,
    load,
    memory_table,
    multiples_table,
    save,
    times_table,
)
from benchmarks.workloads import WORKLOADS, Workload
from tests.support.dists import wheel

if TYPE_CHECKING:
    from pathlib import Path


def walls(*seconds: float) -> list[Sample]:
    return [Sample(wall, wall * 2, int(wall * 2**20)) for wall in seconds]


def workload(name: str) -> Workload:
    return next(one for one in WORKLOADS if one.name == name)


def test_the_median_is_the_middle_and_an_outlier_does_not_move_it() -> None:
    assert report.median([3, 1, 100]) == 3
    assert report.median([1, 3]) == 2
    assert report.median([]) is None


def test_a_ratio_with_something_missing_is_missing() -> None:
    assert report.ratio(3, 2) == 1.5
    assert report.ratio(None, 2) is None
    assert report.ratio(3, None) is None


@pytest.mark.parametrize("power", [0, 0.5, 1, 1.1, 2])
def test_the_exponent_is_the_power_by_which_time_grows(power: float) -> None:
    points = {size: 0.3 * size**power for size in (50, 200, 800)}
    assert report.exponent(points) == pytest.approx(power)


def test_one_size_has_no_exponent() -> None:
    assert report.exponent({50: 1.0}) is None
    assert report.exponent({}) is None


def test_every_round_begins_with_another_tool_and_has_all() -> None:
    names = ["a", "b", "c"]
    rounds = [report.rotated(names, number) for number in range(4)]
    assert rounds == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]
    assert report.rotated([], 1) == []


def test_times_are_written_as_people_say_them() -> None:
    told = [report.seconds(value) for value in (None, 0.0141, 1.234, 75.6)]
    assert told == ["-", "14 ms", "1.23 s", "76 s"]


def test_a_table_is_aligned_and_numbers_stand_right() -> None:
    assert report.table(["what", "pip"], [["a", "10 ms"], ["longer", "-"]]) == (
        "| what   |   pip |\n|--------|------:|\n| a      | 10 ms |\n| longer |     - |"
    )


def cells(table: str) -> list[str]:
    return [cell.strip() for cell in table.splitlines()[-1].split("|")][1:-1]


def test_times_and_multiples_are_those_of_the_medians() -> None:
    outcome = Outcome({"pipshim": walls(2, 3, 9), "uv": walls(1, 2, 2), "pip": walls(30)})
    outcome.limits = {"cp -al": walls(0.5), "bare": walls(0.1)}
    seen, tools = {workload("sync-warm"): outcome}, ["pipshim", "uv", "pip"]
    assert cells(times_table(seen, tools))[1:] == [
        "cp -al: 500 ms (1.00 s), bare: 100 ms (200 ms)",
        "3.00 s (6.00 s)",
        "2.00 s (4.00 s)",
        "30.00 s (60 s)",
        "6.00, 30.00",
    ]
    assert cells(multiples_table(seen, tools))[1:] == ["3", "1.50 (1.50)", "15.00 (15.00)"]


def test_a_tool_that_cannot_has_a_dash_and_one_that_failed_says_so() -> None:
    seen = {workload("noop-run"): Outcome({"pipshim": walls(1)}, failed={"uv"})}
    tools = ["pipshim", "uv", "pip"]
    assert cells(times_table(seen, tools))[2:] == ["1.00 s (2.00 s)", "fails", "-", "-"]
    assert cells(multiples_table(seen, tools))[1:] == ["1", "-", "-"]


def test_runs_of_an_earlier_call_are_kept(tmp_path: Path) -> None:
    outcome = Outcome({"uv": walls(1, 2)}, {"pdm"}, {"cp -al": walls(3)})
    save({workload("sync-warm"): outcome}, tmp_path / "runs.json")
    assert load(tmp_path / "runs.json") == {workload("sync-warm"): outcome}
    assert load(tmp_path / "none.json") == {}


def test_growth_is_told_for_each_tool_from_the_smallest_to_the_largest() -> None:
    seen = {
        workload(f"growth-sync-{size}"): Outcome({"pipshim": walls(size), "uv": walls(2)})
        for size in (50, 200, 800)
    }
    text = growth_table(seen, ["pipshim", "uv", "pip"])
    assert cells(text) == ["sync, 50 to 800", "1.00", "0.00", "-"]


def test_memory_is_the_highest_peak_of_all_runs() -> None:
    seen = {workload("memory-lock"): Outcome({"pipshim": walls(100, 120)})}
    assert "120 MB" in memory_table(seen, ["pipshim"])
    assert times_table(seen, ["pipshim"]) == ""


def test_invented_versions_are_older_than_every_real_one(tmp_path: Path) -> None:
    project, entry = read(wheel(tmp_path, "made", "0.0.1"))
    invented = older(project, [entry], 20)
    assert len(invented) == 40
    assert all(one.version.startswith("0.0.0.") for one in invented)
    assert not {one.name for one in invented} & {entry.name}

"""The history of builds: bounded, appended to by several processes, read for estimates."""

from __future__ import annotations

import json
import subprocess
import sys
from math import inf
from typing import TYPE_CHECKING

import pytest

from pipshim.base.cache_folders import HISTORY
from pipshim.builds.build_history import BuildHistory
from pipshim.model.past_build import PastBuild, last_success, trimmed

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.model.past_build import Outcome


def build(
    name: str = "lib", version: str = "1.0", seconds: float = 1.0, outcome: Outcome = "built"
) -> PastBuild:
    return PastBuild(
        name, version, "wheel", "isolated", "cpython 3.12", outcome, 100.0, seconds, 0.9, 1000, 4
    )


def test_builds_are_read_in_the_order_in_which_they_ended(tmp_path: Path) -> None:
    history = BuildHistory(tmp_path)
    assert history.builds() == []
    history.add(build("one"))
    history.add(build("two"))
    assert BuildHistory(tmp_path).builds() == [build("one"), build("two")]


def test_a_line_that_was_not_written_to_its_end_is_left_out(tmp_path: Path) -> None:
    history = BuildHistory(tmp_path)
    history.add(build("one"))
    with (tmp_path / HISTORY).open("a") as file:
        file.write('{"name": "killed", "vers')
    history.add(build("two"))
    assert [one.name for one in history.builds()] == ["one", "two"]


def test_what_other_versions_have_written_is_read_or_left_out(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_text(
        '{"name": "few"}\n[1]\n{"name": "odd", "version": "1", "what": "wheel", "mode": "m", '
        '"python": "p", "outcome": "built", "started": "noon", "seconds": 1}\n'
        '{"name": "more", "version": "1", "what": "wheel", "mode": "m", "python": "p", '
        '"outcome": "built", "started": 1, "seconds": 2, "new": true}\n'
    )
    assert [one.name for one in BuildHistory(tmp_path).builds()] == ["more"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("outcome", "evicted"), ("log", ["x"]), ("name", 5), ("started", inf), ("processes", "two")],
)
def test_values_of_another_kind_are_left_out(tmp_path: Path, key: str, value: object) -> None:
    lines = [{**build("odd").to_json(), key: value}, build("good").to_json()]
    (tmp_path / HISTORY).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert [one.name for one in BuildHistory(tmp_path).builds()] == ["good"]


def test_processes_append_at_once_and_the_file_stays_bounded(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from pipshim.builds.build_history import BuildHistory\n"
        "from tests.unit.test_build_history import build\n"
        "history = BuildHistory(Path(sys.argv[1]), most_bytes=4000)\n"
        "for number in range(30): history.add(build(f'{sys.argv[2]}-{number}'))\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in "abc"
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    lines = (tmp_path / HISTORY).read_text().splitlines()
    builds = BuildHistory(tmp_path).builds()
    assert len(builds) == len(lines) == 90  # within the number that is kept, whatever their size
    for name in "abc":
        own = [one.name for one in builds if one.name.startswith(name)]
        assert own == [f"{name}-{number}" for number in range(30)]


def test_what_is_built_often_does_not_drive_out_the_rest() -> None:
    many = [build("daily", seconds=number) for number in range(50)]
    kept = trimmed([build("yearly"), *many, build("last")], most=6, most_of_one=4)
    assert [one.name for one in kept] == ["yearly", *["daily"] * 4, "last"]
    assert [one.seconds for one in kept[1:5]] == [46, 47, 48, 49]
    assert len(trimmed(many, most=3, most_of_one=10)) == 3


def test_the_last_success_of_the_same_version_is_what_to_expect() -> None:
    builds = [
        build(seconds=1),
        build(version="2.0", seconds=2),
        build(seconds=3),
        build(seconds=4, outcome="failed"),
        build("other", seconds=5),
    ]

    def expected(version: str) -> float | None:
        found = last_success(builds, "lib", version)
        return found.seconds if found is not None else None

    assert expected("1.0") == 3
    assert expected("2.0") == 2
    assert expected("3.0") == 3  # the newest
    assert last_success(builds, "lib", "1.0", "editable") is None
    assert last_success(builds, "new", "1.0") is None


def test_a_cache_that_cannot_be_written_remembers_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    history = BuildHistory(tmp_path / "file")
    history.add(build())
    assert history.builds() == []

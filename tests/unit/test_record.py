"""When an earlier wheel is reused: what its record says against the build that would be made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipshim.model.build_record import Record, Used, difference

TORCH = Used("2.0", "sha256:torch")
FILELOCK = Used("1.0", "sha256:filelock", counts=False)
RECORD = Record(
    name="natten",
    version="1.0",
    source="ab",
    mode="isolated",
    python="cpython 3.11",
    platform="linux x86_64",
    requirements=("torch",),
    constraints=("filelock<3",),
    against={"filelock": FILELOCK, "torch": TORCH},
)
NO_ISOLATION = replace(RECORD, mode="no-isolation")
SAME = {"filelock": FILELOCK, "torch": TORCH}


@pytest.mark.parametrize("now", [RECORD, NO_ISOLATION])
@pytest.mark.parametrize(
    ("available", "why"),
    [
        (SAME, None),
        ({**SAME, "filelock": Used("2.0", "sha256:other")}, None),
        ({"torch": TORCH}, None),
        ({**SAME, "torch": Used("2.1", "x")}, "built against torch 2.0, the lock has 2.1"),
        ({**SAME, "torch": Used("2.0", "x")}, "built against another build of torch 2.0"),
        (
            {"filelock": FILELOCK},
            "built against torch 2.0, which the build environment no longer has",
        ),
    ],
)
def test_what_compiled_code_can_be_built_against_counts(
    available: dict[str, Used], why: str | None, now: Record
) -> None:
    assert difference(RECORD, now, available) == why


def test_with_exact_everything_counts() -> None:
    available = {**SAME, "filelock": Used("2.0", "sha256:other", counts=False)}
    why = difference(RECORD, RECORD, available, exact=True)
    assert why == "built against filelock 1.0, the lock has 2.0"
    more = {**SAME, "six": Used("1.0", "sha256:six", counts=False)}
    assert difference(RECORD, RECORD, more, exact=True) == "built without six"


def test_a_distribution_that_is_new_in_the_environment_counts_if_it_is_platform_specific() -> None:
    numpy = {**SAME, "numpy": Used("1.0", "sha256:numpy")}
    assert difference(RECORD, RECORD, numpy) == "built without numpy"
    assert difference(RECORD, NO_ISOLATION, numpy) is None
    six = {**SAME, "six": Used("1.0", "sha256:six", counts=False)}
    assert difference(RECORD, RECORD, six) is None


def test_changed_texts_of_requirements_and_constraints_count() -> None:
    other = replace(RECORD, requirements=("torch>=2",))
    assert difference(RECORD, other, SAME) == "other build requirements"
    constrained = replace(RECORD, constraints=())
    assert difference(RECORD, constrained, SAME) == "other build constraints"
    assert difference(RECORD, replace(NO_ISOLATION, constraints=()), SAME) is None


def test_a_record_says_of_each_distribution_whether_it_counts() -> None:
    data = RECORD.to_json()
    assert data["against"]["filelock"]["counts"] is False
    read = Record.from_json(data)
    assert read is not None
    assert {name: used.counts for name, used in read.against.items()} == {
        "filelock": False,
        "torch": True,
    }
    assert read.why() == "built earlier against the same torch 2.0"


def test_an_older_record_is_read_as_if_everything_counted() -> None:
    data = RECORD.to_json()
    data["schema"] = 1
    for used in data["against"].values():
        del used["counts"]
    old = Record.from_json(data)
    assert old is not None
    assert difference(old, RECORD, SAME) is None
    newer = {**SAME, "filelock": Used("2.0", "sha256:other", counts=False)}
    assert difference(old, RECORD, newer) == "built against filelock 1.0, the lock has 2.0"


def test_an_older_record_of_a_build_without_isolation_is_not_read() -> None:
    data = replace(RECORD, mode="no-isolation").to_json()
    assert Record.from_json(data) is not None
    assert Record.from_json({**data, "schema": 1}) is None
    assert Record.from_json({**data, "schema": 3}) is None

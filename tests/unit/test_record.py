"""When an earlier wheel is reused: what its record says against the build that would be made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipshim.model.build_record import SCHEMA, Conditions, Record, Used, difference
from pipshim.model.build_variables import Patterns, VariableRules, value_digest

if TYPE_CHECKING:
    from pipshim.model.settings import Abi

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
    assert difference(RECORD, now, Conditions(available)) == why


def test_with_exact_everything_counts() -> None:
    available = {**SAME, "filelock": Used("2.0", "sha256:other", counts=False)}
    why = difference(RECORD, RECORD, Conditions(available, exact=True))
    assert why == "built against filelock 1.0, the lock has 2.0"
    more = {**SAME, "six": Used("1.0", "sha256:six", counts=False)}
    assert difference(RECORD, RECORD, Conditions(more, exact=True)) == "built without six"


def test_a_distribution_that_is_new_in_the_environment_counts_if_it_is_platform_specific() -> None:
    numpy = {**SAME, "numpy": Used("1.0", "sha256:numpy")}
    assert difference(RECORD, RECORD, Conditions(numpy)) == "built without numpy"
    assert difference(RECORD, NO_ISOLATION, Conditions(numpy)) is None
    six = {**SAME, "six": Used("1.0", "sha256:six", counts=False)}
    assert difference(RECORD, RECORD, Conditions(six)) is None


@pytest.mark.parametrize(
    ("abi", "version", "fits"),
    [
        ("exact", "2.0.1", False),
        ("micro", "2.0.0", True),
        ("micro", "2.0.1", False),
        ("minor", "2.0.5", True),
        ("minor", "2.1", False),
        ("major", "2.9", True),
        ("major", "3.0", False),
        ("major", "1!2.0", False),
        ("major", "no version", False),
    ],
)
def test_versions_may_differ_as_far_as_the_project_says(abi: Abi, version: str, fits: bool) -> None:
    now = {**SAME, "torch": Used(version, "sha256:other")}
    conditions = Conditions(now, abi={"torch": abi})
    why = f"built against torch 2.0, the lock has {version}"
    assert difference(RECORD, RECORD, conditions) == (None if fits else why)
    assert difference(RECORD, RECORD, replace(conditions, exact=True)) == why


def test_changed_texts_of_requirements_and_constraints_count() -> None:
    other = replace(RECORD, requirements=("torch>=2",))
    assert difference(RECORD, other, Conditions(SAME)) == "other build requirements"
    constrained = replace(RECORD, constraints=())
    assert difference(RECORD, constrained, Conditions(SAME)) == "other build constraints"
    assert difference(RECORD, replace(NO_ISOLATION, constraints=()), Conditions(SAME)) is None


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


def test_a_record_of_another_schema_is_not_read() -> None:
    data = RECORD.to_json()
    assert Record.from_json(data) == RECORD
    for schema in (1, 2, SCHEMA + 1):
        assert Record.from_json({**data, "schema": schema}) is None


COMPILED = replace(
    RECORD,
    tools={"cc": None},
    variables={"CC": None, "FLASH": value_digest("mine"), "API_TOKEN": value_digest("a")},
    compiled=True,
)
ENVIRON = {"FLASH": "mine", "API_TOKEN": "a"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"CC": "clang"}, "CC is clang, was not set"),
        ({"CC": ""}, "CC is empty, was not set"),
        ({"FLASH": "off"}, "FLASH is off, was another value"),
        ({"FLASH": None}, "FLASH is not set, was set"),
        ({"FLASH": "x" * 50}, f"FLASH is {'x' * 40}…, was another value"),
        ({"API_TOKEN": "b"}, "API_TOKEN has changed"),
        ({"CFLAGS": "-O3", "CC": "a"}, "CC is a, was not set; CFLAGS is -O3, was not set"),
        ({"TORCH_CUDA_ARCH_LIST": "9.0"}, "TORCH_CUDA_ARCH_LIST is 9.0, was not set"),
        ({"MAX_JOBS": "4", "PATH": "/x", "TERM": "dumb", "CI": "1", "OTHER": "x"}, None),
        ({"MAKEFLAGS": "-j4", "CARGO_MAKEFLAGS": "-j", "OMP_NUM_THREADS": "1"}, None),
        ({"CUDA_VISIBLE_DEVICES": "1", "CARGO_TERM_COLOR": "never", "LC_ALL": "C"}, None),
    ],
)
def test_variables_that_the_build_read_count_and_those_of_compilers(
    change: dict[str, str | None], why: str | None
) -> None:
    changed = {**ENVIRON, **change}
    environ = {name: value for name, value in changed.items() if value is not None}
    assert difference(COMPILED, COMPILED, Conditions(SAME, environ)) == why


@pytest.mark.parametrize(
    ("name", "was", "now", "said"),
    [
        ("TORCH_CUDA_ARCH_LIST", "8.0", "9.0", "is 9.0, was 8.0"),
        ("TORCH_CUDA_ARCH_LIST", "8.0;8.6 PTX", "9.0", "is 9.0, was another value"),
        ("TORCH_CUDA_ARCH_LIST", "8.0;9.0+PTX", None, "is not set, was 8.0;9.0+PTX"),
        ("CMAKE_CUDA_ARCHITECTURES", "80;90-real", "90", "is 90, was 80;90-real"),
        ("CMAKE_CUDA_ARCHITECTURES", "80", "90", "is 90, was 80"),
        (
            "CUDA_HOME",
            "/usr/local/cuda-12.4",
            "/opt/cuda",
            "is /opt/cuda, was /usr/local/cuda-12.4",
        ),
        ("CUDA_HOME", "/x/cuda-12.4/a", "/x/cuda-13.0/a", "is /x/cuda-13.0/a, was /x/cuda-12.4/a"),
        ("CC", "/usr/bin/gcc-12", "clang", "is clang, was /usr/bin/gcc-12"),
        ("CFLAGS", "-O2 -g", "", "is empty, was -O2 -g"),
        ("CFLAGS", "", "-O2", "is -O2, was empty"),
        ("RUSTFLAGS", "-C target-cpu=native", None, "is not set, was -C target-cpu=native"),
        ("USE_TOKEN", "1", "2", "has changed"),
    ],
)
def test_the_old_value_is_said_if_it_is_a_common_one(
    name: str, was: str, now: str | None, said: str
) -> None:
    record = replace(COMPILED, tools={"nvcc": None, "rustc": None})
    record = replace(record, variables={name: value_digest(was)})
    environ = {name: now} if now is not None else {}
    assert difference(record, record, Conditions(SAME, environ)) == f"{name} {said}"


@pytest.mark.parametrize(
    ("tools", "against", "counts"),
    [
        (["cc"], {}, []),
        (["cc", "nvcc"], {}, ["CUDA_HOME"]),
        (["cc"], {"torch": TORCH}, ["CUDA_HOME"]),
        (["cmake"], {}, ["CUDA_HOME"]),
        (["rustc"], {}, ["RUSTFLAGS"]),
    ],
)
def test_variables_of_a_language_count_where_it_is_compiled(
    tools: list[str], against: dict[str, Used], counts: list[str]
) -> None:
    record = replace(RECORD, compiled=True, tools=dict.fromkeys(tools), against=against)
    environ = {"CUDA_HOME": "/cuda", "RUSTFLAGS": "-C opt"}
    why = difference(record, record, Conditions(against, environ))
    assert [one.split()[0] for one in (why or "").split("; ") if one] == counts


def test_variables_of_compilers_do_not_count_for_pure_wheels() -> None:
    assert difference(RECORD, RECORD, Conditions(SAME, {"CC": "clang", "CFLAGS": "-O3"})) is None


def test_the_project_adds_variables_and_leaves_out_others() -> None:
    environ = {
        "CC": "clang",
        "FLASH": "off",
        "API_TOKEN": "a",
        "MY_LIB": "1",
        "GIVEN": "1",
        "MAX_JOBS": "2",
    }
    rules = VariableRules(
        Patterns(["MY_*", "MAX_JOBS"]), Patterns(["C*", "FL*H"]), frozenset({"GIVEN"})
    )
    why = difference(COMPILED, COMPILED, Conditions(SAME, environ, rules))
    assert why is not None
    assert why.split("; ") == [
        "GIVEN is 1, was not set",
        "MAX_JOBS is 2, was not recorded",
        "MY_LIB is 1, was not recorded",
    ]

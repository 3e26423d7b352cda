from __future__ import annotations

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from pipshim.model.requirements import merged, separated, without_extra


def test_extras_of_the_same_requirement_are_said_together() -> None:
    given = map(Requirement, ["Foo>=1", "foo[b]>=1", "foo[a]>=1", "foo<2", "bar"])
    assert merged(given) == ("bar", "foo<2", "foo[a,b]>=1")


@pytest.mark.parametrize(
    ("marker", "left"),
    [
        ("extra == 'a'", None),
        ("python_version < '3.11' and extra == 'a'", 'python_version < "3.11"'),
        ("extra == 'a' and python_version < '3.11'", 'python_version < "3.11"'),
        (
            "(os_name == 'nt' or os_name == 'posix') and extra == 'a'",
            '(os_name == "nt" or os_name == "posix")',
        ),
        ("os_name == 'nt'", 'os_name == "nt"'),
        ("extra == 'a' or extra == 'b'", None),
    ],
)
def test_whose_extra_it_is_is_left_out_of_a_marker(marker: str, left: str | None) -> None:
    told = without_extra(Marker(marker))
    assert (str(told) if told else None) == (str(Marker(left)) if left else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a,b", ["a", "b"]),
        (" a , b,", ["a", "b"]),
        ("a,,b", ["a", "b"]),
        ("a[x,y]", ["a[x,y]"]),
        ("a[x,y],b", ["a[x,y]", "b"]),
        ("a>=1,<2", ["a>=1,<2"]),
        ("a>=1, <2,b!=3 ,~=3.1", ["a>=1, <2", "b!=3 ,~=3.1"]),
        ("a (>=1,<2)", ["a (>=1,<2)"]),
        ("a; python_version in '3.10,3.11',b", ["a; python_version in '3.10,3.11'", "b"]),
        ("a @ file:///a.whl,./b", ["a @ file:///a.whl", "./b"]),
        ("", []),
        (",", []),
    ],
)
def test_requirements_are_separated_by_commas(text: str, expected: list[str]) -> None:
    assert separated(text) == expected

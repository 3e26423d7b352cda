from __future__ import annotations

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement

from pipshim.requirements import merged, without_extra


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
        ("extra == 'a' or extra == 'b'", 'extra == "a" or extra == "b"'),
    ],
)
def test_whose_extra_it_is_is_left_out_of_a_marker(marker: str, left: str | None) -> None:
    told = without_extra(Marker(marker))
    assert (str(told) if told else None) == (str(Marker(left)) if left else None)

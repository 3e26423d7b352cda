"""Overrides: what a requirement becomes."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from pipshim.model.requirements import Overrides


def overrides(*texts: str) -> Overrides:
    return Overrides(map(Requirement, texts))


@pytest.mark.parametrize(
    ("required", "override", "becomes"),
    [
        ("bb<2", "bb==3", ["bb==3"]),
        ("Bb[x]<2", "bb==3", ["bb==3"]),
        ("bb", "bb[x]", ["bb[x]"]),
        ("cc", "bb==3", ["cc"]),
        ("bb; python_version<'3'", "bb==3", ["bb==3"]),
        ("bb", "bb==3; os_name=='nt'", ['bb==3; os_name == "nt"']),
        ("bb; extra=='x'", "bb==3", ['bb==3; extra == "x"']),
        ("bb; extra=='x' and os_name=='nt'", "bb==3", ['bb==3; extra == "x"']),
        ("bb; (os_name=='nt' or os_name=='x') and extra=='x'", "bb", ['bb; extra == "x"']),
        ("bb; extra=='x' or os_name=='nt'", "bb==3", ["bb==3"]),
        ("bb; extra=='x' or extra=='y'", "bb", ['bb; extra == "x" or extra == "y"']),
        (
            "bb; (extra=='x' or extra=='y') and os_name=='nt'",
            "bb; os_name=='posix'",
            ['bb; os_name == "posix" and (extra == "x" or extra == "y")'],
        ),
        ("bb", "bb @ https://e.org/bb-1.zip ; os_name=='nt'", ['bb; os_name == "nt"']),
        ("is no requirement!", "bb", ["is no requirement!"]),
    ],
)
def test_it_replaces_all_but_the_extra_that_the_requirement_belongs_to(
    required: str, override: str, becomes: list[str]
) -> None:
    made = overrides(override).applied([required])
    assert [str(Requirement(one)) if "!" not in one else one for one in made] == [
        str(Requirement(one)) if "!" not in one else one for one in becomes
    ]


def test_several_of_one_name_all_replace() -> None:
    both = overrides("bb==1; os_name=='nt'", "bb==2; os_name=='posix'")
    assert len(both.applied(["bb", "cc"])) == 3


def test_urls_are_told_without_extras() -> None:
    found = overrides("bb[x] @ https://e.org/bb-1.zip ; os_name=='nt'", "cc==1").urls()
    assert [str(one) for one in found] == ['bb @ https://e.org/bb-1.zip ; os_name == "nt"']

"""Which versions and files are chosen: who is heard first, and what a lock remembers."""

from __future__ import annotations

from typing import Any

import pytest

from pipshim.model.selection_preferences import GivenPreferences, checked, combine, typed
from pipshim.model.settings import Configuration

NOTHING = Configuration()


def said(*below: str, **values: Any) -> GivenPreferences:
    found = {name.replace("_", "-"): value for name, value in values.items() if value is not None}
    names = frozenset(name.replace("_", "-") for name in values)
    return GivenPreferences(found, names, frozenset(below))


def test_a_lock_is_made_as_it_is_told_to_and_says_what_it_lets_go() -> None:
    old = {"no-binary": ["a"], "prefer-binary": True}
    made = combine(said(prefer_binary=True), NOTHING, old, keeps=False)
    assert made.values == made.remembered == {"prefer-binary": True}
    assert made.dropped == {"no-binary": ["a"]}


def test_everything_else_goes_by_the_lock_where_nothing_is_said() -> None:
    old = {"no-binary": ["a"], "only-final": ["c"]}
    found = combine(said(only_binary=["b"]), NOTHING, old, keeps=True)
    assert found.values == {"only-binary": ["b"], "only-final": ["c"]}
    assert found.remembered == found.values
    assert not found.dropped
    taken_back = combine(said(no_binary=None), NOTHING, old, keeps=True)
    assert taken_back.values == {"only-final": ["c"]}


def test_the_project_goes_before_pip_conf_and_behind_what_was_typed() -> None:
    project = Configuration(resolution="lowest", exclude_newer="P7D")
    typed_in = combine(said(resolution="lowest-direct"), project, {}, keeps=False)
    assert typed_in.values == {"resolution": "lowest-direct", "uploaded-prior-to": "P7D"}
    assert typed_in.remembered == {"resolution": "lowest-direct"}
    conf = combine(
        said("resolution", resolution="lowest-direct"), project, typed_in.remembered, keeps=True
    )
    assert conf.strategy == "lowest-direct"
    assert combine(said("resolution", resolution="highest"), project, {}, keeps=True).strategy == (
        "lowest"
    )
    alone = combine(said("resolution", resolution="lowest"), NOTHING, {}, keeps=False)
    assert alone.remembered == {"resolution": "lowest"}


def test_the_default_strategy_can_be_said_against_the_project_and_is_like_silence() -> None:
    found = combine(said(resolution="highest"), Configuration(resolution="lowest"), {}, keeps=False)
    assert found.strategy == "highest"
    assert found.values == combine(said(), NOTHING, {}, keeps=False).values
    assert found.remembered == {"resolution": "highest"}


def test_preferences_are_said_as_they_are_typed() -> None:
    values = {"no-binary": ["a", "b"], "prefer-binary": True, "uploaded-prior-to": "P7D"}
    assert typed(values) == "--no-binary a,b --prefer-binary --uploaded-prior-to P7D"


@pytest.mark.parametrize("data", [{"no-binary": "a"}, {"only-final": [1]}, {"resolution": 3}])
def test_a_lock_that_remembers_nonsense_is_damaged(data: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        checked(data)

"""What `pipshim.base.light` has is what the standard library has."""

from __future__ import annotations

import copy
import json
import pickle
import signal
import subprocess
import sys
import typing
from typing import Any

import pytest

from pipshim.base.light import jsons, named_tuples, signals
from tests.support.pipshim import ROOT

VALUES: tuple[Any, ...] = (
    None,
    True,
    [],
    {},
    "",
    "plain",
    'quoted " and \\ and \n\t\x00\x7f',
    "ä \u2028 \U0001f600 \ud800",
    -12,
    10**30,
    2.5,
    1e300,
    float("inf"),
    [1, [2, (3, "x")], {"b": [], "a": {"z": None, "A": False}}],
)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_is_that_of_the_standard_library(value: Any) -> None:
    written = jsons.dumps(value)
    assert written == json.dumps(value, sort_keys=True)
    assert jsons.loads(written.encode()) == json.loads(written)
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    text = compact.encode("utf-8", "surrogatepass")
    if "\ud800" not in compact:
        assert jsons.loads(text) == jsons.loads(text + b"\n") == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1,",
        b'{"a":}',
        b"{1:2}",
        b"{} x",
        b"yes",
        b'"\n"',
        b'"\xff"',
        b"[1 2]",
    ],
)
def test_damaged_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        jsons.loads(text)


def test_damage_is_told_where_json_was_not_imported() -> None:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from pipshim.base.light import jsons\n"
        "assert jsons.loads(b'[1]') == [1] and 'json' not in sys.modules\n"
        "try: jsons.loads(b'[1, 2')\n"
        "except ValueError as error: print(error)\n"
    )
    said = subprocess.run(
        # Without site, which may import what measures coverage.
        [sys.executable, "-I", "-S", "-c", code],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert "delimiter" in said


def test_what_json_does_not_have_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="set"):
        jsons.dumps({"a": {1}})


class Ours(named_tuples.NamedTuple):
    """A document."""

    one: int
    two: str = "x"
    three: list[int] | None = None

    def total(self) -> int:
        return self.one + len(self.two)


class Theirs(typing.NamedTuple):
    """A document."""

    one: int
    two: str = "x"
    three: list[int] | None = None

    def total(self) -> int:
        return self.one + len(self.two)


class Below(Ours):
    """A class of one's own, below a named tuple."""

    done = 0

    def __hash__(self) -> int:
        return 7


def test_named_tuples_are_those_of_the_standard_library() -> None:
    for arguments, by_name in (((1,), {}), ((1, "y"), {"three": [3]}), ((), {"one": 4})):
        ours, theirs = Ours(*arguments, **by_name), Theirs(*arguments, **by_name)
        assert tuple(ours) == tuple(theirs)
        assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
        assert (ours.one, ours.two, ours.three) == (theirs.one, theirs.two, theirs.three)
        assert ours.total() == theirs.total()
        assert ours._asdict() == theirs._asdict()
        assert tuple(ours._replace(two="z")) == tuple(theirs._replace(two="z"))
    assert Ours._fields == Theirs._fields
    assert Ours._field_defaults == Theirs._field_defaults
    assert Ours.__doc__ == Theirs.__doc__
    assert Ours.__mro__[1:] == Theirs.__mro__[1:]
    match Ours(1, "y"):
        case Ours(one, two):
            assert (one, two) == (1, "y")


@pytest.mark.parametrize(
    ("arguments", "by_name"),
    [((), {}), ((1, "", None, 4), {}), ((1,), {"one": 2}), ((1,), {"four": 4}), ((), {"two": ""})],
)
def test_named_tuples_take_what_they_have(
    arguments: tuple[Any, ...], by_name: dict[str, Any]
) -> None:
    for kind in (Ours, Theirs):
        with pytest.raises(TypeError):
            kind(*arguments, **by_name)


def test_a_row_of_the_wrong_length_is_a_type_error() -> None:
    for kind in (Ours, Theirs):
        assert kind._make([1, "y", None]) == (1, "y", None)
    with pytest.raises(TypeError, match="one"):
        Ours._make([])


def test_named_tuples_cannot_be_written_to() -> None:
    with pytest.raises(AttributeError):
        Ours(1).one = 2  # type: ignore[misc]


@pytest.mark.parametrize("value", [Ours(1, "y"), Below(1)])
def test_named_tuples_are_copied_and_pickled(value: Ours) -> None:
    for same in (copy.deepcopy(value), pickle.loads(pickle.dumps(value)), value._replace()):  # noqa: S301
        assert same == value
        assert type(same) is type(value)


def test_a_class_below_a_named_tuple_is_as_any_other() -> None:
    below = Below(1, three=[])
    below.done = 3
    assert (below.done, Below(1).done, hash(below)) == (3, 0, 7)


def test_signals_are_those_of_the_standard_library() -> None:
    for name in ("SIGINT", "SIGKILL", "SIGTERM", "SIG_DFL", "SIG_IGN"):
        assert getattr(signals, name) == getattr(signal, name)
    assert signals.getsignal(signals.SIGINT) == signal.getsignal(signal.SIGINT)


def test_a_python_without_the_parts_in_c_has_the_others() -> None:
    code = (
        "import sys, _collections\n"
        "del _collections._tuplegetter\n"
        "sys.modules['_json'] = None\n"
        "from pipshim.base.light import jsons, named_tuples\n"
        "class Pair(named_tuples.NamedTuple):\n"
        "    one: int\n"
        "    two: int = 2\n"
        "assert (Pair(1).one, Pair(1).two) == (1, 2), Pair(1)\n"
        "assert jsons.loads(jsons.dumps({'b': 1, 'a': [2]}).encode()) == {'a': [2], 'b': 1}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""pipshim's own dataclasses behave as Python's."""

from __future__ import annotations

import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar

import pytest

from pipshim.base.light import dataclasses as light

Kinds = pytest.mark.parametrize("dataclass", [light.dataclass, dataclasses.dataclass])


@light.dataclass(frozen=True)
class Point:
    """At module level, so that it can be pickled."""

    x: int
    y: int = 2
    names: dict[str, int] = field(default_factory=dict, hash=False)


@Kinds
def test_fields_defaults_and_text(dataclass: Any) -> None:
    @dataclass
    class Base:
        kind: ClassVar[str] = "base"
        first: int
        second: list[int] = field(default_factory=list)
        third: str = field(default="c", repr=False, compare=False)

    @dataclass
    class Derived(Base):
        fourth: int = field(init=False, default=4)
        made: list[int] = field(init=False, default_factory=list)
        seen: int = field(init=False)

        def __post_init__(self) -> None:
            self.seen = self.first

    one, other = Derived(1), Derived(1, third="d")
    assert one == other
    assert one != Derived(1, [2])
    assert one != Base(1)
    assert one.second is not other.second
    assert (one.fourth, one.made, one.seen) == (4, [], 1)
    assert repr(one).endswith("Derived(first=1, second=[], fourth=4, made=[], seen=1)")
    assert [each.name for each in dataclasses.fields(Derived)][:2] == ["first", "second"]
    assert dataclasses.replace(Base(1), first=5) == Base(5)
    assert Base.__match_args__ == ("first", "second", "third")
    with pytest.raises(TypeError, match=r"Base\.__init__\(\) missing 1 required"):
        Base()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        hash(one)


@Kinds
def test_frozen(dataclass: Any) -> None:
    @dataclass(frozen=True)
    class Value:
        one: int
        two: dict[str, int] = field(default_factory=dict, hash=False)

    class Sub(Value):
        pass

    value = Value(1)
    assert hash(value) == hash(Value(1, {"a": 1}))
    assert value != Value(1, {"a": 1})
    with pytest.raises(FrozenInstanceError, match="one"):
        value.one = 2
    with pytest.raises(FrozenInstanceError, match="one"):
        del value.one
    sub = Sub(1)
    setattr(sub, "more", 2)  # noqa: B010 mypy knows of no such field
    with pytest.raises(FrozenInstanceError):
        sub.one = 2


@Kinds
def test_keywords_identity_and_methods_of_ones_own(dataclass: Any) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Named:
        one: int
        two: int = 2

    @dataclass(eq=False)
    class Same:
        one: int

    @dataclass(frozen=True)
    class Own:
        one: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own)

        def __hash__(self) -> int:
            return 7

        def __repr__(self) -> str:
            return "own"

    assert Named(one=1).two == 2
    with pytest.raises(TypeError):
        Named(1)
    assert Same(1) != Same(1)
    assert hash(Same(1)) is not None
    assert (Own(1), hash(Own(1)), repr(Own(1))) == (Own(2), 7, "own")


def test_an_instance_from_another_process_is_complete() -> None:
    one = pickle.loads(pickle.dumps(Point(1)))  # noqa: S301 our own
    assert (one, repr(one)) == (Point(1), "Point(x=1, y=2, names={})")
    assert dataclasses.asdict(one) == {"x": 1, "y": 2, "names": {}}

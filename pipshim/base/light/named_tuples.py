"""`typing.NamedTuple` without importing `typing` and `collections`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NamedTuple as NamedTuple  # noqa: PLC0414 to be imported from here
else:
    try:
        from _collections import _tuplegetter as _getter
    except ImportError:
        from operator import itemgetter

        def _getter(at: int, _doc: str) -> property:
            return property(itemgetter(at))

    class _Methods:
        """What the made classes have; it is copied, so that their only base is ``tuple``."""

        __slots__ = ()

        def __new__(cls, *values: object, **named: object) -> object:
            if named or len(values) != len(cls._fields):
                values = _completed(cls, values, named)
            return tuple.__new__(cls, values)

        def __getnewargs__(self) -> tuple[object, ...]:
            return tuple(self)

        def __repr__(self) -> str:
            shown = ", ".join(f"{name}={value!r}" for name, value in self._asdict().items())
            return f"{type(self).__name__}({shown})"

        @classmethod
        def _make(cls, values: object) -> object:
            return cls(*values)

        def _replace(self, **named: object) -> object:
            return type(self)(**{**self._asdict(), **named})

        def _asdict(self) -> dict[str, object]:
            return dict(zip(self._fields, self, strict=True))

    def _completed(cls: type, values: tuple[object, ...], named: dict[str, object]) -> list[object]:
        given = dict(zip(cls._fields, values, strict=False))
        complete = {**cls._field_defaults, **named, **given}
        wrong = [one for one in cls._fields if one not in complete]
        wrong += [one for one in named if one in given or one not in cls._fields]
        if wrong or len(values) > len(cls._fields):
            what = f", but for {', '.join(wrong)}" if wrong else ""
            raise TypeError(f"{cls.__name__} has {', '.join(cls._fields)}{what}")
        return [complete[one] for one in cls._fields]

    class _Maker(type):
        """Makes of what a class annotates the class of a tuple."""

        def __new__(mcs, name: str, _bases: tuple[type, ...], namespace: dict[str, object]) -> type:
            fields = tuple(namespace["__annotations__"])
            made = {
                **vars(_Methods),
                "__match_args__": fields,
                "_fields": fields,
                "_field_defaults": {one: namespace[one] for one in fields if one in namespace},
            }
            getters = {one: _getter(at, one) for at, one in enumerate(fields)}
            return type(name, (tuple,), {**made, **namespace, **getters})

    class _NamedTuple:
        """Stands where a class names its base (PEP 560)."""

        @staticmethod
        def __mro_entries__(_bases: tuple[object, ...]) -> tuple[type]:
            return (_Base,)

    _Base = type.__new__(_Maker, "NamedTuple", (), {})
    NamedTuple = _NamedTuple()

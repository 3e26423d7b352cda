"""`dataclasses.dataclass`, done when the first instance of a class is made.

It writes and compiles the methods of every class, also of those that a command has no use for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass as late
else:
    from dataclasses import dataclass
    from threading import RLock

    _waiting: dict[type, dict[str, object]] = {}
    _one_at_a_time = RLock()

    def late(**options: object) -> object:
        """Declare a class to be a dataclass.

        Args:
            options: those of `dataclasses.dataclass`, but for ``slots``.

        """

        def declared(cls: type) -> type:
            _waiting[cls] = options
            cls.__new__ = _new
            cls.__dataclass_fields__ = _Fields()
            return cls

        return declared

    class _Fields:
        """Stands where `dataclasses` looks whether a class is one."""

        def __get__(self, _instance: object, cls: type) -> dict[str, object]:
            _complete(cls)
            return cls.__dataclass_fields__

    def _new(cls: type, *_: object, **__: object) -> object:
        if _waiting:
            _complete(cls)
        return object.__new__(cls)

    def _complete(cls: type) -> None:
        with _one_at_a_time:
            for one in reversed(cls.__mro__):
                if one in _waiting:
                    dataclass(**_waiting[one])(one)
                    del _waiting[one]


__all__ = ["late"]

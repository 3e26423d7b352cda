"""`dataclasses.dataclass` that compiles no method before it is used.

Python compiles up to six methods for each dataclass, which took a third of all imports. Here
``__init__`` is compiled when the first instance is made; the other methods are not compiled at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 to be imported from here
else:
    import dataclasses
    from dataclasses import MISSING, FrozenInstanceError, fields
    from functools import cache
    from operator import attrgetter

    def dataclass(cls=None, /, *, frozen=False, eq=True, kw_only=False):  # noqa: ANN001, ANN201 as above
        """Make a dataclass; its fields, defaults and methods are those of Python's own."""

        def made(cls: type) -> type:
            own = dict(vars(cls))
            cls.__doc__ = cls.__doc__ or cls.__name__  # else Python would find out its signature
            dataclasses.dataclass(cls, init=False, repr=False, eq=False, kw_only=kw_only)
            _make_init(cls, frozen=frozen)
            methods = {"__repr__": _repr}
            if eq:
                methods |= {"__eq__": _eq, "__hash__": _hash if frozen else None}
            if frozen:
                methods |= _frozen_methods(cls)
            for name, method in methods.items():
                if own.get(name) is None:
                    setattr(cls, name, method)
            return cls

        return made if cls is None else made(cls)

    def _make_init(cls: type, *, frozen: bool) -> None:
        """Give a class an ``__init__`` that replaces itself by a compiled one."""

        def init(self: object, *args: Any, **kwargs: Any) -> None:
            cls.__init__ = _compiled_init(cls, frozen=frozen)
            cls.__init__(self, *args, **kwargs)

        cls.__init__ = init

    def _compiled_init(cls: type, *, frozen: bool) -> Any:
        scope: dict[str, Any] = {"set_": object.__setattr__, "unset_": object()}
        parameters: dict[bool, list[str]] = {False: ["self"], True: ["*"]}
        body = ["pass"]
        for one in fields(cls):
            name = value = one.name
            parameter, default = name, f"default_{name}_"
            if one.default_factory is not MISSING:
                scope[default] = one.default_factory
                value = f"{default}()"
                if one.init:
                    value += f" if {name} is unset_ else {name}"
                parameter = f"{name}=unset_"
            elif one.default is not MISSING:
                scope[default] = one.default
                parameter = f"{name}={default}"
            if one.init:
                parameters[one.kw_only].append(parameter)
            elif one.default_factory is MISSING:
                continue
            body.append(f"set_(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
        if hasattr(cls, "__post_init__"):
            body.append("self.__post_init__()")
        words = [*parameters[False], *(parameters[True] if parameters[True][1:] else ())]
        exec(f"def __init__({', '.join(words)}):\n " + "\n ".join(body), scope)  # noqa: S102 as Python
        scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
        return scope["__init__"]

    def _frozen_methods(cls: type) -> dict[str, Any]:
        def refuse_setting(self: object, name: str, value: object) -> None:
            if type(self) is cls or name in cls.__dataclass_fields__:
                raise FrozenInstanceError(f"cannot assign to field {name!r}")
            super(cls, self).__setattr__(name, value)

        def refuse_deleting(self: object, name: str) -> None:
            if type(self) is cls or name in cls.__dataclass_fields__:
                raise FrozenInstanceError(f"cannot delete field {name!r}")
            super(cls, self).__delattr__(name)

        return {"__setattr__": refuse_setting, "__delattr__": refuse_deleting}

    def _repr(self: object) -> str:
        shown = (f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    def _eq(self: object, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        compared = _getter(type(self), hashed=False)
        return compared(self) == compared(other)

    def _hash(self: object) -> int:
        return hash(_getter(type(self), hashed=True)(self))

    @cache
    def _getter(cls: type, *, hashed: bool) -> Callable[[object], object]:
        """Return what gets the values that are compared or hashed."""
        names = [
            one.name
            for one in fields(cls)
            if (one.hash if hashed and one.hash is not None else one.compare)
        ]
        return attrgetter(*names) if names else bool

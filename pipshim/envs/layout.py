"""The paths of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class Layout(Protocol):
    """An environment's paths, such as `pipshim.model.interpreter.Target`."""

    @property
    def python(self) -> Path | str: ...

    @property
    def version(self) -> tuple[int, int, int]: ...

    @property
    def bytecode(self) -> str: ...

    @property
    def prefix(self) -> Path | str: ...

    @property
    def purelib(self) -> Path | str: ...

    @property
    def platlib(self) -> Path | str: ...

    @property
    def scripts(self) -> Path | str: ...

    @property
    def data(self) -> Path | str: ...

    @property
    def headers(self) -> Path | str: ...

"""The paths of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path


class Layout(Protocol):
    """An environment's paths, such as `pipshim.model.interpreter.Target`."""

    @property
    def python(self) -> Path | str:
        """The interpreter that scripts start."""

    @property
    def version(self) -> tuple[int, int, int]:
        """The interpreter's version."""

    @property
    def bytecode(self) -> str:
        """Identifies the Pythons that the interpreter's bytecode is valid for."""

    @property
    def prefix(self) -> Path | str:
        """The environment's own folder."""

    @property
    def purelib(self) -> Path | str:
        """For packages in pure Python."""

    @property
    def platlib(self) -> Path | str:
        """For packages with compiled code."""

    @property
    def scripts(self) -> Path | str:
        """For programs."""

    @property
    def data(self) -> Path | str:
        """For the ``data`` files of wheels; usually the environment's own folder."""

    @property
    def headers(self) -> Path | str:
        """For a folder of each distribution's headers."""

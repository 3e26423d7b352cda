"""Where an environment has things, as installing needs it."""

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
        """The interpreter's."""

    @property
    def bytecode(self) -> str:
        """Tells for which Pythons the interpreter's bytecode is good."""

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
        """For what a wheel puts beside the folders above; mostly the environment's own folder."""

    @property
    def headers(self) -> Path | str:
        """For a folder of each distribution's headers."""

"""The bytecode of one wheel, for one kind of Python."""

from __future__ import annotations

from pipshim.base.light.named import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pipshim.store.file_manifest import Bundle


class Compiled(NamedTuple):
    """What one wheel's sources compile to, for one kind of Python.

    Attributes:
        folder: where it is, with one folder for each scheme.
        bundle: the files.
        hashes: of the files, as RECORD spells them, by ``scheme/path``; RECORD has none.

    """

    folder: str
    bundle: Bundle
    hashes: dict[str, str]

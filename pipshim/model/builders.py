"""``--builders`` and ``[tool.pipshim.builders]``: the machines that build."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind: TypeAlias = Literal["dask", "slurm"]

_FORM = "dask://HOST:PORT, slurm or slurm:PARTITION"
_DASK = re.compile(r"dask://((?:[^/\s:@]+|\[[0-9a-fA-F:.]+\]):\d{1,5})/?")
_SLURM = re.compile(r"slurm(?::([\w.,-]+))?")


class BuildersAddress(NamedTuple):
    """Where to build.

    Attributes:
        kind: the engine that runs builds.
        place: the scheduler's ``HOST:PORT``, or a partition; empty for the default one.

    """

    kind: Kind
    place: str

    @classmethod
    def parse(cls, text: str) -> BuildersAddress:
        """Read ``dask://HOST:PORT``, ``slurm`` or ``slurm:PARTITION``.

        Raises:
            ValueError: it is none of them.

        """
        if match := _DASK.fullmatch(text):
            return cls("dask", match[1])
        if match := _SLURM.fullmatch(text):
            return cls("slurm", match[1] or "")
        raise ValueError(f"{text!r} is not of the form {_FORM}")


@dataclass(frozen=True)
class BuildersTable:
    """``[tool.pipshim.builders]``.

    Attributes:
        use: where to build; None: here.
        setup: by engine, a line of shell code that workers run before each build.
        sbatch: options of jobs, by name.

    """

    use: BuildersAddress | None = None
    setup: Mapping[str, str] = field(default_factory=dict, repr=False)
    sbatch: Mapping[str, str] = field(default_factory=dict)

"""``[[tool.pipshim.index]]`` and ``[tool.pipshim.sources]``: where packages come from.

The keys are those of uv's tables. A source applies to the name wherever it is required; a version
that does not fit a requirement is still an error.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.combinations import named

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from packaging.markers import Marker
    from packaging.utils import NormalizedName


Format = Literal["simple", "flat"]
FORMATS: tuple[Format, ...] = ("simple", "flat")

Limit = str | Literal[False]
"""A moment before which files have to be uploaded (`pipshim.model.cutoff`); False for none."""


@dataclass(frozen=True)
class Index:
    """A named index.

    Attributes:
        url: its address, or the path of a folder.
        explicit: it serves only the packages that ``sources`` sends here.
        default: it takes the place of pip's ``--index-url``.
        format: ``simple`` (PEP 503, PEP 691), or ``flat``: one page or folder of links, as
            ``--find-links`` takes.
        exclude_newer: its own upload limit; False for none.

    """

    name: str
    url: str
    explicit: bool = False
    default: bool = False
    format: Format = "simple"
    exclude_newer: Limit | None = None

    def located(self, directory: Path) -> Index:
        """Return the index with an absolute URL; paths are relative to pyproject.toml's folder."""
        if "://" in self.url or self.url.startswith("file:"):
            return self
        return replace(self, url=(directory / Path(self.url).expanduser()).resolve().as_uri())

    def with_credentials(self, environ: Mapping[str, str]) -> Index:
        """Return the index with the credentials that the environment has for it.

        A user without a password is one whose password pip finds in keyring.
        """
        variable = credentials_variable(self.name)
        user = environ.get(f"{variable}_USERNAME", "")
        password = environ.get(f"{variable}_PASSWORD", "")
        parts = urlsplit(self.url)
        if not (user or password) or not parts.hostname:
            return self
        login, _, host = parts.netloc.rpartition("@")
        user = quote(user, safe="") or login.partition(":")[0]
        login = f"{user}:{quote(password, safe='')}" if password else user
        return replace(self, url=urlunsplit(parts._replace(netloc=f"{login}@{host}")))


def credentials_variable(name: str) -> str:
    """Return the prefix of the variables with an index's credentials."""
    return "PIPSHIM_INDEX_" + "".join(
        letter if letter.isalnum() else "_" for letter in name.upper()
    )


@dataclass(frozen=True)
class PackageSource:
    """Where one distribution comes from; one of `path`, `url`, `index` and `workspace` is set.

    Attributes:
        path: a folder or file, relative to pyproject.toml's.
        url: what pip takes behind ``@`` (``git+https://…@main``).
        index: the name of the index that it comes from.
        workspace: it is a member of the workspace.
        editable: installed as a link to its folder.
        marker: where the entry applies; None means everywhere.
        origin: the extra or group that it applies with (``extra cpu``); None means always.

    """

    path: str | None = None
    url: str | None = None
    index: str | None = None
    workspace: bool = False
    editable: bool = False
    marker: Marker | None = None
    origin: str | None = None

    def applies_to(self, markers: Mapping[str, str], chosen: Collection[str] = ()) -> bool:
        """Return whether the entry applies to a target, with these extras and groups."""
        if self.origin is not None and self.origin not in chosen:
            return False
        return self.marker is None or self.marker.evaluate(dict(markers))

    @property
    def condition(self) -> str:
        """Describe where the entry applies."""
        parts = [named(self.origin)] if self.origin is not None else []
        parts += [f"marker '{self.marker}'"] if self.marker is not None else []
        return " and ".join(parts) or "no marker"

    def link(self, directory: Path) -> str:
        """Return the URL of a path (relative to `directory`) or URL."""
        if self.url is not None:
            return self.url
        return self.place(directory).as_uri()

    def place(self, directory: Path) -> Path:
        """Return the absolute path."""
        return (directory / Path(self.path or ".").expanduser()).resolve()


PackageSources = dict["NormalizedName", tuple[PackageSource, ...]]
"""The entries of each package; at most one of them applies to a target."""

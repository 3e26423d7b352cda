"""``[[tool.pipshim.index]]``: named indexes, with the keys of uv's table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping

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

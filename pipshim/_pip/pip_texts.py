"""Texts of pip, and of its libraries, that pipshim recognises or changes.

``tests/unit/test_patches.py`` looks for each in the source of the running pip.
"""

from __future__ import annotations

import re
from functools import cached_property

from pipshim.base.light.dataclasses import dataclass


@dataclass(frozen=True)
class Text:
    """A text with placeholders (``%s``, ``{}``).

    Attributes:
        module: where it stands, without the leading ``pip.``.
        text: as it stands there; an expression of an f-string is ``{}``.
        since: the first supported pip that has it.

    """

    module: str
    text: str
    since: str = "26.1"

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts = re.split(r"%[rs]|\{\w*\}", self.text)
        return re.compile("(.*)".join(map(re.escape, parts)), re.DOTALL)

    def match(self, said: str) -> re.Match[str] | None:
        """Recognise it; the groups are the values of the placeholders."""
        return self._pattern.fullmatch(said)

    def search(self, said: str) -> re.Match[str] | None:
        """Recognise it in a longer text."""
        return self._pattern.search(said)


NO_FOLDER = Text(
    "_internal.index.sources",
    "Location '%s' is ignored: it is neither a file nor a directory.",
)
NOT_FETCHED = Text("_internal.index.collector", "Could not fetch URL %s: %s - skipping")
CONNECTION_ERROR = Text("_internal.index.collector", "connection error: {}")
NO_UPLOAD_TIME = Text("_internal.index.package_finder", "{} does not provide upload-time metadata.")
OF_INDEX = Text("_internal.index.package_finder", "Index {}")
OTHER_WHEEL = Text("_internal.resolution.resolvelib.candidates", "{} != {} for wheel")
NO_SUCH_EXTRA = Text(
    "_internal.resolution.resolvelib.candidates", "%s %s does not provide the extra '%s'"
)
ALREADY_BUILT = Text("_internal.operations.build.build_tracker", "{} is already being built: {}")
BUILDING_WHEEL = Text("_internal.operations.build.wheel", "Building wheel for {} (pyproject.toml)")
BUILDING_EDITABLE = Text(
    "_internal.operations.build.wheel_editable", "Building editable for {} (pyproject.toml)"
)
USING_CACHED = Text("_internal.operations.prepare", "Using cached %s")
RETRYING = Text(
    "_vendor.urllib3.connectionpool", "Retrying (%r) after connection broken by '%r': %s"
)
TOO_MANY_ERRORS = Text("_vendor.urllib3.exceptions", "too many {status_code} error responses")
CLIENT_ERROR = Text("_vendor.requests.models", "{} Client Error: {} for url: {}")
SERVER_ERROR = Text("_vendor.requests.models", "{} Server Error: {} for url: {}")
PERHAPS = Text("_vendor.requests.models", ". Perhaps you meant ")
OUTPUT_BEGINS = Text("_internal.exceptions", " lines of output]")
OUTPUT_ENDS = Text("_internal.exceptions", "[end of output]")
IN_FILE = Text("_internal.req.req_file", "{} {} (line {})")
PURGE_HELP = Text("_internal.commands.cache", "all items from the cache.\n")
COMPLETION_START = Text("_internal.commands.completion", "completion start")
COMPLETION_OF_ZSH = Text("_internal.commands.completion", "compadd $(")
NAMES_IN_ZSH = Text("_internal.commands.completion", "-P 'pip[0-9.]#'")
NAME_OF_ZSH_SCRIPT = Text("_internal.commands.completion", "-P pip[0-9.]#")
COMPLETED_PROGRAM = Text("_internal.commands.completion", "# pip ")
COMPLETION_FUNCTION = Text("_internal.commands.completion", "_pip")

TEXTS = tuple(value for value in list(vars().values()) if isinstance(value, Text))

COLLECTOR = "pip._internal.index.collector"
SOURCES = "pip._internal.index.sources"
SESSION = "pip._internal.network.session"
DOWNLOAD = "pip._internal.network.download"
FACTORY = "pip._internal.resolution.resolvelib.factory"
CANDIDATES = "pip._internal.resolution.resolvelib.candidates"
MISC = "pip._internal.utils.misc"
WHEEL_BUILDER = "pip._internal.wheel_builder"
CONNECTION_POOL = "pip._vendor.urllib3.connectionpool"
LOGGERS = (
    *(COLLECTOR, SOURCES, SESSION, DOWNLOAD, FACTORY, CANDIDATES, MISC, WHEEL_BUILDER),
    CONNECTION_POOL,
)
"""The modules of pip whose loggers are listened to, silenced or used."""

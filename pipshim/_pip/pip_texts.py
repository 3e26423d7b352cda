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
        module: where it stands.
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

_COMPLETION = "pip._internal.commands.completion"
_MODELS = "pip._vendor.requests.models"
_OPERATIONS = "pip._internal.operations"
_SDIST = "pip._internal.distributions.sdist"

NO_FOLDER = Text(SOURCES, "Location '%s' is ignored: it is neither a file nor a directory.")
NOT_FETCHED = Text(COLLECTOR, "Could not fetch URL %s: %s - skipping")
CONNECTION_ERROR = Text(COLLECTOR, "connection error: {}")
NO_UPLOAD_TIME = Text(
    "pip._internal.index.package_finder", "{} does not provide upload-time metadata."
)
OF_INDEX = Text("pip._internal.index.package_finder", "Index {}")
OTHER_WHEEL = Text(CANDIDATES, "{} != {} for wheel")
NO_SUCH_EXTRA = Text(CANDIDATES, "%s %s does not provide the extra '%s'")
INSTALLING = Text("pip._internal.build_env", "Installing {}")
BUILD_DEPENDENCIES = Text(_SDIST, "build dependencies")
GETTING_REQUIREMENTS = Text(_SDIST, "Getting requirements to build wheel")
GETTING_EDITABLE_REQUIREMENTS = Text(_SDIST, "Getting requirements to build editable")
CHECKING_EDITABLE = Text(
    "pip._internal.req.req_install", "Checking if build backend supports build_editable"
)
PREPARING = Text(f"{_OPERATIONS}.build.metadata", "Preparing metadata (pyproject.toml)")
PREPARING_EDITABLE = Text(
    f"{_OPERATIONS}.build.metadata_editable", "Preparing editable metadata (pyproject.toml)"
)
ALREADY_BUILT = Text(f"{_OPERATIONS}.build.build_tracker", "{} is already being built: {}")
BUILDING_WHEEL = Text(f"{_OPERATIONS}.build.wheel", "Building wheel for {} (pyproject.toml)")
BUILDING_EDITABLE = Text(
    f"{_OPERATIONS}.build.wheel_editable", "Building editable for {} (pyproject.toml)"
)
RUNNING = Text("pip._internal.utils.subprocess", "Running command %s")
USING_CACHED = Text(f"{_OPERATIONS}.prepare", "Using cached %s")
INTERRUPTED = Text(DOWNLOAD, "Connection interrupted while downloading.", "26.2")
RETRYING = Text(CONNECTION_POOL, "Retrying (%r) after connection broken by '%r': %s")
TOO_MANY_ERRORS = Text("pip._vendor.urllib3.exceptions", "too many {status_code} error responses")
CLIENT_ERROR = Text(_MODELS, "{} Client Error: {} for url: {}")
SERVER_ERROR = Text(_MODELS, "{} Server Error: {} for url: {}")
PERHAPS = Text(_MODELS, ". Perhaps you meant ")
OUTPUT_BEGINS = Text("pip._internal.exceptions", " lines of output]")
OUTPUT_ENDS = Text("pip._internal.exceptions", "[end of output]")
IN_FILE = Text("pip._internal.req.req_file", "{} {} (line {})")
PURGE_HELP = Text("pip._internal.commands.cache", "all items from the cache.\n")
COMPLETION_START = Text(_COMPLETION, "completion start")
COMPLETION_OF_ZSH = Text(_COMPLETION, "compadd $(")
NAMES_IN_ZSH = Text(_COMPLETION, "-P 'pip[0-9.]#'")
NAME_OF_ZSH_SCRIPT = Text(_COMPLETION, "-P pip[0-9.]#")
COMPLETED_PROGRAM = Text(_COMPLETION, "# pip ")
COMPLETION_FUNCTION = Text(_COMPLETION, "_pip")

TEXTS = tuple(value for value in list(vars().values()) if isinstance(value, Text))

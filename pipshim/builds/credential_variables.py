"""Find the environment variables with credentials, to hide them from builds. Pure.

docs/explanation/build-isolation.md has the rule as a table.
"""

from __future__ import annotations

import re

_TOOLS = (
    "PIP PIPSHIM UV TWINE HATCH FLIT PDM POETRY RYE PIPENV KEYRING CONDA ANACONDA PYPI TESTPYPI "
    "DEVPI ARTIFACTORY JFROG NEXUS CODEARTIFACT CLOUDSMITH GEMFURY FURY PYX"
)
_SECRETS = (
    "TOKEN PASSWORD PASSWD PASS PASSPHRASE SECRET AUTH CREDENTIAL CREDENTIALS KEY APIKEY "
    "USER USERNAME LOGIN"
)

TOOL_WORDS = frozenset(_TOOLS.split())
"""Words in names of variables: installers, publishing tools and package indexes."""

SECRET_WORDS = frozenset(_SECRETS.split())
"""Words in names of variables that hold a secret, or half of one."""

_INDEXES = re.compile(
    r"(PIP|PIPSHIM|UV)_((EXTRA_|DEFAULT_)?INDEX(_.*)?|FIND_LINKS|PROXY)"
    r"|(TWINE|UV_PUBLISH|HATCH_INDEX|PDM_PUBLISH|FLIT_INDEX|POETRY_REPOSITORIES)(_.*)?"
    r"|NETRC|CARGO_REGISTRY_TOKEN|ACTIONS_ID_TOKEN_REQUEST_(URL|TOKEN)"
)
"""Variables that say where indexes are or let publish: withheld whatever their value is."""

_CREDENTIALS_IN_URL = re.compile(r"://[^/\s@]+@")


def is_credential(name: str, value: str) -> bool:
    """Return whether a variable may hold credentials of a package index or publishing tool."""
    name = name.upper()
    if _INDEXES.fullmatch(name):
        return True
    words = set(name.split("_"))
    if not words & TOOL_WORDS:
        return False
    return bool(words & SECRET_WORDS) or _CREDENTIALS_IN_URL.search(value) is not None

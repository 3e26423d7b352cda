"""Apply the preferences in force to pip's options for versions and files."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pip._internal.models.format_control import FormatControl
from pip._internal.models.release_control import ReleaseControl

from pipshim.model import cutoff
from pipshim.model.selection_preferences import LISTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from optparse import Values

SWITCHES = {
    "prefer-binary": "prefer_binary",
    "no-deps": "ignore_dependencies",
    "only-deps": "only_dependencies",
    "ignore-requires-python": "ignore_requires_python",
    "require-hashes": "require_hashes",
}
"""By the name of an option, where pip's parser stores it."""


def apply(values: Mapping[str, Any], options: Values) -> None:
    """Set pip's options to preferences."""
    lists = {name: set(values.get(name, ())) for name in LISTS}
    options.format_control = FormatControl(lists["no-binary"], lists["only-binary"])
    options.release_control = ReleaseControl(lists["all-releases"], lists["only-final"])
    for name, dest in SWITCHES.items():
        if values.get(name):
            setattr(options, dest, True)
    text = values.get("uploaded-prior-to")
    options.uploaded_prior_to = (
        cutoff.moment(text, now=datetime.now(timezone.utc)) if text is not None else None
    )

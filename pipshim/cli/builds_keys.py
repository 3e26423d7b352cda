"""``pipshim builds keygen`` and ``builds trust``: who signs wheels, and who is trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim._pip.configuration import configuration_folder
from pipshim.base.atomic_write import write_file
from pipshim.base.errors import UsageError
from pipshim.model.project import PYPROJECT
from pipshim.model.signing_keys import PUBLIC, read_public_key
from pipshim.project.editing import Document
from pipshim.project.pyproject import find_project, read_text
from pipshim.project.workspaces import load_project
from pipshim.remote import signatures
from pipshim.remote.signatures import SigningError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CREATED = """\
Created the signing key {path}
Wheels that you push are signed with it. Its public key:

    {public}

A project trusts it with: pipshim builds trust {public}
or with these lines of its pyproject.toml:

    [tool.pipshim.remote]
    trust = ["{public}"]
"""


def keygen(environ: Mapping[str, str]) -> int:
    """Create a signing key.

    Raises:
        SigningError: there is one, or it cannot be written.

    """
    folder = configuration_folder()
    path = signatures.key_file(environ, folder)
    if path.exists():
        present = signatures.read_key(environ, folder)
        known = f"; its public key is {signatures.public_of(present)}" if present else ""
        raise SigningError(
            f"there is a signing key: {path}{known}",
            hint="remove that file first if wheels shall be signed with another key",
        )
    made = signatures.new_key()
    signatures.write_key(made, path)
    sys.stdout.write(_CREATED.format(path=path, public=signatures.public_of(made)))
    return 0


def trust(keys: Sequence[str], project: Path | None) -> int:
    """Add public keys to those that a project trusts.

    Raises:
        PipshimError: a key is none, or the file cannot be edited.

    """
    keys = [key.strip() for key in keys]
    for key in keys:
        try:
            read_public_key(key)
        except ValueError as error:
            shown = repr(key) if key.startswith(PUBLIC) else "the key"  # it may be a private one
            hint = "pipshim builds keygen shows the public key: ed25519:…"
            raise UsageError(f"builds trust: {shown} {error}", hint=hint) from None
    root = load_project(find_project(project or Path.cwd())).directory
    path = root / PYPROJECT
    document = Document(read_text(path), path)
    added = [key for key in keys if document.trust(key)]
    if added:
        write_file(path, document.text)
    for key in keys:
        done = "Trusted" if key in added else "Already trusted"
        sys.stdout.write(f"{done}: {key} ({PYPROJECT}, tool.pipshim.remote)\n")
    return 0

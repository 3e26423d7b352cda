"""``pipshim builds keygen`` and ``builds trust``: who signs wheels, and who is trusted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim._pip.configuration import configuration_folder
from pipshim.base.atomic_write import write_file
from pipshim.base.errors import UsageError
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.project import PYPROJECT
from pipshim.model.signing_keys import PUBLIC, read_public_key
from pipshim.project.editing import Document
from pipshim.project.pyproject import find_project, read_text
from pipshim.project.workspaces import load_project
from pipshim.remote import signatures
from pipshim.remote.signatures import SigningError

if TYPE_CHECKING:
    from optparse import Values

_CREATED = """\
Created the signing key {path}
Wheels that you push are signed with it. Its public key:

    {public}

A project trusts it with: pipshim builds trust {public}
or with these lines of its pyproject.toml:

    [tool.pipshim.remote]
    trust = ["{public}"]
"""


class BuildsKeygenCommand(PlainCommand):
    """Create the key that the wheels you push are signed with.

    The private key is written to a file that only you can read: that of
    PIPSHIM_SIGNING_KEY if it is set, else signing-key in pipshim's folder of
    your configuration. The public key is printed, for those who trust it.

    In CI, PIPSHIM_SIGNING_KEY can have the private key itself.
    """

    usage = """
      %prog"""

    declared = option_table.BUILDS_KEYGEN

    def run(self, options: Values, args: list[str]) -> int:  # noqa: ARG002 there are none
        """Create the key.

        Raises:
            SigningError: there is one, or it cannot be written.

        """
        if args:
            raise UsageError(f"builds keygen takes no arguments: {' '.join(args)}")
        folder = configuration_folder()
        path = signatures.key_file(self.environ, folder)
        if path.exists():
            present = signatures.read_key(self.environ, folder)
            known = f"; its public key is {signatures.public_of(present)}" if present else ""
            raise SigningError(
                f"a signing key exists already: {path}{known}",
                hint="to sign wheels with another key, remove that file first",
            )
        made = signatures.new_key()
        signatures.write_key(made, path)
        sys.stdout.write(_CREATED.format(path=path, public=signatures.public_of(made)))
        return 0


class BuildsTrustCommand(PlainCommand):
    """Use wheels from the remote only if this key, or another trusted one, signed them.

    The public key is added to trust in [tool.pipshim.remote] of the project's
    pyproject.toml. To revoke a key, remove it there: wheels that it signed are
    no longer used.

    For example:
      pipshim builds trust ed25519:2xI...
    """

    usage = """
      %prog <public key> ..."""

    declared = option_table.BUILDS_TRUST

    def run(self, options: Values, args: list[str]) -> int:
        """Add the keys to those that the project trusts."""
        keys = [key.strip() for key in args]
        if not keys:
            raise UsageError(
                "builds trust: no key given", hint="pipshim builds trust ed25519:… (builds keygen)"
            )
        for key in keys:
            try:
                read_public_key(key)
            except ValueError as error:
                shown = repr(key) if key.startswith(PUBLIC) else "the key"  # may be a private one
                hint = "pipshim builds keygen shows the public key: ed25519:…"
                raise UsageError(f"builds trust: {shown} {error}", hint=hint) from None
        root = load_project(find_project(Path(options.project or "."))).directory
        path = root / PYPROJECT
        document = Document(read_text(path), path)
        added = [key for key in keys if document.trust(key)]
        if added:
            write_file(path, document.text)
        for key in keys:
            done = "Trusted" if key in added else "Already trusted"
            sys.stdout.write(f"{done}: {key} ({PYPROJECT}, tool.pipshim.remote)\n")
        return 0

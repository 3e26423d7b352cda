"""``pipshim builds keygen`` and ``builds trust`` as commands of pip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.errors import UsageError
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table

if TYPE_CHECKING:
    from optparse import Values


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
            UsageError: arguments were given.
            PipshimError: there is a key, or it cannot be written.

        """
        from pipshim.cli import builds_keys  # noqa: PLC0415 not needed for help and completion

        if args:
            raise UsageError(f"builds keygen takes no arguments: {' '.join(args)}")
        return builds_keys.keygen(self.environ)


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
        """Add the keys.

        Raises:
            UsageError: no key is given, or it is none.
            PipshimError: the project's file cannot be edited.

        """
        from pipshim.cli import builds_keys  # noqa: PLC0415 not needed for help and completion

        if not args:
            raise UsageError(
                "builds trust: no key given", hint="pipshim builds trust ed25519:… (builds keygen)"
            )
        project = Path(options.project) if options.project else None
        return builds_keys.trust(args, project)

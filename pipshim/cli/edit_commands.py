"""``pipshim add`` and ``remove`` as commands of pip."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from pipshim._pip import compat
from pipshim.base.errors import UsageError
from pipshim.cli import option_values
from pipshim.cli.project_commands import ProjectCommand
from pipshim.model import options as option_table
from pipshim.model.requests import AddRequest, LockOptions, RemoveRequest, SyncOptions

if TYPE_CHECKING:
    from optparse import Values


class EditCommand(ProjectCommand):
    """What add and remove have in common."""

    _VERB: ClassVar[str] = ""

    def _add_own_options(self) -> None:
        for name in (*compat.LOCK_ONLY, "--group"):
            if self.parser.has_option(name):
                self.parser.remove_option(name)
        super()._add_own_options()
        self._add(self.cmd_opts, option_table.edit_options(verb=self._VERB))
        self._add_last_options()
        self._add(self.cmd_opts, option_table.install_options())
        self._add(self.cmd_opts, option_table.compile_options())
        self._add(self.cmd_opts, option_table.output_options())
        unused = ("all_extras", "all_groups", "no_default_groups", "no_dev", "exact", "inexact")
        lists = ("no_extra", "group", "no_group", "only_group")
        self.parser.set_defaults(**dict.fromkeys(unused, False), **{name: [] for name in lists})

    def _add_last_options(self) -> None:
        self.parser.set_defaults(extra=[])

    def _editing(self, options: Values) -> dict[str, Any]:
        if options.edit_group is not None and options.edit_optional is not None:
            raise UsageError(
                "--group (or --dev) and --optional cannot be used together",
                hint="leave one of them out",
            )
        group, extra = options.edit_group, options.edit_optional
        return {
            **self._common(options),
            "lock": LockOptions(
                constraints=tuple(options.constraints),
                upgrade=bool(options.upgrade),
                upgrade_packages=tuple(options.upgrade_package),
                said=self._said(options),
            ),
            "selection": replace(
                option_values.selection_of(options),
                extras=() if extra is None else (extra,),
                groups=() if group is None else (group,),
            ),
            "sync": SyncOptions(),
            "group": group,
            "optional": extra,
            "frozen": bool(options.frozen),
            "no_sync": bool(options.no_sync),
        }


class AddCommand(EditCommand):
    """Add requirements to pyproject.toml, lock and sync.

    What has no version gets a bound by the one that is locked. Folders and
    files become sources of tool.pipshim. If anything fails, pyproject.toml,
    the lock and the environment are as before.

    For example:
      pipshim add httpx "rich>=13"
      pipshim add --dev pytest              to the dependency group dev
      pipshim add --optional plot matplotlib
      pipshim add -e ../library             a folder, as an editable
      pipshim add "tool @ git+https://example.org/tool@v2"
      pipshim add -r requirements.txt
    """

    usage = """
      %prog [options] <requirement specifier> ...
      %prog [options] [-e] <local project path> ...
      %prog [options] <archive url/path> ...
      %prog [options] -r <requirements file> ..."""

    _VERB = "Add to"

    def _add_last_options(self) -> None:
        self._add(self.cmd_opts, option_table.add_options())

    def request(self, options: Values, args: list[str]) -> AddRequest:
        """Say what was asked.

        Raises:
            UsageError: there is nothing to add, or no such place.

        """
        extras, options.extra = tuple(options.extra), []
        if not (args or options.add_editables or options.add_files):
            raise UsageError("add: nothing to add is given", hint="pipshim add NAME…")
        return AddRequest(
            **self._editing(options),
            requirements=tuple(args),
            editables=tuple(options.add_editables),
            files=tuple(options.add_files),
            extras=extras,
            marker=options.marker,
            raw=bool(options.raw),
            bounds=options.bounds,
        )


class RemoveCommand(EditCommand):
    """Remove requirements from pyproject.toml, lock and sync.

    What only they needed leaves the lock and the environment too. If anything
    fails, pyproject.toml, the lock and the environment are as before.

    For example:
      pipshim remove httpx
      pipshim remove --dev pytest           from the dependency group dev
      pipshim remove --optional plot matplotlib
    """

    usage = """
      %prog [options] <package> ..."""

    _VERB = "Remove from"

    def request(self, options: Values, args: list[str]) -> RemoveRequest:
        """Say what was asked.

        Raises:
            UsageError: there is nothing to remove, or no such place.

        """
        if not args:
            raise UsageError("remove: nothing to remove is given", hint="pipshim remove NAME…")
        names = tuple(map(option_table.name, args))
        return RemoveRequest(**self._editing(options), names=names)

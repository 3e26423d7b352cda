"""``pipshim add`` and ``remove`` as commands of pip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipshim.base.errors import UsageError
from pipshim.cli.project_commands import ProjectCommand
from pipshim.model import option_table
from pipshim.model.option_parsing import name
from pipshim.model.requests import (
    AddRequest,
    EditRequest,
    LockOptions,
    RemoveRequest,
    SelectionOptions,
    SyncOptions,
)

if TYPE_CHECKING:
    from optparse import Values

    from pipshim.cli.command_base import PipCommand


class EditCommand(ProjectCommand):
    """What add and remove have in common."""

    def editing(self, options: Values) -> dict[str, Any]:
        """Return the common parts of their requests."""
        fields = self.declared.fields
        edit = fields(EditRequest, options)
        group, extra = edit["group"], edit["optional"]
        if group is not None and extra is not None:
            raise UsageError(
                "--group (or --dev) and --optional cannot be used together",
                hint="leave one of them out",
            )
        return {
            **self.common(options),
            "lock": LockOptions(
                **fields(LockOptions, options),
                constraints=tuple(options.constraints),
                preferences=self.preferences(options),
            ),
            "selection": SelectionOptions(
                **fields(SelectionOptions, options),
                extras=() if extra is None else (extra,),
                groups=() if group is None else (group,),
            ),
            "sync": SyncOptions(),
            **edit,
        }

    def act(self, request: AddRequest | RemoveRequest, pip: PipCommand) -> int:
        from pipshim.cli.edit import main  # noqa: PLC0415 tomlkit is not needed for help

        return main(request, pip)


class AddCommand(EditCommand):
    """Add requirements to pyproject.toml, lock and sync.

    A requirement without a version gets a bound from the locked version.
    Folders and files become sources of tool.pipshim. If anything fails,
    pyproject.toml, the lock and the environment stay as they were.

    For example:
      pipshim add httpx "rich>=13"
      pipshim add --dev pytest              to the dependency group dev
      pipshim add --optional plot matplotlib
      pipshim add -e ../library             a folder, as an editable
      pipshim add "tool @ git+https://example.org/tool@v2"
      pipshim add -r requirements.txt
      pipshim add torch --torch-backend cu128
      pipshim add inhouse --index company=https://example.org/simple
    """

    usage = """
      %prog [options] <requirement specifier> ...
      %prog [options] [-e] <local project path> ...
      %prog [options] <archive url/path> ...
      %prog [options] -r <requirements file> ..."""

    declared = option_table.ADD

    def request(self, options: Values, args: list[str]) -> AddRequest:
        added = self.declared.fields(AddRequest, options)
        if not (args or added["editables"] or added["files"]):
            raise UsageError("add: no requirement given", hint="pipshim add NAME…")
        if added["index"] and added["torch_backend"]:
            raise UsageError(
                "--index and --torch-backend cannot be used together",
                hint="leave one of them out",
            )
        return AddRequest(**{**self.editing(options), **added}, requirements=tuple(args))


class RemoveCommand(EditCommand):
    """Remove requirements from pyproject.toml, lock and sync.

    What only they needed leaves the lock and the environment too. If anything
    fails, pyproject.toml, the lock and the environment stay as they were.

    For example:
      pipshim remove httpx
      pipshim remove --dev pytest           from the dependency group dev
      pipshim remove --optional plot matplotlib
    """

    usage = """
      %prog [options] <package> ..."""

    declared = option_table.REMOVE

    def request(self, options: Values, args: list[str]) -> RemoveRequest:
        if not args:
            raise UsageError("remove: no package given", hint="pipshim remove NAME…")
        names = tuple(map(name, args))
        return RemoveRequest(**self.editing(options), names=names)

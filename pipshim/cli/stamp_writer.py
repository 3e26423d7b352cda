"""Record what a command read, so that the next one can skip unchanged work."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim._pip.configuration import configuration_files
from pipshim.envs import installed
from pipshim.envs.cached_environments import lock_beside
from pipshim.envs.install_notes import origin_of, site_folders
from pipshim.envs.layers import programs
from pipshim.fastpath import build_inputs, environment_snapshot, up_to_date
from pipshim.fastpath.restore import state_files
from pipshim.lock import lock_inputs
from pipshim.model.project import PYPROJECT
from pipshim.model.pylock import Lock, key_of
from pipshim.model.requests import LockOptions, LockRequest, RunRequest, SyncRequest
from pipshim.sync import journal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from pipshim.cli.context import Context
    from pipshim.model.interpreter import Target
    from pipshim.sync.transaction import Ready

_FOLDER_FILES = (PYPROJECT, "setup.py", "setup.cfg")


def stamp(
    context: Context,
    request: SyncRequest,
    lock: Lock | None,
    target: Target,
    *,
    command: str,
    options: tuple[str, ...] | None,
    say: str = "",
    layer: Context | None = None,
) -> None:
    """Write the stamp of a command that has left nothing to do.

    None is written if the next command could not rely on it: with ``--python``, which searches
    PATH, or with a project that is always reinstalled as a copy; nor if it has more to say.

    Args:
        lock: what was installed; None if there is no project.
        target: what the command runs in; with a layer, that or what is below it.
        command: ``run`` or ``sync``.
        options: those before the command to run; None if they are not known.
        say: what the command would say if run again.
        layer: that of ``run --with``.

    """
    below = layer.below if layer is not None else None
    seen = [below.target, target] if below is not None and below.target.is_venv else [target]
    if (
        options is None
        or not _can_rely_on(context, request, lock)
        or any(map(journal.is_open, seen))
    ):
        return
    read, scripts = [*_read(context, lock)], [target.scripts]
    others = [] if lock is None else [str(context.lock_path)]
    others += [sign for one in seen for sign in state_files(one)]
    if below is not None and isinstance(request, RunRequest):
        given = request.run.over
        if not _has_known_files(given):
            return
        read = [*(str(Path(path).absolute()) for path in given.requirement_files), *read]
        scripts = programs(target, below) if target != below.target else scripts
        others += map(str, (*scripts, *below.folders))
    block = context.project.block if context.project is not None else b""
    if context.script is not None and command == "sync":
        # Only run looks at its metadata apart.
        read.append(str(context.script))
        block = b""
    folder = _folder(request, target, in_cache=below is not None or context.place is not None)
    if folder is None or _is_any_new(read, context):
        return
    _write(
        folder,
        read,
        others,
        command=command,
        options=options,
        say=say,
        metadata=repr(block) if block else "",
        prefix=str(target.prefix),
        python=str(target.python),
        scripts=os.pathsep.join(map(str, scripts)),
        env_files=_env_files(request),
        inputs=_inputs(context, lock, seen) if lock is not None else "",
    )


def _write(folder: Path, read: Iterable[str], others: Iterable[str], **fields: Any) -> None:
    """Write a stamp of a command that has read these files, none of them newer than itself."""
    up_to_date.Stamp(
        variables=up_to_date.variables(os.environ),
        directory=str(Path.cwd()),
        files=[f"{up_to_date.state(path)} {path}" for path in dict.fromkeys([*read, *others])],
        **fields,
    ).write(str(folder))


def _folder(request: SyncRequest, target: Target, *, in_cache: bool) -> Path | None:
    """Return the folder of the stamp; None if the next command would not look there."""
    if in_cache:
        cache = _known_cache(request)
        return None if cache is None else cache / up_to_date.CACHE_FOLDER
    # The stamps' folder has to be there before the state of the environment is noted.
    folder = target.prefix / up_to_date.FOLDER
    folder.mkdir(exist_ok=True)
    for torn in folder.glob("*.*"):
        torn.unlink(missing_ok=True)  # its process was killed
    return folder


def _has_known_files(given: LockOptions) -> bool:
    """Return whether it is known which files the requirements of a layer depend on."""
    unknown = given.editables or given.scripts or any("/" in one for one in given.requirements)
    return not unknown and all(map(_is_plain, given.requirement_files))


def _is_plain(file: str) -> bool:
    """Return whether a requirements file names no other file or folder, which could change."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return not any(line.lstrip().startswith("-") or "/" in line.partition("#")[0] for line in lines)


def write_snapshot(
    context: Context,
    request: SyncRequest,
    lock: Lock,
    target: Target,
    *,
    options: tuple[str, ...],
    say: str,
    ready: Mapping[NormalizedName, Ready],
    requested: Collection[NormalizedName],
) -> None:
    """Note the contents of a new environment, so that it can be restored.

    Nothing is noted if the next command could not rely on it, or if a project is installed from its
    folder, which is built each time. The arguments are those of `stamp`, with the contents of the
    environment (`ready`), and which distributions the user asked for by name (`requested`).
    """
    common, cache = request.common, _known_cache(request)
    if (
        cache is None
        or lock.folders
        or common.verbosity
        or context.choice.origin != "project"
        or context.place is not None
        or not _can_rely_on(context, request, lock)
        or not _is_own(target.base_python)
    ):
        return
    read = list(dict.fromkeys(_read(context, lock)))
    if _is_any_new(read, context):
        return
    environment_snapshot.write(
        cache,
        options=options,
        files=read,
        lock=context.lock_path,
        target=target,
        ready=ready,
        requested=requested,
        link_mode=common.link_mode or "auto",
        bytecode=bool(request.selection.compile),
        no_color=bool(common.no_color),
        env_files=_env_files(request),
        say=say,
        inputs=_described(context, [one.origin for one in ready.values()]),
    )


def _inputs(context: Context, lock: Lock, targets: Sequence[Target]) -> str:
    """Describe what the built wheels in environments depend on outside the project."""
    built = {package.name for package in lock.packages if key_of(package) in lock.builds}
    if not built:
        return ""
    folders = [folder for target in targets for folder in site_folders(target)]
    present = installed.scan(folders)
    return _described(context, [origin_of(present[name]) for name in built & present.keys()])


def _described(context: Context, origins: Sequence[Mapping[str, Any]]) -> str:
    records = [record for one in origins if (record := one.get("record")) is not None]
    if not records:
        return ""
    return up_to_date.inputs_line(
        build_inputs.programs_of(records, os.environ, context.target.compilers),
        build_inputs.describe_variables(records, context.settings.rules, os.environ),
        os.environ,
    )


def _env_files(request: SyncRequest) -> list[str]:
    given = request.run.env_files if isinstance(request, RunRequest) else ()
    return [str(path.absolute()) for path in given]


def _can_rely_on(context: Context, request: SyncRequest, lock: Lock | None) -> bool:
    """Return whether the next command finds the same, and does nothing again."""
    selection = request.selection
    if selection.reinstall or selection.reinstall_packages or request.build.rebuild:
        return False
    if lock is None:
        return _is_quiet(context)
    return not (selection.no_editable and lock.folders) and _is_recognisable(context, lock)


def _is_own(python: Path) -> bool:
    """Return whether this is the Python that pipshim runs on, not another one on PATH."""
    own = getattr(sys, "_base_executable", None) or sys.executable
    return os.path.realpath(python) == os.path.realpath(own)


def _known_cache(request: LockRequest) -> Path | None:
    """Return pipshim's cache, if `pipshim.fastpath.up_to_date` finds the same one."""
    found = Path(up_to_date.cache_folder(os.environ)).parent
    return found if found == request.common.shim_cache else None


def stamp_lock(context: Context, lock: Lock, say: str, *, written: bool = False) -> None:
    """Write the stamp of a ``lock`` whose lock is up to date.

    As for `stamp`, none is written if the next command could not rely on it; nor for given
    requirements, which may name any number of files. `written` says that this command has written
    the lock.
    """
    request, choice, options = context.request, context.choice, typed("lock")
    if options is None or not _is_recognisable(context, lock) or request.lock.given:
        return
    cache = _known_cache(request)
    if cache is None:
        return
    python = str(choice.target.python)
    if not choice.exists and not _is_own(choice.target.python):
        return
    own = [str(context.lock_path)]
    environment = [] if choice.directory is None else [str(choice.directory / "pyvenv.cfg")]
    read = [
        *_read(context, lock),
        *([] if context.script is None else [str(context.script)]),
        *([] if written else own),
    ]
    if _is_any_new(read, context):
        return
    _write(
        cache / up_to_date.CACHE_FOLDER,
        read,
        [*own, python, os.path.realpath(python), *environment],
        command="lock",
        options=options,
        say=say if request.common.verbosity >= 0 else "",
    )


def _is_recognisable(context: Context, lock: Lock) -> bool:
    folders = any(package.directory is not None for package in lock.packages)
    return _is_quiet(context) and not folders and not _is_given_anew(context, lock)


def _is_quiet(context: Context) -> bool:
    """Return whether the next command finds the same Python, and has nothing else to show."""
    common = context.request.common
    says_more = common.timings or "json" in (common.progress, common.output_format)
    return not (common.python or says_more)


def _is_given_anew(context: Context, lock: Lock) -> bool:
    """Return whether requirements were given whose files are unknown, or local archives."""
    given = context.request.lock
    if not given.given:
        return False
    archives = [package.archive for package in lock.packages if package.archive is not None]
    if any(one.path is not None or str(one.url).startswith("file:") for one in archives):
        return True
    return lock_inputs.requirement_files(given.requirement_files) is None


def _is_any_new(paths: Iterable[str], context: Context) -> bool:
    """Return whether a file was written after the command began, perhaps after it was read."""
    times = (up_to_date.state(path).split(" ")[0] for path in dict.fromkeys(paths))
    return any(time != "-" and int(time) >= context.started for time in times)


def typed(command: str, words: int = 0, *, module: str | None = None) -> tuple[str, ...] | None:
    """Return the options between a command's name and the words of the command to run.

    Args:
        words: how many words at the end belong to the command to run.

    """
    found, rest = up_to_date.split(sys.argv[1:])
    if found != command:
        return None
    rest = rest[: len(rest) - words]
    if module is not None:
        return tuple(rest[:-2]) if rest[-2:] == ["-m", module] else None
    if command == "run" and rest[-1:] == ["--"]:
        rest = rest[:-1]
    return tuple(rest)


def _read(context: Context, lock: Lock | None) -> Iterator[str]:
    """Return the files that the result depends on; without a lock there is no project so far."""
    yield from _always(context.request)
    if lock is None:
        here = Path.cwd()
        yield from (str(one / PYPROJECT) for one in (here, *here.parents))
        return
    yield from _nearer(context)
    directories = [context.directory] if context.script is None else []
    if context.script is not None:
        # Its metadata is looked at apart; but it may get a lock of its own.
        yield str(lock_beside(context.script))
    workspace = context.project.workspace if context.project is not None else None
    if workspace is not None:
        yield from map(str, workspace.watched)
        directories += [member.directory for member in workspace.members.values()]
    directories += [context.lock_path.parent / folder.path for folder in lock.folders]
    for directory in directories:
        for name in _FOLDER_FILES:
            yield str(directory / name)


def _nearer(context: Context) -> Iterator[str]:
    """Return the pyproject.toml files that, if someone adds one, are found before the project's."""
    start = context.request.common.project or Path()
    start = start.resolve() if ".." in start.parts else start.absolute()
    for folder in (start, *start.parents):
        if folder == context.directory or context.directory not in folder.parents:
            return
        yield str(folder / PYPROJECT)


def _always(request: LockRequest) -> Iterator[str]:
    yield from configuration_files()
    yield up_to_date.__file__
    given = (
        request.lock.requirement_files,
        request.lock.constraints,
        request.build.build_constraints,
    )
    for paths in given:
        for path in lock_inputs.requirement_files(paths) or paths:
            if "://" not in path:
                yield str(Path(path).absolute())

"""``--env-file``: files of variables for the command that is run.

The syntax is python-dotenv's: ``export``, quotes, comments, and ``${NAME}`` for variables set
before it, in these files or outside. Variables set outside are not replaced; later files win.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.errors import FileError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def read(paths: Iterable[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Read the variables that files add to `environ`.

    Raises:
        FileError: a file cannot be read, or a line of it is invalid.

    """
    from dotenv.variables import parse_variables  # noqa: PLC0415 few commands have such files

    made: dict[str, str] = {}
    for name, value in _pairs(paths):
        if name not in environ and value is not None:
            known = {**made, **environ}
            made[name] = "".join(atom.resolve(known) for atom in parse_variables(value))
    return made


def _pairs(paths: Iterable[str]) -> Iterator[tuple[str, str | None]]:
    from dotenv.parser import parse_stream  # noqa: PLC0415 as above

    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:  # noqa: PTH123 the fast path's strings
                bindings = list(parse_stream(file))
        except OSError as error:
            raise FileError(
                path, f"cannot be read: {error.strerror}", hint="it was given with --env-file"
            ) from error
        except UnicodeDecodeError as error:
            raise FileError(path, "is not UTF-8", hint="it was given with --env-file") from error
        for binding in bindings:
            if binding.error:
                text = binding.original.string
                blank = text[: len(text) - len(text.lstrip())].count("\n")
                raise FileError(
                    path,
                    "is not of the form NAME=VALUE",
                    line=binding.original.line + blank,
                    hint="it was given with --env-file",
                )
            if binding.key is not None:
                yield binding.key, binding.value

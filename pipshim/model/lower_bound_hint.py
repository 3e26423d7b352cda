"""Suggest a lower bound if ``--resolution lowest`` chose a version that cannot be built."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.base.errors import BuildError, Failures, PipshimError
from pipshim.model.requirements import is_exact, valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.model.solution import Solution


@contextmanager
def suggest_lower_bounds(
    strategy: str, chosen: Callable[[], Solution | None], constrain: Callable[[str], str]
) -> Iterator[None]:
    """Add to the hints of failed builds that a lower bound may help.

    Args:
        chosen: returns what was chosen last.
        constrain: returns the words that add a constraint.

    """
    try:
        yield
    except PipshimError as error:
        solution = chosen()
        if strategy != "highest" and solution is not None:
            for one in error.errors if isinstance(error, Failures) else (error,):
                hint = _hint(one, strategy, solution, constrain)
                if hint is not None:
                    one.hint = f"{one.hint}\n{hint}" if one.hint else hint
        raise


def _hint(
    error: PipshimError, strategy: str, solution: Solution, constrain: Callable[[str], str]
) -> str | None:
    if not isinstance(error, BuildError):
        return None
    name, _, version = error.package.partition(" ")
    name = canonicalize_name(name)
    if str(solution.versions.get(name)) != version:
        return None  # one of a build environment, where the highest are taken
    asked = [one for texts in solution.roots.values() for one in valid(texts)]
    own = [one for one in asked if canonicalize_name(one.name) == name]
    # No bound helps where only one version is admitted.
    is_fixed = any(one.url is not None or is_exact(one.specifier) for one in own)
    if is_fixed or (strategy != "lowest" and not own):
        return None
    later = f"{name}>{version}"
    said = f"{name} {version} was chosen by --resolution {strategy}, and may be too old to be built"
    if own:
        return f"{said}: raise its lower bound, as in {json.dumps(later)}"
    return f"{said}: raise its lower bound{constrain(later)}"

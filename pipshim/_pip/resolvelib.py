"""pip's copy of resolvelib."""

from pip._vendor.resolvelib import (
    AbstractProvider,
    BaseReporter,
    ResolutionImpossible,
    ResolutionTooDeep,
    Resolver,
)

__all__ = [
    "AbstractProvider",
    "BaseReporter",
    "ResolutionImpossible",
    "ResolutionTooDeep",
    "Resolver",
]

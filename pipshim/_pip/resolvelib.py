"""pip's copy of resolvelib."""

from pip._vendor import resolvelib

AbstractProvider = resolvelib.AbstractProvider
BaseReporter = resolvelib.BaseReporter
ResolutionImpossible = resolvelib.ResolutionImpossible
ResolutionTooDeep = resolvelib.ResolutionTooDeep
Resolver = resolvelib.Resolver

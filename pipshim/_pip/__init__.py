"""Adapt pip: session, index, resolver, hooks into pip's own commands."""

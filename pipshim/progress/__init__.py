"""Showing what happens: events, and the observers that make them visible."""

from contextlib import contextmanager
import sys


@contextmanager
def make_observer(**kw):
    yield lambda e: print(e, file=sys.stderr)

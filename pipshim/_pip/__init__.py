"""Adapters for pip: the only package that imports pip's internals."""

"""Environments: which one is served, making one, what it has."""

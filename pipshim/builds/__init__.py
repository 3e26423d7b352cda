"""Builds: environments, hooks, records, cached results."""

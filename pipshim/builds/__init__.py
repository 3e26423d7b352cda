"""Build wheels: environments, hooks, records, cached results."""

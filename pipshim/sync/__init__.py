"""Change an environment: what to fetch and build, the transaction, the journal."""

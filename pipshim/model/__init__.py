"""Pure values and rules: requests, settings, the lock, modes, order, records, selection, plan."""

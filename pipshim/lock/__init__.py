"""From what is asked to a lock: rounds, build environments, targets."""

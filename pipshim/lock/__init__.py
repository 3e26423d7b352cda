"""Make locks: rounds, build environments, targets."""

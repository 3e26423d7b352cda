"""Make locks, and plan the builds of locks."""

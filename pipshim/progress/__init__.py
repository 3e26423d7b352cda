"""Show what happens: observers of events."""

"""Showing what happens: events, and the observers that make them visible."""

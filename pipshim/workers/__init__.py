"""Builds on other machines."""

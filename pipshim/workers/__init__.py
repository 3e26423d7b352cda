"""Run builds on other machines."""

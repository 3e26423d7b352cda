"""pyproject.toml, scripts and settings, read as values."""

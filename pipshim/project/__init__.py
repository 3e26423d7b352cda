"""Read and edit pyproject.toml, scripts and settings."""

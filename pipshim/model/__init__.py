"""Pure values and rules: what is asked, locked, built and installed."""

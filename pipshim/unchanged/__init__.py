"""What needs no work: recognised early, and done again without pip."""

"""Building wheels: which mode, in which environment, in which order, from what."""

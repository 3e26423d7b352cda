"""Pythons: those that are here, those that are named, what each says of itself."""

"""Recipes that ship with the package, one TOML a training."""

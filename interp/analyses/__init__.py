"""Analyses of a model, one question a file."""

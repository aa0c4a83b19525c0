"""Checks of what deciders and workers need."""

"""Async code that hands chains of steps to simpleflow's local executor."""

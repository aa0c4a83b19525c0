"""Sync code that calls into an event loop, and what is kept open there."""
